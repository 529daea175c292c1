"""What a latent looks like, at the cost of one small convolution: a map that is fitted to what was decoded anyway.

The colour of a picture at a cell of its latent is nearly a linear function of the cell and its neighbours. The best one
is found by ridge regression over all pictures of the model so far, of which only sums are kept.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

KERNEL = 3
"""Cells across the neighbourhood that a colour is taken from. Over pictures of the built-in model its error is two
thirds of that of the cell alone; five cells are no better, nor are several colours for one cell."""
RIDGE = 0.01
"""Weight of the penalty, in mean squares of a latent's values."""
ENOUGH = 64
"""Cells from which on a map is of use: one small picture."""
CONTRAST = 1.4
"""Alpha is 0 or 1 nearly everywhere and a linear map stays short of both; so much steeper its error is half."""
SHARPNESS, LONGEST = 4, 128
"""Pixels for each cell, and on the longer side at most."""
FLOOR = 0.02
"""Alpha below which colours are not divided by it."""


class Projection:
    """Latents of one model → small pictures, as good as the pictures were that it has learned from."""

    def __init__(self) -> None:
        self._cells = 0
        self._squares = self._products = torch.zeros(())
        self._map: tuple[Tensor, Tensor] | None = None

    @property
    def is_known(self) -> bool:
        """Whether enough was learned to show something."""
        return self._cells >= ENOUGH

    def learn(self, latent: Tensor, rgba: NDArray[np.float32]) -> None:
        """Learn from an unscaled latent ``[1, C, h, w]`` and what was decoded of it, straight RGBA ``[H, W, 4]``."""
        latent = latent.float().cpu()
        if not latent.isfinite().all():
            return
        near = F.unfold(_padded(latent), KERNEL)[0].double()
        near = torch.cat([near, torch.ones_like(near[:1])])
        picture = torch.from_numpy(rgba).permute(2, 0, 1)
        picture = torch.cat([picture[:3] * picture[3:], picture[3:]])
        height, width = latent.shape[-2:]
        colours = F.adaptive_avg_pool2d(picture[None], (height, width))[0].flatten(1).double()
        self._cells += near.shape[1]
        self._squares, self._products = self._squares + near @ near.T, self._products + near @ colours.T
        self._map = None

    def __call__(self, latent: Tensor) -> NDArray[np.float32]:
        """A soft picture of an unscaled latent ``[1, C, h, w]``: straight RGBA of its shape."""
        if self._map is None:
            self._map = self._fit()
        latent = latent.float().cpu()
        sides = latent.shape[-2:]
        scale = min(SHARPNESS, LONGEST / max(sides))
        rows, columns = (max(1, round(side * scale)) for side in sides)
        covered = F.interpolate(F.conv2d(_padded(latent), *self._map), (rows, columns), mode="bicubic")[0]
        alpha = covered[3:]
        colour = (covered[:3] / alpha.clamp(min=FLOOR)).clamp(0, 1)
        alpha = ((alpha - 0.5) * CONTRAST + 0.5).clamp(0, 1)
        return torch.cat([colour, alpha]).permute(1, 2, 0).contiguous().numpy()

    def _fit(self) -> tuple[Tensor, Tensor]:
        """Kernel ``[4, C, 3, 3]`` and bias of premultiplied RGBA."""
        penalty = torch.full((len(self._squares),), RIDGE) * self._squares.diagonal()[:-1].mean()
        penalty[-1] = 0
        found = torch.linalg.lstsq(self._squares + penalty.diag(), self._products).solution.float()
        return found[:-1].T.reshape(4, -1, KERNEL, KERNEL).contiguous(), found[-1]


def _padded(latent: Tensor) -> Tensor:
    return F.pad(latent, (KERNEL // 2,) * 4, mode="replicate")
