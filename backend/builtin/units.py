"""Fourth stage: the attention sharing units of the transparent mode, trained on the frozen UNet.

    torchrun --nproc-per-node 2 -m backend.builtin.units --work FOLDER --minutes 8

What comes out has the key grammar of the released ``layer_sd15_transparent_attn`` file, at a smaller rank.
"""

from __future__ import annotations

from pathlib import Path

import torch

from backend.builtin import shapes
from backend.builtin.loop import join, options, run, trained
from backend.builtin.unet import Material, Painter, loss_of, schedule
from backend.engine.sharing import SharingLayers, attach

LEARNING_RATE = 5e-4


def train(work: Path, minutes: float, registry: str) -> None:
    """Train for so many minutes in all (over any number of starts) and leave ``sharing.pt`` in the work folder."""
    join()
    material = Material(work, registry)
    torch.manual_seed(5)
    painter = Painter(material.tokenizer)
    painter.load_state_dict(trained(work / "unet.pt"))
    painter.requires_grad_(False)
    layers = SharingLayers.for_unet(painter.unet, shapes.SHARING_RANK)
    attach(painter.unet, layers, merge=False)
    alphas = schedule()
    run(
        work / "sharing.pt",
        layers,
        lambda source, _: loss_of(painter, *material.batch(source), alphas),
        minutes,
        LEARNING_RATE,
    )


if __name__ == "__main__":
    chosen = options(__doc__, 8)
    train(chosen.work, chosen.minutes, chosen.registry)
