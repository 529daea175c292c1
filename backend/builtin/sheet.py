"""The contact sheets of the built-in model, one for each mode, drawn through the engine.

    python -m backend.builtin.sheet --work FOLDER --output backend/builtin/docs

Objects are every sixth of the closed list, as an artist would ask for them; the other sheets show pairs of an object
and a place.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.builtin.dataset import REGISTRY, fetch, fill, things
from backend.builtin.drawing import Model, pairs
from backend.builtin.export import WEIGHTS
from backend.outputs import contact_sheet
from protocol.request import Operation

SIDE = 256
EVERY = 6
PAIRS = 12


def write(model: Model, archive: Path, folder: Path, seed: int) -> None:
    """Write ``contact-sheet.jpg``, ``scenes.jpg``, ``backgrounds.jpg`` and ``on-backgrounds.jpg`` to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [thing.names[0] for thing in things()][::EVERY]
    objects = [model.draw(Operation.OBJECT, fill("{article} {}", name), seed, side=SIDE) for name in names]
    contact_sheet(objects, folder / "contact-sheet.jpg")
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--registry", default=REGISTRY)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write(Model(options.weights), fetch(options.work, options.registry), options.output, options.seed)
