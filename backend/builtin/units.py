"""Fourth stage: the sharing units of the four modes, each on the frozen UNet.

    torchrun --nproc-per-node 2 -m backend.builtin.units --mode joint --work FOLDER --minutes 20

What comes out has the key grammar of the released ``layer_sd15_*`` files, at a smaller rank and, in the modes that
start from a picture, with a narrower control encoder.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch

from backend.builtin import shapes
from backend.builtin.loop import join, parser_of, run, trained
from backend.builtin.material import CONDITIONS, FRAMES, Material
from backend.builtin.unet import BATCH, Painter, loss_of, schedule
from backend.engine.sharing import SharingLayers, attach

LEARNING_RATE = {"transparent_attn": 1e-3, "joint": 1e-3, "fg2bg": 2e-3, "bg2fg": 2e-3}
GIVEN = {"spread": 0.5, "most": 15.0}
NOISE = {"joint": {"spread": 0.7, "most": 8.0}, "fg2bg": GIVEN, "bg2fg": GIVEN}
"""How times are drawn and weighted: more of the first steps than for the base model. They decide on shapes, and where a
picture is given on colours too, which are known from it when the whole is but a small part of the noise."""


def train(mode: str, work: Path, minutes: float, registry: str) -> None:
    """Train for so many minutes in all (over any number of starts) and leave ``{mode}.pt`` in the work folder."""
    join()
    material = Material(work, registry)
    torch.manual_seed(5)
    painter = Painter(material.tokenizer)
    painter.load_state_dict(trained(work / "unet.pt"))
    painter.requires_grad_(False)
    frames = len(FRAMES[mode])
    widths = shapes.CONTROL_WIDTHS if mode in CONDITIONS else None
    layers = SharingLayers.for_unet(painter.unet, shapes.SHARING_RANK, frames, widths)
    attached = attach(painter.unet, layers, merge=False)
    alphas = schedule()

    def loss(source: random.Random, _: float) -> torch.Tensor:
        batch = material.mode(mode, source, BATCH // frames)
        attached.set_control(batch.condition)
        return loss_of(painter, batch, alphas, frames, **NOISE.get(mode, {}))

    run(work / f"{mode}.pt", layers, loss, minutes, LEARNING_RATE[mode])


if __name__ == "__main__":
    parser = parser_of(__doc__, 20)
    parser.add_argument("--mode", choices=tuple(FRAMES), required=True)
    chosen = parser.parse_args()
    train(chosen.mode, chosen.work, chosen.minutes, chosen.registry)
