"""Noise of SDE solvers as increments of one Brownian motion per image, which does not depend on the steps taken.

The motion is a dyadic tree of Brownian bridges (Gaines & Lyons 1997; Li et al. 2020, "Scalable Gradients for
Stochastic Differential Equations"). Seeds, depth and rounding are those of torchsde's ``BrownianTree``, on which
k-diffusion builds, and every node's noise is `noise.gaussian`, as the web interfaces replace it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .noise import gaussian

DIGITS = 6
"""Times are resolved to so many decimals, where the tree ends."""
POOL = 24
"""Words of entropy that a node's seed is mixed from."""


@dataclass(frozen=True)
class BrownianTree:
    """A Brownian motion W over [low, high] with W(low) = 0.

    Attributes:
        seed: decides the motion, together with the ends.
        low, high: first and last time.
        shape: of W at one time.
    """

    seed: int
    low: float
    high: float
    shape: tuple[int, ...]

    def __call__(self, time: float) -> Tensor:
        """W at a time within [low, high], float64 on the CPU, whatever was asked before."""
        time, start, end = (round(t, DIGITS) for t in (time, self.low, self.high))
        before = torch.zeros(self.shape, dtype=torch.float64)
        increment = self._noise(self._entropy()) * (self.high - self.low) ** 0.5
        node, depth = 0, 0
        while start < time < end:
            middle = round(0.5 * (start + end), DIGITS)
            share = (middle - start) / (end - start)
            left = share * increment + (share * (end - middle)) ** 0.5 * self._noise(self._entropy(node, depth))
            if time <= middle:
                node, end, increment = 2 * node, middle, left
            else:
                node, start, before, increment = 2 * node + 1, middle, before + left, increment - left
            depth += 1
        return before if time == start else before + increment

    def _entropy(self, *place: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed, spawn_key=place, pool_size=POOL)

    def _noise(self, entropy: np.random.SeedSequence) -> Tensor:
        return gaussian(int(entropy.generate_state(1)[0]), self.shape).double()


class BrownianNoise:
    """Standard normal noise for each step of a solver, from a tree for every row.

    Args:
        seeds: of each row.
        low, high: the smallest noise level above 0 and the largest of the whole schedule.
        shape: of one row.
    """

    def __init__(self, seeds: Sequence[int], low: float, high: float, shape: tuple[int, ...]) -> None:
        self._trees = [BrownianTree(seed, low, high, shape) for seed in seeds]
        self._last: tuple[float, Tensor] | None = None

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        """The noise ``[B, *shape]`` float32 on the CPU of the step between two noise levels."""
        before = self._last[1] if self._last and self._last[0] == sigma else self._at(sigma)
        after = self._at(sigma_next)
        self._last = sigma_next, after
        return ((after - before) / abs(sigma_next - sigma) ** 0.5).float()

    def _at(self, sigma: float) -> Tensor:
        return torch.stack([tree(sigma) for tree in self._trees])
