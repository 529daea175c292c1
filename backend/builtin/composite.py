"""An object put into a scene: moved to where it can stand, with the shadow it throws on the ground.

Everything is batched: objects are padded straight RGBA ``[B, 4, H, W]`` and scenes ``[B, 3, H, W]``, float in [0, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SCALE = (0.62, 0.85)
SHADOW = 0.5
SQUASH = 0.16
"""Height of the shadow to that of what throws it."""


def extent(alpha: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Left, right, top and bottom ``[B]`` of what is visible in ``[B, 1, H, W]``, in [-1, 1]."""
    visible = alpha[:, 0] > 0.1

    def ends(along: Tensor) -> tuple[Tensor, Tensor]:
        size = along.shape[1]
        first = along.int().argmax(1).float()
        last = size - 1 - along.flip(1).int().argmax(1).float()
        return 2 * first / size - 1, 2 * (last + 1) / size - 1

    return *ends(visible.any(1)), *ends(visible.any(2))


def moved(rgba: Tensor, scale_x: Tensor, scale_y: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Scale and shift: the point p of the picture comes to scale · p + (x, y); coordinates in [-1, 1]."""
    zero = torch.zeros_like(x)
    rows = torch.stack(
        [torch.stack([1 / scale_x, zero, -x / scale_x], 1), torch.stack([zero, 1 / scale_y, -y / scale_y], 1)], 1
    )
    grid = F.affine_grid(rows, list(rgba.shape), align_corners=False)
    colour = F.grid_sample(rgba[:, :-1], grid, padding_mode="border", align_corners=False)
    return torch.cat([colour, F.grid_sample(rgba[:, -1:], grid, align_corners=False)], 1)


def stand(rgba: Tensor, ground: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Make objects smaller and put them on the ground.

    Args:
        rgba: objects that fill the picture.
        ground: height of every scene's ground ``[B]`` from 0 (top) to 1, nan where an object floats.
    """
    count = len(rgba)
    left, right, top, bottom = extent(rgba[:, 3:])

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    scale = uniform(*SCALE)
    feet = torch.maximum(2 * ground - 1, torch.full_like(ground, 0.55)) + uniform(0.05, 0.3)
    floating = scale * (bottom - top) / 2 + uniform(-0.12, 0.12)
    feet = torch.where(ground.isnan(), floating, feet).clamp(max=0.94)
    middle = uniform(-1, 1) * (1 - scale * (right - left) / 2).clamp(0, 0.25)
    return moved(rgba, scale, scale, middle - scale * (left + right) / 2, feet - scale * bottom)


def shadow(alpha: Tensor, ground: Tensor) -> Tensor:
    """The contact shadow ``[B, 1, H, W]`` of standing objects, none where an object floats (ground nan)."""
    _, _, _, bottom = extent(alpha)
    squash = torch.full_like(bottom, SQUASH)
    down = bottom - squash * (bottom - 0.12)
    lying = moved(alpha.expand(-1, 2, -1, -1), torch.full_like(bottom, 1.08), squash, torch.zeros_like(bottom), down)
    size = alpha.shape[-1] // 32 * 2 + 1
    soft = lying[:, 1:]
    for _ in range(2):
        soft = F.avg_pool2d(soft, size, 1, size // 2)
    return SHADOW * torch.where(ground.isnan().view(-1, 1, 1, 1), torch.zeros_like(soft), soft)


def blend(foreground: Tensor, scene: Tensor, ground: Tensor) -> Tensor:
    """The object over the scene that its shadow darkens, ``[B, 3, H, W]``."""
    alpha = foreground[:, 3:]
    return foreground[:, :3] * alpha + scene * (1 - shadow(alpha, ground)) * (1 - alpha)
