"""Last training stage: the transparent decoder alone, once the latent space is fixed.

    torchrun --nproc-per-node 2 -m backend.builtin.polish --work FOLDER --minutes 8

The UNet's latents are never quite those of the encoder, so the decoder is shown noisier ones than in the first stage,
and nothing but what a person sees counts.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from backend.builtin.codec import BATCH, Codec, augment, decoder_loss, orientation, report
from backend.builtin.dataset import fetch, pictures, things
from backend.builtin.loop import join, options, run

LEARNING_RATE = 7e-4
LATENT_NOISE = 0.06


def loss_of(codec: Codec, rgba: Tensor) -> Tensor:
    """Loss of the transparent decoder on one batch of padded straight RGBA."""
    with torch.no_grad():
        latent = codec.encode(rgba)
        latent = latent + LATENT_NOISE * torch.randn_like(latent)
        picture = codec.picture(latent)
    return decoder_loss(codec.alpha_and_colour(picture, latent, *orientation()), rgba)


def train(work: Path, minutes: float, registry: str) -> None:
    """Train for so many minutes in all (over any number of starts) and leave ``polish.pt`` in the work folder."""
    join()
    images = pictures(fetch(work, registry), [thing.code for thing in things()])
    codec = Codec()
    codec.load_state_dict(torch.load(work / "codec_white.pt", weights_only=True)["codec"])
    codec.requires_grad_(False)
    codec.decoder.requires_grad_(True)

    def loss(source: random.Random, _: float) -> Tensor:
        chosen = torch.tensor([source.randrange(len(images)) for _ in range(BATCH)])
        with torch.autocast("cpu", torch.bfloat16):
            return loss_of(codec, augment(images[chosen]))

    check = images[::10].float() / 255
    run(work / "polish.pt", codec, loss, minutes, LEARNING_RATE, lambda shadow: report(cast(Codec, shadow), check))


if __name__ == "__main__":
    chosen = options(__doc__, 8)
    train(chosen.work, chosen.minutes, chosen.registry)
