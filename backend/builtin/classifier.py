"""The judge of what the model draws: a small classifier of objects and of scenes.

    torchrun --nproc-per-node 2 -m backend.builtin.classifier --work FOLDER --minutes 15

It learns from the icons, the drawn things and the procedural scenes under strong augmentation, never from generated
pictures, and is no part of the model: it stays in the work folder.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.builtin import translucent
from backend.builtin.dataset import DRAWN, fetch, things
from backend.builtin.loop import join, options, quick, run, trained
from backend.builtin.pools import DRAWN_EACH, Pools
from backend.builtin.scenes import SCENES

CLASSIFIER = "classifier.pt"
"""In the work folder."""
SIDE = 64
"""Pictures are judged at this size."""
WIDTHS = (24, 48, 96, 160)
BATCH = 32
LEARNING_RATE = 3e-3
HELD_OUT_SEED = 5
"""Of the pools' seeds: scenes and drawn things of another seed than in any training."""


class Judge(nn.Module):
    """Pictures ``[B, 3, 64, 64]`` in [0, 1] → logits of the objects and of the scenes."""

    def __init__(self, objects: int, scenes: int = len(SCENES)):
        super().__init__()
        self.trunks = nn.ModuleList(_trunk() for _ in range(2))
        self.heads = nn.ModuleList(nn.Linear(4 * WIDTHS[-1], count) for count in (objects, scenes))

    def objects(self, pictures: Tensor) -> Tensor:
        """Logits of the closed list."""
        return self._judge(0, pictures)

    def scenes(self, pictures: Tensor) -> Tensor:
        """Logits of `scenes.SCENES`."""
        return self._judge(1, pictures)

    def _judge(self, which: int, pictures: Tensor) -> Tensor:
        seen = self.trunks[which](2 * pictures - 1)
        return self.heads[which](F.adaptive_avg_pool2d(seen, 2).flatten(1))


def _trunk() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for width in WIDTHS:
        for inputs, stride in ((channels, 2), (width, 1)):
            layers += [nn.Conv2d(inputs, width, 3, stride, 1), nn.GroupNorm(8, width), nn.SiLU()]
        channels = width
    return nn.Sequential(*layers)


def at_judging_size(pictures: Tensor) -> Tensor:
    """Pictures ``[B, C, H, W]`` made small without aliasing."""
    return F.interpolate(pictures, (SIDE, SIDE), mode="bilinear", antialias=True)


def augment(rgba: Tensor, backdrops: Tensor) -> Tensor:
    """Objects (uint8 ``[B, 4, H, W]``) turned, moved, blurred and tinted over backdrops ``[B, 3, 64, 64]``."""
    count = len(rgba)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape) * (high - low) + low

    angle, zoom = uniform(-0.3, 0.3), uniform(0.85, 1.7)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    shift = [(zoom - 0.85).clamp(min=0.1) * uniform(-0.9, 0.9) for _ in range(2)]
    rows = [torch.stack([cos, -sin, shift[0]], 1), torch.stack([sin, cos, shift[1]], 1)]
    alpha = rgba[:, 3:].float() / 255
    small = at_judging_size(torch.cat([rgba[:, :3].float() / 255 * alpha, alpha], 1))
    grid = F.affine_grid(torch.stack(rows, 1), list(small.shape), align_corners=False)
    moved = F.grid_sample(small, grid, align_corners=False)
    return disturb(moved[:, :3] + backdrops * (1 - moved[:, 3:]))


def disturb(pictures: Tensor) -> Tensor:
    """Blur, other lightness, contrast and tint, noise."""
    count = len(pictures)
    size = int(torch.randint(28, SIDE + 1, ()))
    pictures = F.interpolate(F.interpolate(pictures, (size, size), mode="area"), (SIDE, SIDE), mode="bilinear")
    contrast, tint = 1 + 0.25 * torch.randn(count, 1, 1, 1), 0.06 * torch.randn(count, 3, 1, 1)
    pictures = (pictures - 0.5) * contrast + 0.5 + tint + 0.03 * torch.randn_like(pictures)
    return pictures.clamp(0, 1)


