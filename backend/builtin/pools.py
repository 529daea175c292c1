"""What the codec is trained on: objects, other icons, translucent things, scenes, and objects in scenes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.builtin import composite, scenes, translucent
from backend.builtin.dataset import SIDE, other_icons, portraits, things

TRANSPARENT, OPAQUE = 4, 2
"""Pictures of a batch with alpha, and scenes and objects in scenes."""
OWN_SHARE, OTHER_SHARE = 0.5, 0.25
"""How often a picture with alpha is of the closed list, or another icon; else it is drawn."""
DRAWN_EACH = 24
SCENES = 900
PLACE_SHARE = 0.8
"""How often a scene is a place; else a plain colour or a gradient."""


def scene_index(source: random.Random) -> int:
    """A scene of the list, places more often."""
    if source.random() < PLACE_SHARE:
        return source.randrange(scenes.PLACES)
    return source.randrange(scenes.PLACES, len(scenes.SCENES))


def augment(images: Tensor) -> Tensor:
    """uint8 ``[B, 4, H, W]`` → float in [0, 1], with a random flip, turn, scale, shift and channel order."""
    count = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count) * (high - low) + low

    angle, zoom = uniform(-0.35, 0.35), uniform(0.85, 1.5)
    flip = (torch.rand(count) < 0.5).float() * 2 - 1
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    rows = [
        torch.stack([cos * flip, -sin, uniform(-0.15, 0.15)], 1),
        torch.stack([sin * flip, cos, uniform(-0.15, 0.15)], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    pixels = images.float() / 255
    colour = F.grid_sample(pixels[:, :3], grid, padding_mode="border", align_corners=False)
    alpha = F.grid_sample(pixels[:, 3:], grid, align_corners=False)
    if torch.rand(()) < 0.2:
        colour = colour[:, torch.randperm(3)]
    return torch.cat([colour, alpha], 1)


def mirrored(images: Tensor) -> Tensor:
    """uint8 ``[B, 4, H, W]`` → float in [0, 1], every second picture mirrored by chance, its pixels untouched."""
    pixels = images.float() / 255
    return torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, pixels.flip(3), pixels)


class Pools:
    """Pictures in memory, uint8; every process draws its own scenes and translucent things.

    Attributes:
        own, others, drawn: objects of the closed list, other icons, `DRAWN_EACH` of each translucent kind.
        scenes, kinds, grounds: pictures ``[N, 3, H, W]``, which scene each is, where one can stand.
    """

    def __init__(self, archive: Path, seed: int):
        self.own = portraits(archive, things(), seed)
        self.others = other_icons(archive, held_out=False)
        drawn = [
            translucent.draw(name, 7919 * seed + number, SIDE)
            for name in translucent.TRANSLUCENT
            for number in range(DRAWN_EACH)
        ]
        self.drawn = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).contiguous()
        source = random.Random(seed)
        kinds = [scene_index(source) for _ in range(SCENES)]
        painted = [scenes.draw(kind, source.randrange(2**40), SIDE) for kind in kinds]
        self.kinds = torch.tensor(kinds)
        self.scenes = torch.from_numpy(np.stack([picture for picture, _ in painted])).permute(0, 3, 1, 2).contiguous()
        self.grounds = torch.tensor([float("nan") if ground is None else ground for _, ground in painted])

    def batch(self, source: random.Random, side: int = SIDE, sharp: float = 0.0) -> Tensor:
        """`TRANSPARENT` padded straight RGBA pictures, then `OPAQUE` ones with alpha 1, ``[B, 4, H, W]`` in [0, 1].

        With a side smaller than `SIDE` every batch is cut out of somewhere. So large a share of the batches as `sharp`
        is mirrored at most: `augment` interpolates, so no outline that comes out of it is as hard as an icon's.
        """
        rows = []
        for _ in range(TRANSPARENT + OPAQUE - 1):
            kind = source.random()
            pool = self.own if kind < OWN_SHARE else self.others if kind < OWN_SHARE + OTHER_SHARE else self.drawn
            rows.append(pool[source.randrange(len(pool))])
        objects = mirrored(torch.stack(rows)) if source.random() < sharp else augment(torch.stack(rows))
        chosen = torch.tensor([source.randrange(len(self.scenes)) for _ in range(OPAQUE)])
        pictures, grounds = self.scenes[chosen].float() / 255, self.grounds[chosen]
        if source.random() < 0.5:
            pictures = pictures.flip(3)
        if source.random() < 0.2:
            pictures = pictures[:, torch.randperm(3)]
        placed = composite.stand(objects[TRANSPARENT:], grounds[1:])
        pictures[1:] = composite.blend(placed, pictures[1:], grounds[1:])
        whole = torch.cat([objects[:TRANSPARENT], torch.cat([pictures, torch.ones_like(pictures[:, :1])], 1)])
        top, left = (source.randrange(SIDE - side + 1) for _ in range(2))
        return whole[..., top : top + side, left : left + side]
