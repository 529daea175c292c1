"""Pictures much larger than those that a model knows are made in two passes, with tiny models taken for large ones."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from backend.engine import generate as engine
from backend.engine import sizes, transparency
from backend.engine.cache import Cache
from backend.engine.generate import generate
from backend.engine.sizes import Working, carried, first_size, to_request, working_size
from backend.models import ModelFiles
from backend.models.modes import OPERATIONS, stages
from protocol.job import LayerSet, Phase, Progress
from protocol.request import Decoding, Input, Operation, Request, Source
from tests.engine import tiny

SIDES = (64, 333, 512, 640, 1024, 1999, 2048)
EVERY = [(family, operation) for family in OPERATIONS for operation in OPERATIONS[family]]
SQUARE = Working(64, 64, (0, 0, 64, 64))


@pytest.fixture
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "FULL_SIZE_SIDE", tiny.NATIVE_SIDE)


def run(
    files: ModelFiles, cache: Cache, operation: Operation, given: dict[Source, np.ndarray] | None = None,
    report: Any = lambda _: None, **changes: Any,
) -> LayerSet:
    given = given or {source: picture(source) for source in operation.needs[0]}
    settings: dict[str, Any] = dict(
        operation=operation, model="tiny", prompt="an apple", negative="ugly", width=128, height=128, steps=4, cfg=3.0,
        seed=11, batch=1, inputs=tuple(Input(source, *pixels.shape[1::-1]) for source, pixels in given.items()),
    )
    pixels = [np.ascontiguousarray(one).tobytes() for one in given.values()]
    return generate(Request(**settings | changes), pixels, files, report, lambda: False, cache)


def picture(source: Source) -> np.ndarray:
    squares = np.random.default_rng(list(Source).index(source)).integers(0, 256, (8, 8, 4), np.uint8)
    rgba = squares.repeat(12, 0).repeat(12, 1)
    rgba[..., 3] |= 0 if source is Source.FOREGROUND else 255
    return rgba


def pixels(layer_set: LayerSet, index: int = 0) -> np.ndarray:
    layer = layer_set.layers[index]
    return np.frombuffer(layer.pixels, np.uint8).reshape(layer.box.height, layer.box.width, 4)


@pytest.mark.parametrize("native", [512, 1024])
def test_a_first_pass_has_the_native_area_and_the_same_aspect(native):
    for width, height in itertools.product(SIDES, SIDES):
        working = working_size(width, height, native)
        first = first_size(working, native)
        is_large = width * height > 1.5 * native**2
        assert (first is not None) == is_large, (width, height)
        if first is not None:
            left, top, right, bottom = first.box
            assert (right - left) * (bottom - top) == pytest.approx(native**2)
            assert (right - left) / (bottom - top) == pytest.approx(width / height)
            assert first.width % 64 == first.height % 64 == 0
            assert 0 <= left and right <= first.width and 0 <= top and bottom <= first.height


@pytest.mark.parametrize("whole", [False, True])
def test_a_small_model_makes_its_square_in_one_pass(whole):
    assert first_size(working_size(2048, 2048, 128, whole), 128) is None


def test_what_is_carried_fills_the_other_box_and_lies_where_it_lay():
    working = working_size(2000, 1300, 512)
    first = first_size(working, 512)
    assert first is not None
    y, x = np.mgrid[:first.height, :first.width].astype(np.float32)
    left, top, right, bottom = first.box
    rgba = np.stack([(x - left) / (right - left), (y - top) / (bottom - top), 0 * x, 0 * x + 1], 2)
    result = carried(rgba, first, working)
    rows, columns = result.shape[:2]
    assert (columns, rows) == tuple(round(working.box[i + 2]) - round(working.box[i]) for i in (0, 1))
    inner = (slice(20, -20), slice(20, -20))
    assert np.abs(result[..., 0] - np.linspace(0, 1, columns)[None])[inner].max() < 0.003
    assert np.abs(result[..., 1] - np.linspace(0, 1, rows)[:, None])[inner].max() < 0.003


@pytest.mark.usefixtures("_large")
@pytest.mark.parametrize(("family", "operation"), EVERY)
def test_every_operation_is_done_in_two_passes_unless_it_starts_from_a_picture(family, operation, models, caches):
    seen: list[Progress] = []
    result = run(models[family], caches[family], operation, report=seen.append, batch=2)
    passes = 1 if operation is Operation.REBLEND else 2
    assert result.made_with.get("first_pass") == (None if passes == 1 else "64x64")
    assert result.made_with["working_size"] == "128x128"
    assert all(pixels(result, index).shape == (128, 128, 4) for index in range(len(result.layers)))
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    begun = sum(one.phase is Phase.DENOISING and one.step == 0 for one in seen)
    assert begun == passes * len(stages(family, operation, sources=operation.needs[0]))


@pytest.mark.usefixtures("_large")
def test_without_the_offset_encoder_what_has_alpha_is_made_in_one_pass(models, caches):
    bare = dataclasses.replace(models["sdxl"], encoder=None)
    assert "first_pass" not in run(bare, caches["sdxl"], Operation.OBJECT).made_with
    assert run(bare, caches["sdxl"], Operation.BLEND).made_with["first_pass"] == "64x64"
    made_with = run(models["sdxl"], caches["sdxl"], Operation.OBJECT).made_with
    assert made_with["first_pass"] == "64x64" and "vae_transparent_encoder_sha256" in made_with


@pytest.mark.usefixtures("_large")
@pytest.mark.parametrize("family", OPERATIONS)
def test_the_second_pass_refines_what_the_first_has_made(family, models, caches, monkeypatch):
    small = run(models[family], caches[family], Operation.OBJECT, width=64, height=64, decoding=Decoding.FAST)
    enlarged = transparency.quantize(to_request(np.asarray(pixels(small) / 255, np.float32), SQUARE, 128, 128))
    again = run(
        models[family], caches[family], Operation.OBJECT, {Source.INIT: enlarged}, strength=engine.SECOND_PASS
    )
    made = run(models[family], caches[family], Operation.OBJECT)
    difference = np.abs(pixels(again).astype(int) - pixels(made))
    assert difference.mean() < 1
    monkeypatch.setattr(sizes, "TWO_PASSES_FROM", 5)
    once = run(models[family], caches[family], Operation.OBJECT)
    assert "first_pass" not in once.made_with
    assert np.abs(pixels(once).astype(int) - pixels(made)).mean() > 3 * difference.mean()
