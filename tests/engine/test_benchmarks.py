"""The naive forms in the benchmarks compute the same as the engine, so that their ratios mean something."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from backend.benchmarks.__main__ import row
from backend.benchmarks.cases import SMALL, comparisons
from backend.benchmarks.measure import Comparison, compare, peak
from backend.engine.device import HOST, Device

DEVICE = Device(HOST, torch.float32, torch.float32, torch.float32)
SIZES = replace(
    SMALL, unet=(32, 64, 64, 64), rank=8, vae=(32, 32, 32, 32), decoder=(8, 8, 8, 16, 16), attention_from=3, side=64,
    large=128,
)


def test_both_ways_of_every_comparison_give_the_same():
    names = []
    with torch.inference_mode():
        for comparison in comparisons(SIZES, DEVICE):
            names.append(comparison.name)
            if "fast" not in comparison.name:
                torch.testing.assert_close(comparison.ours(), comparison.naive(), atol=5e-5, rtol=1e-4)
    assert len(names) == len(set(names)) == 11


def test_an_outcome_tells_time_memory_and_difference():
    place = torch.device("cpu")
    big = Comparison("x", lambda: torch.ones(2**22, 4), lambda: torch.full((2**22, 4), 1.5))
    outcome = compare(big, place, 1)
    assert outcome.difference == 0.5 and min(outcome.seconds) > 0
    line = row("x", outcome)
    assert line.startswith("x ") and "5.0e-01" in line
    used = peak(big.naive, place)[1]
    if used is None:
        pytest.skip("this system does not tell a process's peak")
    assert used > 2**25
