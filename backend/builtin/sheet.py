"""The contact sheet of the built-in model: every sixth object of the closed list, as an artist would ask for it.

python -m backend.builtin.sheet --output backend/builtin/docs/contact-sheet.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.builtin.dataset import fill, things
from backend.engine.cache import Cache
from backend.engine.generate import generate
from backend.models import resolve
from backend.outputs import contact_sheet
from protocol.job import LayerSet
from protocol.request import Operation, Request

SIDE = 256
STEPS = 20
CFG = 4.0


def draw(names: list[str], seed: int) -> list[LayerSet]:
    """One object per name, all from the same seed."""
    files, cache = resolve("builtin"), Cache()
    return [
        generate(
            Request(Operation.OBJECT, "builtin", fill("{article} {}", name), "", SIDE, SIDE, STEPS, CFG, seed, 1),
            (),
            files,
            lambda _: None,
            lambda: False,
            cache,
        )
        for name in names
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--every", type=int, default=6, help="take every so many objects of the list")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    names = [thing.names[0] for thing in things()][options.first :: options.every]
    contact_sheet(draw(names, options.seed), options.output)
