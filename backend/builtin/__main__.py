"""Rebuild the built-in model from its data: ``python -m backend.builtin --work FOLDER``.

Runs the stages one after another, each resumable: kill it at any time and start it again. With the default budgets
it takes about two and a half hours on two CPU cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from backend.builtin.dataset import REGISTRY

STAGES = (("codec", 30.0), ("unet", 110.0), ("units", 5.0), ("polish", 15.0))
"""Stage and its budget in minutes."""


def main() -> int:
    """Run all stages and export; the exit status is that of the stage that failed, or 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for the data and the training states")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on every stage's minutes")
    parser.add_argument("--registry", default=REGISTRY, help="npm registry that has the icons")
    options = parser.parse_args()
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(min(os.cpu_count() or 1, 4))]
    commands = [
        [
            *launch,
            "-m",
            f"backend.builtin.{stage}",
            "--work",
            str(options.work),
            "--minutes",
            str(minutes * options.scale),
            "--registry",
            options.registry,
        ]
        for stage, minutes in STAGES
    ]
    commands.append([sys.executable, "-m", "backend.builtin.export", "--work", str(options.work)])
    for command in commands:
        print(">", *command[1:], flush=True)
        status = subprocess.call(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
