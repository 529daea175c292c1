"""All numbers of the model card, as a table: ``python -m backend.builtin.measure --work FOLDER``.

Every picture is drawn by the engine from the files in `--weights`; what it shows is told by the classifier of the work
folder. The work folder of `backend.builtin` has what is needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.builtin import scenes, translucent
from backend.builtin.classifier import CLASSIFIER, Judge, at_judging_size, judge_of
from backend.builtin.dataset import REGISTRY, SIDE, fetch_for, fill, other_icons, portraits, positive, things
from backend.builtin.drawing import Model, pairs
from backend.builtin.export import WEIGHTS
from backend.builtin.roundtrip import opaque_psnr, round_trip, shipped
from protocol.request import Operation, Role

SEEDS = 3
PAIRS = 64
"""Objects in scenes for each of the modes with several pictures."""
EMPTY, FULL = 0.01, 0.95
"""Mean alpha below which a result is empty, above which it is opaque."""


def ranks(logits: Tensor, names: Sequence[int]) -> Tensor:
    """At which place the right name stands, 0 for the first."""
    right = logits.gather(1, torch.tensor(names)[:, None])
    return (logits > right).sum(1)


def over_grey(rgba: Tensor) -> Tensor:
    """``[4, H, W]`` over light grey."""
    return rgba[:3] * rgba[3:] + 0.75 * (1 - rgba[3:])


@torch.inference_mode()
def named(judge: Judge, layers: Sequence[Tensor], names: Sequence[int]) -> tuple[float, float]:
    """Shares of objects ``[4, H, W]`` whose name comes first, and among the first five."""
    seen = ranks(judge.objects(at_judging_size(torch.stack([over_grey(layer) for layer in layers]))), names)
    return (seen == 0).float().mean().item(), (seen < 5).float().mean().item()


@torch.inference_mode()
def placed(judge: Judge, layers: Sequence[Tensor], names: Sequence[int]) -> float:
    """Share of scenes that are named right."""
    seen = ranks(judge.scenes(at_judging_size(torch.stack([layer[:3] for layer in layers]))), names)
    return (seen == 0).float().mean().item()


def blend_psnr(image: dict[Role, Tensor]) -> float:
    """dB of a blend against its own foreground over its own background."""
    foreground = image[Role.FOREGROUND]
    wanted = foreground[:3] * foreground[3:] + image[Role.BACKGROUND][:3] * (1 - foreground[3:])
    return -10 * (image[Role.BLEND][:3] - wanted).square().mean().log10().item()


def codec_rows(weights: Path, archive: Path) -> Iterator[tuple[str, str]]:
    """Round trips of the closed list, of icons never trained on, of unseen translucent things and scenes."""
    codec = shipped(weights)
    drawn = [translucent.draw(name, 10**6 + seed, SIDE) for name in translucent.TRANSLUCENT for seed in range(4)]
    sets = {
        "objects of the list": portraits(archive, things()),
        "held-out icons": other_icons(archive, held_out=True),
        "unseen translucent things": torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2),
    }
    for name, images in sets.items():
        got = round_trip(codec, images.float() / 255)
        yield f"{name}: alpha, mean absolute error", f"{got.alpha:.4f}"
        yield f"{name}: composites, dB", f"{got.mean_psnr:.1f}"
        yield f"{name}: by backdrop, dB", ", ".join(f"{key} {value:.1f}" for key, value in got.psnr.items())
        yield f"{name}: alpha in empty areas", f"{got.residue:.4f}"
        yield f"{name}: error at outlines", f"{got.halo:.4f}"
    painted = [scenes.draw(index % scenes.PLACES, 10**6 + index, SIDE)[0] for index in range(64)]
    opaque = torch.from_numpy(np.stack(painted)).permute(0, 3, 1, 2).float() / 255
    yield "unseen scenes: through the VAE, dB", f"{opaque_psnr(codec, opaque):.1f}"


def object_rows(model: Model, judge: Judge, every: int) -> Iterator[tuple[str, str]]:
    """Every object of the list from several seeds."""
    rows = range(0, len(things()), every)
    layers, names = [], []
    for row in rows:
        images = model.layers(Operation.OBJECT, fill("{article} {}", things()[row].names[0]), 1, SEEDS)
        layers += [image[Role.FOREGROUND] for image in images]
        names += [row] * SEEDS
    alphas = torch.stack([layer[3].mean() for layer in layers])
    first, five = named(judge, layers, names)
    yield f"objects ({len(rows)} × {SEEDS} seeds): neither empty nor opaque", _share((alphas > EMPTY) & (alphas < FULL))
    yield "objects: named right", f"{first:.1%}; among the first five {five:.1%}"
    groups = [(row, layers[SEEDS * index : SEEDS * (index + 1)]) for index, row in enumerate(rows)]
    wrong = [row for row, group in groups if named(judge, group, [row] * SEEDS)[0] == 0]
    yield "objects: never named right", ", ".join(things()[row].names[0] for row in wrong) or "none"


def joint_rows(model: Model, judge: Judge, count: int) -> Iterator[tuple[str, str]]:
    """Foreground, background and blend together."""
    asked = list(pairs(count))
    images = [model.layers(Operation.SCENE, pair.prompt, 1)[0] for pair in asked]
    first, five = named(judge, [image[Role.FOREGROUND] for image in images], [pair.thing for pair in asked])
    right = placed(judge, [image[Role.BACKGROUND] for image in images], [pair.scene for pair in asked])
    yield f"joint ({count}): blend against foreground over background, dB", f"{_mean(map(blend_psnr, images)):.1f}"
    yield "joint: foreground named right", f"{first:.1%}; among the first five {five:.1%}"
    yield "joint: background named right", f"{right:.1%}"


def background_rows(model: Model, judge: Judge, archive: Path, count: int) -> Iterator[tuple[str, str]]:
    """A background for an object: it is the scene asked for, and does not show the object again."""
    asked = list(pairs(count))
    backgrounds, fits = [], []
    for pair in asked:
        given = pair.foreground(archive)
        image = model.layers(Operation.BACKGROUND_FOR_OBJECT, pair.scene_prompt, 1, given=[given])[0]
        backgrounds.append(image[Role.BACKGROUND])
        fits.append(blend_psnr(image | {Role.FOREGROUND: _picture(given[1])}))
    right = placed(judge, backgrounds, [pair.scene for pair in asked])
    yield f"fg2bg ({count}): background named right", f"{right:.1%}"
    copies = named(judge, backgrounds, [pair.thing for pair in asked])[1]
    yield "fg2bg: the object is among the first five that the classifier sees in the background", f"{copies:.1%}"
    yield "fg2bg: blend against the object over the background, dB", f"{_mean(fits):.1f}"


def foreground_rows(model: Model, judge: Judge, count: int) -> Iterator[tuple[str, str]]:
    """An object on a background, asked for by its name alone and together with the place."""
    asked = list(pairs(count))
    for of, prompt in (("the object alone", "object_prompt"), ("object and place", "prompt")):
        foregrounds, fits = [], []
        for pair in asked:
            given = pair.background()
            image = model.layers(Operation.OBJECT_ON_BACKGROUND, getattr(pair, prompt), 1, given=[given])[0]
            foregrounds.append(image[Role.FOREGROUND])
            fits.append(blend_psnr(image | {Role.BACKGROUND: _picture(given[1])}))
        first, five = named(judge, foregrounds, [pair.thing for pair in asked])
        yield f"bg2fg ({count}), prompt of {of}: object named right", f"{first:.1%}; among the first five {five:.1%}"
        yield f"bg2fg, prompt of {of}: blend against the object over the background, dB", f"{_mean(fits):.1f}"


def _picture(pixels: NDArray[np.uint8]) -> Tensor:
    """Pixels ``[H, W, C]`` of 0 to 255 as ``[C, H, W]`` in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def _mean(values: Iterator[float] | Sequence[float]) -> float:
    return float(np.mean(list(values)))


