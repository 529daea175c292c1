"""Pictures of what is being made: what they show, and that they keep to their share of the time."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
import torch
from PIL import Image

from backend import models
from backend.engine import preview
from backend.engine.cache import Cache
from backend.engine.generate import generate
from backend.engine.preview import SHARE, Ledger, Previewer
from backend.engine.sizes import working_size
from backend.models import ModelFiles
from protocol.job import Thumbnail
from protocol.limits import MAX_PREVIEW
from protocol.request import Operation, Request, Role
from tests.engine import tiny

REQUEST = Request(Operation.OBJECT, "tiny", "red apple", "", 64, 64, 6, 5.0, 7, 1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return tiny.write_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "SHARE", 1e9)


def previews(files: ModelFiles, **changes: object) -> list[Thumbnail]:
    seen: list[Thumbnail] = []
    request = dataclasses.replace(REQUEST, **changes)
    generate(request, (), files, lambda _: None, lambda: False, Cache(), seen.append)
    return seen


@pytest.mark.usefixtures("without_limit")
def test_every_step_but_the_last_can_be_seen(files):
    assert [(one.role, one.image) for one in previews(files, batch=2)] == [(Role.FOREGROUND, 0)] * 5


@pytest.mark.usefixtures("without_limit")
@pytest.mark.parametrize(("width", "height"), [(64, 64), (640, 128), (64, 512)])
def test_a_preview_has_the_shape_of_the_result(files, width, height):
    for one in previews(files, width=width, height=height):
        assert max(one.width, one.height) <= MAX_PREVIEW
        assert one.width / one.height == pytest.approx(width / height, rel=0.1)


def test_without_anybody_to_see_them_there_are_none_and_the_result_is_the_same(files, monkeypatch):
    shown = generate(REQUEST, (), files, lambda _: None, lambda: False, Cache(), lambda _: None)
    monkeypatch.setattr(Previewer, "after_step", None)
    assert generate(REQUEST, (), files, lambda _: None, lambda: False, Cache()).layers == shown.layers


@pytest.mark.usefixtures("without_limit")
def test_a_late_preview_of_the_built_in_model_is_near_its_result_with_its_alpha():
    request = dataclasses.replace(REQUEST, model="builtin", width=128, height=128, steps=8)
    seen: list[Thumbnail] = []
    result = generate(request, (), models.resolve("builtin"), lambda _: None, lambda: False, Cache(), seen.append)
    [layer] = result.layers
    whole = Image.frombytes("RGBA", (128, 128), layer.pixels).resize((seen[-1].width, seen[-1].height))
    alpha, expected = (np.frombuffer(data, np.uint8)[3::4] / 255 for data in (seen[-1].rgba(), whole.tobytes()))
    assert 0.1 < expected.mean() < 0.9
    assert np.abs(alpha - expected).mean() < 0.05


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("seed", range(20))
def test_previews_keep_to_their_share_over_all_jobs(seed):
    """But for the first one, whose cost nobody knows before."""
    draw, clock, ledger = random.Random(seed), Clock(), Ledger()
    step, count = draw.uniform(0.01, 1), [0]
    decoding = step * draw.uniform(0.02, 0.5)

    def decode(latent: torch.Tensor) -> np.ndarray:
        count[0] += 1
        clock.now += decoding * (10 if count[0] == 1 else 1)
        return np.zeros((latent.shape[2] * 8, latent.shape[3] * 8, 4), np.float32)

    for _ in range(50):
        shown = Previewer(Role.FOREGROUND, 20, working_size(512, 512, 512), decode, ledger, lambda _: None, clock)
        for _ in range(20):
            clock.now += step
            shown.after_step(torch.zeros(1, 4, 64, 64))
    assert ledger.denoising == pytest.approx(50 * 20 * step)
    assert count[0] > 1 and ledger.spent <= max(SHARE * ledger.denoising, 10 * decoding) + 1e-9


def test_lack_of_memory_ends_the_previews_and_not_the_job():
    calls = []

    def decode(latent: torch.Tensor) -> np.ndarray:
        calls.append(latent)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    clock = Clock()
    shown = Previewer(Role.FOREGROUND, 20, working_size(512, 512, 512), decode, Ledger(), lambda _: None, clock)
    for _ in range(19):
        clock.now += 10
        shown.after_step(torch.zeros(1, 4, 64, 64))
    assert len(calls) == 1
