"""The contact sheets of the built-in model, one for each mode, drawn through the engine.

    python -m backend.builtin.sheet --work FOLDER --output backend/builtin/docs

Objects are every sixth of the closed list, as an artist would ask for them; what is refined stands beside what it was
made of; the other sheets show pairs of an object and a place.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from backend.builtin.dataset import REGISTRY, fetch_for, fill, things
from backend.builtin.drawing import Model, pairs
from backend.builtin.export import WEIGHTS
from backend.outputs import contact_sheet
from protocol.job import LayerSet
from protocol.request import Operation, Source

SIDE = 256
EVERY = 6
PAIRS = 12
REFINED = {
    "apple": "tomato", "bear": "panda", "dog": "wolf", "cat": "fox", "pine tree": "christmas tree",
    "red heart": "blue heart", "car": "taxi", "basketball": "crystal ball", "lion": "tiger",
    "tangerine": "halloween pumpkin", "balloon": "soap bubble", "glass of water": "wine glass",
}  # fmt: skip
"""Objects, and what the prompt makes of them."""
STRENGTH = 0.6


def write(model: Model, archive: Path, folder: Path, seed: int) -> None:
    """Write ``contact-sheet.jpg``, ``refined.jpg``, ``scenes.jpg``, ``backgrounds.jpg`` and ``on-backgrounds.jpg``."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [thing.names[0] for thing in things()][::EVERY]
    objects = [model.draw(Operation.OBJECT, fill("{article} {}", name), seed, side=SIDE) for name in names]
    contact_sheet(objects, folder / "contact-sheet.jpg")
    refined = [layer_set for names in REFINED.items() for layer_set in _refined(model, *names, seed)]
    contact_sheet(refined, folder / "refined.jpg")
    asked = list(pairs(PAIRS))
    together = [model.draw(Operation.SCENE, pair.prompt, seed, side=SIDE) for pair in asked]
    contact_sheet(together, folder / "scenes.jpg")
    behind = [
        model.draw(Operation.BACKGROUND_FOR_OBJECT, pair.scene_prompt, seed, 1, [pair.foreground(archive)], SIDE)
        for pair in asked
    ]
    contact_sheet(behind, folder / "backgrounds.jpg")
    before = [
        model.draw(Operation.OBJECT_ON_BACKGROUND, pair.prompt, seed, 1, [pair.background()], SIDE)
        for pair in asked
    ]
    contact_sheet(before, folder / "on-backgrounds.jpg")


def _refined(model: Model, given: str, wanted: str, seed: int) -> Iterator[LayerSet]:
    """An object, and another one that is made of its layer."""
    before = model.draw(Operation.OBJECT, fill("{article} {}", given), seed, side=SIDE)
    layer = before.layers[0]
    pixels = np.frombuffer(layer.pixels, np.uint8).reshape(SIDE, SIDE, 4)
    yield before
    yield model.draw(
        Operation.OBJECT, fill("{article} {}", wanted), seed, 1, [(Source.INIT, pixels)], SIDE, STRENGTH
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--registry", default=REGISTRY)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write(Model(options.weights), fetch_for(parser, options.work, options.registry), options.output, options.seed)
