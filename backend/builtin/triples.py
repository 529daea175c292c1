"""Second stage, other half: objects in scenes as (foreground, background, blend), for the modes with several pictures.

Made in parts, each drawn from its own seed, so that the processes share the work and a restart goes on.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from backend.builtin import composite, scenes
from backend.builtin.codec import Codec
from backend.builtin.dataset import SIDE, portraits, things
from backend.builtin.loop import save_atomically
from backend.builtin.pools import scene_index

PARTS = 12
EACH = 432
"""Triples of a part."""
GROUP = 16


@torch.no_grad()
def make(codec: Codec, archive: Path, folder: Path, rank: int, processes: int) -> None:
    """Write this process's parts to the folder, those that are not there yet.

    A part holds ``latents [EACH, 3, C, h, w]`` float16 (foreground with its offset; background and blend of the VAE
    alone), ``foreground`` (over mid-grey) and ``background`` as uint8 ``[EACH, 3, SIDE, SIDE]``, the conditions of the
    modes, and ``thing``, ``scene`` ``[EACH]``.
    """
    folder.mkdir(exist_ok=True)
    chosen = things()
    for part in range(rank, PARTS, processes):
        target = folder / f"{part:02}.pt"
        if target.exists():
            continue
        source, generator = random.Random(part), torch.Generator().manual_seed(part)
        images = portraits(archive, chosen, seed=100 + part)
        drawn = [_group(codec, images, source, generator) for _ in range(EACH // GROUP)]
        save_atomically(target, **{key: torch.cat([group[key] for group in drawn]) for key in drawn[0]})
        print(f"triples: part {part + 1} of {PARTS}", flush=True)


def _group(codec: Codec, images: Tensor, source: random.Random, generator: torch.Generator) -> dict[str, Tensor]:
    rows = [source.randrange(len(images)) for _ in range(GROUP)]
    kinds = [scene_index(source) for _ in range(GROUP)]
    painted = [scenes.draw(kind, source.randrange(2**40), SIDE) for kind in kinds]
    background = torch.from_numpy(np.stack([picture for picture, _ in painted])).permute(0, 3, 1, 2).float() / 255
    ground = torch.tensor([float("nan") if ground is None else ground for _, ground in painted])
    foreground = composite.stand(images[rows].float() / 255, ground, generator)
    blend = composite.blend(foreground, background, ground)
    over_grey = (foreground[:, :3] - 0.5) * foreground[:, 3:] + 0.5
    latents = [codec.encode(foreground), *(codec.encode_picture(2 * x - 1) for x in (background, blend))]
    return {
        "latents": torch.stack(latents, 1).half(),
        "foreground": (over_grey * 255).round().byte(),
        "background": (background * 255).round().byte(),
        "thing": torch.tensor(rows),
        "scene": torch.tensor(kinds),
    }