def _share(mask: Tensor) -> str:
    return f"{mask.float().mean().item():.1%}"


def main() -> None:
    """Print the table, row by row as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--registry", default=REGISTRY)
    parser.add_argument("--every", type=positive, default=1, help="take every so many objects of the list")
    parser.add_argument("--pairs", type=positive, default=PAIRS, help="objects in scenes for each mode")
    parser.add_argument("--only", choices=("codec", "objects", "joint", "fg2bg", "bg2fg"), help="measure just this")
    options = parser.parse_args()
    if options.only != "codec" and not (options.work / CLASSIFIER).exists():
        parser.error(f"{options.work} has no {CLASSIFIER}; python -m backend.builtin.classifier trains it there")
    archive = fetch_for(parser, options.work, options.registry)
    print("| what | measured |\n|---|---|")
    groups = {
        "codec": lambda: codec_rows(options.weights, archive),
        "objects": lambda: object_rows(Model(options.weights), judge_of(options.work), options.every),
        "joint": lambda: joint_rows(Model(options.weights), judge_of(options.work), options.pairs),
        "fg2bg": lambda: background_rows(Model(options.weights), judge_of(options.work), archive, options.pairs),
        "bg2fg": lambda: foreground_rows(Model(options.weights), judge_of(options.work), options.pairs),
    }
    for name, rows in groups.items():
        if options.only in (None, name):
            for what, value in rows():
                print(f"| {what} | {value} |", flush=True)


if __name__ == "__main__":
    main()
