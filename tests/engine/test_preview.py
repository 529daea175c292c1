"""Pictures of what is being made: what they show, and that they keep to their share of the time."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from backend import models
from backend.engine import preview
from backend.engine.cache import Cache
from backend.engine.device import choose
from backend.engine.generate import generate
from backend.engine.preview import SHARE, Ledger, Previewer
from backend.engine.projection import Projection
from backend.engine.sizes import working_size
from backend.models import ModelFiles
from protocol.job import Layer, Thumbnail
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


@pytest.fixture
def own_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Seconds of one thread of this process, so that other work on the machine does not count."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(time, "perf_counter", time.process_time)
    yield
    torch.set_num_threads(threads)


def previews(files: ModelFiles, cache: Cache | None = None, **changes: object) -> list[Thumbnail]:
    seen: list[Thumbnail] = []
    request = dataclasses.replace(REQUEST, **changes)
    generate(request, (), files, lambda _: None, lambda: False, cache or Cache(), seen.append)
    return seen


@pytest.mark.usefixtures("without_limit")
def test_the_first_job_shows_its_second_half_and_the_next_every_step_but_the_last(files):
    cache = Cache()
    for count in (3, 5):
        assert [(one.role, one.image) for one in previews(files, cache, batch=2)] == [(Role.FOREGROUND, 0)] * count


@pytest.mark.usefixtures("without_limit")
def test_where_networks_wait_in_the_hosts_memory_previews_come_from_results(files, monkeypatch):
    device = choose("sd15").saving()
    monkeypatch.setattr("backend.engine.generate.choose", lambda *_: device)
    cache = Cache()
    assert [len(previews(files, cache)) for _ in range(2)] == [0, 5]


@pytest.mark.usefixtures("without_limit")
@pytest.mark.parametrize(("width", "height"), [(64, 64), (640, 128), (64, 512)])
def test_a_preview_has_the_shape_of_the_result(files, width, height):
    for one in previews(files, width=width, height=height):
        assert max(one.width, one.height) <= MAX_PREVIEW
        assert one.width / one.height == pytest.approx(width / height, rel=0.1)


def test_results_are_the_same_with_and_without_anybody_to_see_them_come(files, monkeypatch):
    cache = Cache()
    shown = [generate(REQUEST, (), files, lambda _: None, lambda: False, cache, lambda _: None) for _ in range(2)]
    monkeypatch.setattr(Previewer, "after_step", None)
    alone = generate(REQUEST, (), files, lambda _: None, lambda: False, Cache())
    assert [one.layers for one in shown] == [alone.layers] * 2


@pytest.mark.usefixtures("own_time")
def test_the_built_in_model_shows_most_steps_of_every_job_but_the_first():
    cache, files = Cache(), models.resolve("builtin")
    request = dataclasses.replace(REQUEST, model="builtin", width=256, height=256, steps=20)
    seen: list[list[Thumbnail]] = [[], []]
    results = [generate(request, (), files, lambda _: None, lambda: False, cache, each.append) for each in seen]
    assert len(seen[0]) >= 1 and len(seen[1]) >= 10
    alone = generate(request, (), files, lambda _: None, lambda: False, cache)
    assert [one.layers for one in results] == [alone.layers] * 2
    for each in seen:
        assert alpha_off(each[-1], alone.layers[0]) < 0.05


@pytest.mark.usefixtures("without_limit")
def test_previews_of_a_scene_of_the_built_in_model_show_its_object():
    cache, files = Cache(), models.resolve("builtin")
    request = dataclasses.replace(REQUEST, operation=Operation.SCENE, model="builtin", width=128, height=128, steps=20)
    seen: list[Thumbnail] = []
    for _ in range(2):
        result = generate(request, (), files, lambda _: None, lambda: False, cache, seen.append)
    foreground = next(layer for layer in result.layers if layer.role is Role.FOREGROUND)
    assert alpha_off(seen[-1], foreground) < 0.05


def alpha_off(preview: Thumbnail, layer: Layer) -> float:
    """Mean difference of alpha, of an object with emptiness around it."""
    whole = Image.frombytes("RGBA", (layer.box.width, layer.box.height), layer.pixels)
    small = whole.resize((preview.width, preview.height), Image.Resampling.BOX)
    alpha, expected = (np.frombuffer(data, np.uint8)[3::4] / 255 for data in (preview.rgba(), small.tobytes()))
    assert 0.1 < expected.mean() < 0.9
    return float(np.abs(alpha - expected).mean())


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


@pytest.mark.parametrize("seed", range(20))
def test_previews_keep_to_their_share_of_every_job(seed, clock, monkeypatch):
    """But for the first one, whose cost nobody knows before."""
    draw, ledger, made = random.Random(seed), Ledger(), []
    step = draw.uniform(0.01, 1)
    decoding, projecting = step * draw.uniform(0.02, 0.5), step * draw.uniform(0.001, 0.1)

    def decode(latent: torch.Tensor) -> NDArray[np.float32]:
        made.append("decoded")
        clock.now += 10 * decoding
        return np.zeros((latent.shape[2] * 8, latent.shape[3] * 8, 4), np.float32)

    def project(self: Projection, latent: torch.Tensor) -> NDArray[np.float32]:
        made.append("projected")
        clock.now += projecting
        return np.zeros((64, 64, 4), np.float32)

    monkeypatch.setattr(Projection, "__call__", project)
    for job in range(10):
        ledger.begin(clock.now)
        shown = Previewer(Role.FOREGROUND, 20, working_size(512, 512, 512), decode, ledger, lambda _: None)
        for _ in range(20):
            clock.now += step
            shown.after_step(torch.zeros(1, 4, 64, 64))
        spent = ledger.spent - (10 * decoding if job == 0 else 0)
        assert spent <= SHARE * (clock.now - ledger.began) + projecting * (job < 2) + 1e-9
    assert made.count("decoded") == 1 and made.count("projected") > 1


def test_lack_of_memory_ends_the_previews_and_not_the_job(clock):
    calls = []

    def decode(latent: torch.Tensor) -> NDArray[np.float32]:
        calls.append(latent)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    shown = Previewer(Role.FOREGROUND, 20, working_size(512, 512, 512), decode, Ledger(), lambda _: None)
    for _ in range(19):
        clock.now += 10
        shown.after_step(torch.zeros(1, 4, 64, 64))
    assert len(calls) == 1
