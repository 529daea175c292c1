"""Last training stage: the two decoders alone, once the latent space is fixed.

    torchrun --nproc-per-node 2 -m backend.builtin.polish --work FOLDER --minutes 8

The UNet's latents are never quite those of the encoder, so the decoders are shown noisier ones than in the first stage,
by an amount that differs from picture to picture, and nothing but what a person sees counts.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from backend.builtin.codec import Codec, encode_batch, pictures_loss, report
from backend.builtin.dataset import fetch, portraits, things
from backend.builtin.loop import join, options, quick, run
from backend.builtin.pools import Pools

LEARNING_RATE = 7e-4
LATENT_NOISE = 0.06
SHARP_SHARE, SHARP_FROM = 0.5, 0.7
"""How often the decoders see pixels as they are, and from which share of the training on always: after nothing but
interpolated ones every outline stays soft."""


def loss_of(codec: Codec, rgba: Tensor) -> Tensor:
    """Loss of both decoders on a batch of `pools.Pools`."""
    with torch.no_grad():
        latent = encode_batch(codec, rgba)
    amount = LATENT_NOISE * torch.rand(len(latent), 1, 1, 1)
    return pictures_loss(codec, latent + amount * torch.randn_like(latent), rgba)


def train(work: Path, minutes: float, registry: str) -> None:
    """Train for so many minutes in all (over any number of starts) and leave ``polish.pt`` in the work folder."""
    rank = join()
    archive = fetch(work, registry)
    material = Pools(archive, seed=11 + rank)
    codec = Codec()
    codec.load_state_dict(torch.load(work / "codec_white.pt", weights_only=True)["codec"])
    codec.requires_grad_(False)
    for part in (codec.vae.post_quant_conv, codec.vae.decoder, codec.decoder):
        cast(nn.Module, part).requires_grad_(True)

    def loss(source: random.Random, done: float) -> Tensor:
        sharp = SHARP_SHARE if done < SHARP_FROM else 1.0
        with quick():
            return loss_of(codec, material.batch(source, sharp=sharp))

    check = portraits(archive, things()[::10]).float() / 255
    run(work / "polish.pt", codec, loss, minutes, LEARNING_RATE, lambda shadow: report(cast(Codec, shadow), check))


if __name__ == "__main__":
    chosen = options(__doc__, 8)
    train(chosen.work, chosen.minutes, chosen.registry)