class Lessons:
    """Draws pictures with their right names."""

    def __init__(self, archive: Path, seed: int):
        self.material = Pools(archive, seed)
        self.scenes = at_judging_size(self.material.scenes.float() / 255)
        kinds = [DRAWN + name for name in translucent.TRANSLUCENT]
        self.drawn = [kinds.index(thing.code) if thing.code in kinds else None for thing in things()]

    def objects(self, source: random.Random) -> tuple[Tensor, Tensor]:
        """Pictures ``[B, 3, 64, 64]`` of objects over colours and scenes, indices in the closed list."""
        rows = [source.randrange(len(self.drawn)) for _ in range(BATCH)]
        plain = torch.rand(BATCH, 3, 1, 1).expand(-1, -1, SIDE, SIDE)
        backdrops = torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, plain, self._scenes(source)[0])
        return augment(torch.stack([self._object(row, source) for row in rows]), backdrops), torch.tensor(rows)

    def _object(self, row: int, source: random.Random) -> Tensor:
        kind = self.drawn[row]
        if kind is None:
            return self.material.own[row]
        return self.material.drawn[kind * DRAWN_EACH + source.randrange(DRAWN_EACH)]

    def places(self, source: random.Random) -> tuple[Tensor, Tensor]:
        """Pictures ``[B, 3, 64, 64]`` of scenes, indices in `scenes.SCENES`."""
        pictures, kinds = self._scenes(source)
        zoom, theta = 1 - 0.2 * torch.rand(BATCH), torch.zeros(BATCH, 2, 3)
        theta[:, 0, 0] = zoom * (torch.randint(2, (BATCH,)) * 2 - 1)
        theta[:, 1, 1] = zoom
        theta[:, :, 2] = (1 - zoom[:, None]) * (2 * torch.rand(BATCH, 2) - 1)
        grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
        return disturb(F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)), kinds

    def _scenes(self, source: random.Random) -> tuple[Tensor, Tensor]:
        rows = [source.randrange(len(self.scenes)) for _ in range(BATCH)]
        return self.scenes[rows], self.material.kinds[rows]


def train(work: Path, minutes: float, registry: str) -> None:
    """Train for so many minutes in all (over any number of starts) and leave ``classifier.pt`` in the work folder."""
    rank = join()
    archive = fetch(work, registry)
    lessons, unseen = Lessons(archive, seed=21 + rank), Lessons(archive, seed=HELD_OUT_SEED)
    torch.manual_seed(9)
    judge = Judge(len(things()))

    def loss(source: random.Random, _: float) -> Tensor:
        with quick():
            pictures, names = lessons.objects(source)
            named = F.cross_entropy(judge.objects(pictures).float(), names)
            pictures, kinds = lessons.places(source)
            return named + F.cross_entropy(judge.scenes(pictures).float(), kinds)

    def report(shadow: nn.Module) -> str:
        judged, source = cast(Judge, shadow), random.Random(0)
        shares = []
        for ask, draw in ((judged.objects, unseen.objects), (judged.scenes, unseen.places)):
            drawn = (draw(source) for _ in range(8))
            right = [(ask(pictures).argmax(1) == names).float().mean() for pictures, names in drawn]
            shares.append(torch.stack(right).mean().item())
        return f"classifier on new augmentations: objects {shares[0]:.3f}, scenes {shares[1]:.3f}"

    run(work / CLASSIFIER, judge, loss, minutes, LEARNING_RATE, report)


def judge_of(work: Path) -> Judge:
    """The trained classifier of a work folder."""
    judge = Judge(len(things()))
    judge.load_state_dict(trained(work / CLASSIFIER))
    return judge.eval()


if __name__ == "__main__":
    chosen = options(__doc__, 15)
    train(chosen.work, chosen.minutes, chosen.registry)
