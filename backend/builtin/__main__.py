"""Rebuild the built-in model from its data: ``python -m backend.builtin --work FOLDER``.

Runs the stages one after another, each resumable: kill it at any time and start it again. The budgets are processor
minutes of each of two processes; with the default ones it takes ten hours on two CPU cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from backend.builtin.dataset import REGISTRY, fetch_for, positive
from backend.builtin.export import WEIGHTS
from backend.builtin.measure import PAIRS

STAGES = (
    ("codec", 90.0, ()),
    ("unet", 155.0, ()),
    ("units", 17.0, ("--mode", "transparent_attn")),
    ("units", 50.0, ("--mode", "joint")),
    ("polish", 77.0, ()),
    ("classifier", 10.0, ()),
    ("units", 140.0, ("--mode", "fg2bg")),
    ("units", 80.0, ("--mode", "bg2fg")),
)
"""Stage, its budget in minutes, its own arguments."""


def main() -> int:
    """Run all stages, export, measure and draw the sheets; the exit status is that of what failed, or 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for the data and the training states")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on every stage's minutes")
    parser.add_argument("--registry", default=REGISTRY, help="npm registry that has the icons")
    parser.add_argument("--to", type=Path, default=WEIGHTS, help="folder for the files that the backend loads")
    parser.add_argument("--every", type=positive, default=1, help="measure every so many objects of the list")
    parser.add_argument("--pairs", type=positive, default=PAIRS, help="objects in scenes measured for each mode")
    options = parser.parse_args()
    fetch_for(parser, options.work, options.registry)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(min(os.cpu_count() or 1, 4))]
    common = ["--work", str(options.work), "--registry", options.registry]
    commands = [
        [*launch, "-m", f"backend.builtin.{stage}", *common, "--minutes", str(minutes * options.scale), *own]
        for stage, minutes, own in STAGES
    ]
    made = ["--weights", str(options.to)]
    part = ["--every", str(options.every), "--pairs", str(options.pairs)]
    commands += [
        [sys.executable, "-m", "backend.builtin.export", "--work", str(options.work), "--to", str(options.to)],
        [sys.executable, "-m", "backend.builtin.measure", *common, *made, *part],
        [sys.executable, "-m", "backend.builtin.sheet", *common, *made, "--output", str(options.work / "sheets")],
    ]
    for command in commands:
        print(">", *command[1:], flush=True)
        status = subprocess.call(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
