"""`python -m backend.benchmarks`: print how the engine compares with the naive form of the same formulas."""

from __future__ import annotations

import argparse

import torch

from backend.engine.device import choose

from .cases import FULL, SMALL, comparisons
from .measure import Outcome, compare

HEADER = f"{'':46} {'naive':>9} {'ours':>9} {'ratio':>7} {'memory, naive':>14} {'ours':>9} {'difference':>11}"


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(prog="python -m backend.benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="real sizes instead of narrow networks; minutes on a CPU")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, the best counts (default 3)")
    options = parser.parse_args()
    device = choose("sd15")
    print(f"on {device.place}, {torch.get_num_threads()} threads, torch {torch.__version__}\n\n{HEADER}")
    for comparison in comparisons(FULL if options.full else SMALL, device):
        print(row(comparison.name, compare(comparison, device.place, max(1, options.repeats))), flush=True)


def row(name: str, outcome: Outcome) -> str:
    """One line of the table."""
    naive, ours = outcome.seconds
    peaks = [f"{peak / 2**20:.0f} MiB" if peak is not None else "unknown" for peak in outcome.peaks]
    times = " ".join(f"{1000 * value:7.1f}ms" for value in outcome.seconds)
    return f"{name:46} {times} {naive / ours:6.2f}x {peaks[0]:>14} {peaks[1]:>9} {outcome.difference:11.1e}"


if __name__ == "__main__":
    main()
