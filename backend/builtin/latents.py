"""Second stage: whiten the latent space exactly, and cache the latents that the UNet and the units learn.

Whitening is a change of basis folded into the 1×1 convolutions on both sides of the latent, so the codec computes the
same pictures while every latent channel has mean 0, variance 1 and no correlation with the others. Without it, the
colour channels with little variance drown in the diffusion noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.builtin import scenes, triples
from backend.builtin.codec import Codec
from backend.builtin.dataset import SIDE, Thing, portraits, things
from backend.builtin.loop import save_atomically, trained, wait_for_all

VARIANTS = 8
MAX_TURN = 0.07
ZOOM = (1.0, 1.1)
MAX_SHIFT = 0.04


@torch.no_grad()
def whiten(codec: Codec, rgba: Tensor, opaque: Tensor) -> None:
    """Change the codec's latent basis in place so that all latents together are white.

    Args:
        rgba: objects ``[N, 4, H, W]`` in [0, 1].
        opaque: scenes ``[M, 3, H, W]`` in [0, 1].
    """
    transparent = [codec.encode(part) for part in rgba.split(16)]
    plain = [codec.encode_picture(2 * part - 1) for part in opaque.split(16)]
    latent = torch.cat(transparent + plain).permute(1, 0, 2, 3).flatten(1).double()
    mean = latent.mean(1)
    values, vectors = torch.linalg.eigh(torch.cov(latent))
    forward = torch.diag(values.rsqrt()) @ vectors.T
    backward = vectors @ torch.diag(values.sqrt())
    channels = len(mean)

    def rebase_input(conv: nn.Conv2d) -> None:
        weight = conv.weight.double().flatten(1)
        cast(Tensor, conv.bias).add_((weight @ mean).float())
        conv.weight.copy_((weight @ backward).float()[..., None, None])

    quant = cast(nn.Conv2d, codec.vae.quant_conv)
    quant.weight[:channels] = (forward @ quant.weight[:channels].double().flatten(1)).float()[..., None, None]
    bias = cast(Tensor, quant.bias)
    bias[:channels] = (forward @ (bias[:channels].double() - mean)).float()
    last = cast(nn.Conv2d, codec.offset.blocks[-1])
    last.weight.copy_(torch.einsum("ab,bchw->achw", forward, last.weight.double()).float())
    cast(Tensor, last.bias).copy_((forward @ cast(Tensor, last.bias).double()).float())
    rebase_input(cast(nn.Conv2d, codec.vae.post_quant_conv))
    rebase_input(codec.decoder.latent_conv_in)


@torch.no_grad()
def cache(codec: Codec, archive: Path, chosen: list[Thing], generator: torch.Generator) -> Tensor:
    """Latents ``[N, VARIANTS, C, H/8, W/8]`` of the objects, slightly turned, scaled and shifted.

    Variant 0 is as it is; what is drawn is drawn anew for every variant.
    """
    out = []
    for variant in range(VARIANTS):
        images = portraits(archive, chosen, seed=variant)
        amount = 0.0 if variant == 0 else 1.0

        def uniform(low: float, high: float, amount: float = amount, count: int = len(images)) -> Tensor:
            return (torch.rand(count, generator=generator) * (high - low) + low) * amount

        angle, zoom = uniform(-MAX_TURN, MAX_TURN), 1 + uniform(ZOOM[0] - 1, ZOOM[1] - 1)
        cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
        rows = [
            torch.stack([cos, -sin, uniform(-MAX_SHIFT, MAX_SHIFT)], 1),
            torch.stack([sin, cos, uniform(-MAX_SHIFT, MAX_SHIFT)], 1),
        ]
        parts = []
        for part, theta in zip(images.split(16), torch.stack(rows, 1).split(16), strict=True):
            pixels = part.float() / 255
            grid = F.affine_grid(theta, list(part.shape), align_corners=False)
            colour = F.grid_sample(pixels[:, :3], grid, padding_mode="border", align_corners=False)
            alpha = F.grid_sample(pixels[:, 3:], grid, align_corners=False)
            parts.append(codec.encode(torch.cat([colour, alpha], 1)))
        out.append(torch.cat(parts))
    return torch.stack(out, 1)


def prepare(work: Path, archive: Path, rank: int, processes: int) -> None:
    """Leave ``codec_white.pt``, ``latents.pt`` and the folder ``triples`` in the work folder, unless they are there."""
    target = work / "codec_white.pt"
    codec = Codec()
    chosen = things()
    if rank == 0 and not target.exists():
        codec.load_state_dict(trained(work / "codec.pt"))
        objects = portraits(archive, chosen)[::2].float() / 255
        painted = [scenes.draw(index % len(scenes.SCENES), index, SIDE)[0] for index in range(0, 160)]
        opaque = torch.from_numpy(np.stack(painted)).permute(0, 3, 1, 2).float() / 255
        whiten(codec, objects, opaque)
        save_atomically(target, codec=codec.state_dict())
    wait_for_all()
    codec.load_state_dict(torch.load(target, weights_only=True)["codec"])
    if rank == 0 and not (work / "latents.pt").exists():
        latents = cache(codec, archive, chosen, torch.Generator().manual_seed(7))
        save_atomically(work / "latents.pt", latents=latents)
    triples.make(codec, archive, work / "triples", rank, processes)
    wait_for_all()
