"""The weights that ship: released key grammar, size, papers, and what they draw."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from backend.builtin.dataset import fill
from backend.builtin.export import DECODER, ENCODER, LAYERS, MEGABYTES_ALLOWED, WEIGHTS, export
from backend.builtin.restore import restore
from backend.engine.cache import Cache
from backend.engine.generate import generate
from backend.models import resolve
from protocol.request import Input, Operation, Request, Role, Source

REAL_KEYS = Path(__file__).parents[1] / "engine" / "data" / "real_keys.json.gz"
SIDE = 256


@pytest.fixture(scope="module")
def layers():
    """A function that asks for an operation and returns straight RGBA ``[H, W, 4]`` by role; the model stays loaded.

    Pictures given are all of one size, which is the result's.
    """
    files, cache = resolve("builtin"), Cache()

    def one(operation: Operation, prompt: str, given=(), seed: int = 1, **changes) -> dict[Role, np.ndarray]:
        height, width = given[0][1].shape[:2] if given else (SIDE, SIDE)
        inputs = tuple(Input(source, width, height) for source, _ in given)
        request = Request(operation, "builtin", prompt, "", width, height, 20, 5.0, seed, 1, inputs=inputs, **changes)
        made = generate(request, [rgba.tobytes() for _, rgba in given], files, lambda _: None, lambda: False, cache)
        return {layer.role: np.frombuffer(layer.pixels, np.uint8).reshape(height, width, 4) for layer in made.layers}

    return one


@pytest.fixture(scope="module")
def draw(layers):
    """A function that draws a name and returns straight RGBA ``[H, W, 4]``."""
    return lambda prompt, seed=1: layers(Operation.OBJECT, prompt, seed=seed)[Role.FOREGROUND]


def over(foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Straight RGBA over an opaque picture, float ``[H, W, 3]`` in 0 to 255."""
    alpha = foreground[..., 3:] / 255
    return foreground[..., :3] * alpha + background[..., :3] * (1 - alpha)


def distance(picture: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of the colours."""
    return float(np.abs(picture[..., :3] - other[..., :3].astype(float)).mean())


def keys(name: str) -> set[str]:
    with safe_open(WEIGHTS / name, "numpy") as file:
        return set(file.keys())


@pytest.mark.parametrize(
    "name",
    [*LAYERS.values(), ENCODER],
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
    ("name", "strongest", "seed"), [("red apple", 0, 2), ("green apple", 1, 1), ("tree", 1, 1), ("dolphin", 2, 1)]
)
def test_an_object_has_its_colour_soft_edges_and_nothing_around(draw, name: str, strongest: int, seed: int) -> None:
    rgba = draw(fill("{article} {}", name), seed)
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


@pytest.mark.parametrize("name", ["soap bubble", "wine glass", "smoke"])
def test_what_is_translucent_lets_the_background_through(draw, name: str) -> None:
    alpha = draw(fill("{article} {}", name))[..., 3]
    between = (alpha > 24) & (alpha < 224)
    assert between.sum() > 0.25 * (alpha > 24).sum()


def test_a_scene_is_an_object_an_opaque_background_and_both_together(layers) -> None:
    made = layers(Operation.SCENE, "an elephant on the sea")
    foreground, background, blend = (made[role] for role in (Role.FOREGROUND, Role.BACKGROUND, Role.BLEND))
    assert 0.05 < (foreground[..., 3] > 200).mean() < 0.8 and foreground[0, 0, 3] == 0
    assert background[..., 3].min() == 255
    assert background[..., 2].mean() > background[..., 0].mean() + 20  # the sea
    assert distance(blend, over(foreground, background)) < 0.7 * distance(blend, background)


def test_a_background_fits_an_object_and_does_not_show_it(layers) -> None:
    penguin = layers(Operation.OBJECT, "a penguin")[Role.FOREGROUND]
    made = layers(Operation.BACKGROUND_FOR_OBJECT, "a meadow", [(Source.FOREGROUND, penguin)])
    background, blend = made[Role.BACKGROUND], made[Role.BLEND]
    assert background[..., 3].min() == 255
    assert np.argmax(background[SIDE // 2 :, :, :3].mean((0, 1))) == 1  # grass
    assert distance(blend, over(penguin, background)) < 0.7 * distance(blend, background)


def test_an_object_comes_into_a_background(layers) -> None:
    beach = layers(Operation.SCENE, "a beach ball on a beach")[Role.BACKGROUND]
    made = layers(Operation.OBJECT_ON_BACKGROUND, "a strawberry", [(Source.BACKGROUND, beach)])
    foreground, blend = made[Role.FOREGROUND], made[Role.BLEND]
    solid = foreground[..., 3] > 200
    assert 0.03 < solid.mean() < 0.8 and np.argmax(foreground[solid][:, :3].mean(0)) == 0
    assert distance(blend, over(foreground, beach)) < 0.7 * distance(blend, beach)


def test_refining_keeps_the_outline_and_little_strength_keeps_more(layers, draw) -> None:
    given = draw("a penguin")
    off = [
        np.abs(layers(Operation.OBJECT, "a penguin", [(Source.INIT, given)], strength=strength)[Role.FOREGROUND][..., 3]
               - given[..., 3].astype(float)).mean()
        for strength in (0.2, 0.6)
    ]  # fmt: skip
    assert 0 < off[0] < off[1] < 30


def test_weights_survive_a_work_folder_unchanged(tmp_path: Path) -> None:
    restore(WEIGHTS, tmp_path / "work")
    export(tmp_path / "work", tmp_path / "made")
    files = sorted(path.relative_to(WEIGHTS) for path in WEIGHTS.rglob("*.safetensors"))
    assert sorted(path.relative_to(tmp_path / "made") for path in (tmp_path / "made").rglob("*.safetensors")) == files
    for name in files:
        ours, made = load_file(WEIGHTS / name), load_file(tmp_path / "made" / name)
        assert set(made) == set(ours)
        assert all(torch.equal(made[key], ours[key]) for key in ours), name
    with pytest.raises(FileExistsError, match="another folder"):
        restore(WEIGHTS, tmp_path / "work")


@pytest.mark.parametrize("part", [np.s_[:, :], np.s_[64:192, :], np.s_[:, 32:]], ids=["square", "wide", "tall"])
def test_a_new_blend_stays_near_the_layers_and_leaves_them_with_strength(layers, draw, part) -> None:
    penguin = draw("a penguin")
    beach = layers(Operation.SCENE, "a beach ball on a beach")[Role.BACKGROUND]
    both = np.dstack([over(penguin, beach).round(), beach[..., 3]]).astype(np.uint8)
    given = [(Source.FOREGROUND, penguin[part].copy()), (Source.INIT, both[part].copy())]

    def blended(strength: float, prompt: str = "") -> np.ndarray:
        return layers(Operation.REBLEND, prompt, given, strength=strength)[Role.BLEND]

    nothing, weak, strong, whole = (blended(strength) for strength in (0.0, 0.3, 0.6, 1.0))
    off = [distance(blend, both[part]) for blend in (nothing, weak, strong, whole)]
    assert 0 < off[0] < off[1] < off[2] < off[3] and off[1] < 12, off
    # Not beside it either: every shift is further away.
    shifted = [distance(np.roll(weak, by, axis), both[part]) for by in (-6, 6) for axis in (0, 1)]
    assert off[1] < min(shifted), (off, shifted)
    assert weak[..., 3].min() == 255
    assert distance(blended(0.3, "a penguin on a beach"), weak) > 0
