"""The weights that ship: released key grammar, size, papers, and what they draw."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from backend.builtin.dataset import fill
from backend.builtin.export import DECODER, ENCODER, LAYERS, MEGABYTES_ALLOWED, WEIGHTS
from backend.engine.cache import Cache
from backend.engine.generate import generate
from backend.models import resolve
from protocol.request import Operation, Request

REAL_KEYS = Path(__file__).parents[1] / "engine" / "data" / "real_keys.json.gz"
SIDE = 256


@pytest.fixture(scope="module")
def draw():
    """A function that draws a name and returns straight RGBA ``[H, W, 4]``; the model stays loaded."""
    files, cache = resolve("builtin"), Cache()

    def one(prompt: str, seed: int = 1) -> np.ndarray:
        request = Request(Operation.OBJECT, "builtin", prompt, "", SIDE, SIDE, 20, 5.0, seed, 1)
        layers = generate(request, (), files, lambda _: None, lambda: False, cache).layers
        return np.frombuffer(layers[0].pixels, np.uint8).reshape(SIDE, SIDE, 4)

    return one


def keys(name: str) -> set[str]:
    with safe_open(WEIGHTS / name, "numpy") as file:
        return set(file.keys())


@pytest.mark.parametrize(
    "name",
    [*(name for name in LAYERS.values() if (WEIGHTS / name).exists()), ENCODER],
)
def test_keys_are_those_of_the_released_file(name: str) -> None:
    with gzip.open(REAL_KEYS) as file:
        assert keys(name) == set(json.load(file)[name])


def test_decoder_has_the_released_graph_with_fewer_levels() -> None:
    with gzip.open(REAL_KEYS) as file:
        released = set(json.load(file)[DECODER])
    ours = keys(DECODER)
    levels = 4

    def shared(key: str) -> bool:
        part, _, rest = key.partition(".")
        return part not in ("down_blocks", "up_blocks") or int(rest.split(".")[0]) < levels

    # Which level has attention, a sampler or a shortcut depends on the depth; everything else has its name there.
    varying = ("attentions", "samplers", "conv_shortcut")
    assert {k for k in ours if not any(v in k for v in varying)} == {
        k for k in released if shared(k) and not any(v in k for v in varying)
    }


def test_weights_are_small_and_come_with_their_papers() -> None:
    size = sum(file.stat().st_size for file in WEIGHTS.rglob("*.safetensors"))
    assert size <= MEGABYTES_ALLOWED * 1e6
    card = (WEIGHTS / "README.md").read_text("utf-8")
    assert "a small model for trying things out; install SDXL or SD1.5 for real work" in card
    assert "Microsoft" in (WEIGHTS / "LICENSE").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "strongest"), [("red apple", 0), ("green apple", 1), ("four leaf clover", 1), ("dolphin", 2)]
)
def test_an_object_has_its_colour_soft_edges_and_nothing_around(draw, name: str, strongest: int) -> None:
    rgba = draw(fill("{article} {}", name))
    alpha = rgba[..., 3]
    solid = alpha > 200
    assert 0.08 < solid.mean() < 0.8
    assert np.argmax(rgba[solid][:, :3].mean(0)) == strongest
    assert [int(alpha[y, x]) for y in (0, -1) for x in (0, -1)] == [0, 0, 0, 0]
    soft = (alpha > 8) & (alpha < 247)
    assert SIDE // 4 < soft.sum() < 0.25 * SIDE**2


def test_seeds_differ_and_a_seed_draws_the_same_again(draw) -> None:
    first, again, other = draw("a rocket"), draw("a rocket"), draw("a rocket", seed=2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
