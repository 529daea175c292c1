"""What every training stage shares: a wall-clock budget that survives restarts, and files that are never half written."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

WARMUP_STEPS = 100
DECAY_FROM = 0.5


class Clock:
    """Counts steps and seconds against a budget in minutes."""

    def __init__(self, minutes: float):
        self.budget = minutes * 60
        self.step = 0
        self._before = 0.0
        self._start = time.monotonic()

    def resume(self, step: int, seconds: float) -> None:
        """Go on from a saved state."""
        self.step, self._before = step, seconds

    def tick(self) -> None:
        """Count one step."""
        self.step += 1

    @property
    def seconds(self) -> float:
        """Seconds trained in all starts together."""
        return self._before + time.monotonic() - self._start

    @property
    def over(self) -> bool:
        """Whether the budget is used up."""
        return self.seconds >= self.budget

    def rate(self) -> float:
        """Learning-rate factor: short warm-up, flat, then linear to 2 % over the second half of the budget."""
        done = min(self.seconds / self.budget, 1.0)
        decay = 1.0 if done < DECAY_FROM else 1.0 - 0.98 * (done - DECAY_FROM) / (1 - DECAY_FROM)
        return min(1.0, (self.step + 1) / WARMUP_STEPS) * decay

    def state(self) -> dict[str, float]:
        """What `resume` takes."""
        return {"step": self.step, "seconds": self.seconds}

    def __str__(self) -> str:
        return f"step {self.step}, {self.seconds / 60:.1f} of {self.budget / 60:.0f} min"


def save_atomically(path: Path, **state: object) -> None:
    """Write a training state beside its target, then move it there."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)
