"""Seconds and memory of two ways to compute one thing."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
Way = Callable[[], Tensor]


@dataclass(frozen=True)
class Comparison:
    """Two ways to compute one tensor.

    Attributes:
        name: for people.
        naive: as the formulas say it, step by step.
        ours: as the engine does it.
    """

    name: str
    naive: Way
    ours: Way


@dataclass(frozen=True)
class Outcome:
    """What a comparison gave.

    Attributes:
        seconds: of the naive way and of ours, the best of the repetitions.
        peaks: bytes that each needed beyond what was there before; None where the system does not tell.
        difference: the largest between the two results.
    """

    seconds: tuple[float, float]
    peaks: tuple[int | None, int | None]
    difference: float


def compare(comparison: Comparison, place: torch.device, repeats: int) -> Outcome:
    """Run both ways, once for memory and then in turn for time."""
    ways = comparison.naive, comparison.ours
    with torch.inference_mode():
        (expected, naive_peak), (found, our_peak) = (peak(way, place) for way in ways)
        difference = float((expected.float().cpu() - found.float().cpu()).abs().max())
        rounds = [[seconds(way, place) for way in ways] for _ in range(repeats)]
    naive, ours = (min(column) for column in zip(*rounds, strict=True))
    return Outcome((naive, ours), (naive_peak, our_peak), difference)


def seconds(way: Way, place: torch.device) -> float:
    """Time of one run: by the clock on a card; on a CPU that of all threads, so that its other work does not count."""
    clock = time.process_time if place.type == "cpu" else time.perf_counter
    _wait(place)
    start = clock()
    way()
    _wait(place)
    return clock() - start


def peak(way: Way, place: torch.device) -> tuple[Tensor, int | None]:
    """The result, and the most bytes that were in use beyond those before: of the card, or of the process (Linux)."""
    if place.type == "cuda":
        torch.cuda.reset_peak_memory_stats(place)
        before = torch.cuda.memory_allocated(place)
        result = way()
        _wait(place)
        return result, torch.cuda.max_memory_allocated(place) - before
    before = _forget_peak()
    result = way()
    return result, _resident("VmHWM") - before if before is not None else None


def _wait(place: torch.device) -> None:
    if place.type == "cuda":
        torch.cuda.synchronize(place)


def _forget_peak() -> int | None:
    """Bytes in use now, from which on the process's peak is counted anew."""
    if LIBC is not None and hasattr(LIBC, "malloc_trim"):
        # What glibc keeps of freed memory would hide as much of the next peak.
        LIBC.malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _resident("VmRSS")


def _resident(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(field + ":"))
