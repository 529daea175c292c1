"""First stage: VAE, offset encoder and transparent decoder, trained together.

    torchrun --nproc-per-node 2 -m backend.builtin.codec --work FOLDER --minutes 40

The loss is on what a person sees: composites over random colours, alpha, colour differences (without which the
latents lose hue), and the plain VAE picture over grey.
"""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, AttnProcessor
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import Tensor, nn

from backend.builtin import pools, shapes
from backend.builtin.dataset import SIDE, fetch, portraits, things
from backend.builtin.loop import join, options, quick, run, wait_for_all
from backend.engine.transparency_nets import OffsetEncoder, TransparentDecoder

OFFSET_GAIN = 300.0
LEARNING_RATE = 1.5e-3
ALONE = 0.15
"""Share of the training in which the encoders learn the small picture and the decoders learn from what they give."""
CUT_SIDE, CUT_UNTIL = 96, 0.8
"""Up to this share of the training it sees cut-outs: they are quicker, and hold more of the objects' edges."""
ALPHA_MARGIN = 0.01
LATENT_NOISE = 0.02
"""Of the latent's standard deviation, added while training: the UNet's latents are never exact."""


class Codec(nn.Module):
    """The three networks together: RGBA → latent → RGBA."""

    def __init__(self) -> None:
        super().__init__()
        self.vae = AutoencoderKL(**shapes.VAE)
        channels = shapes.LATENT_CHANNELS
        self.offset = OffsetEncoder(shapes.OFFSET_WIDTHS, channels)
        self.decoder = TransparentDecoder(shapes.DECODER_WIDTHS, shapes.DECODER_ATTENTION_FROM, channels)
        for module in self.modules():
            if isinstance(module, Attention):
                module.set_processor(AttnProcessor())
        with torch.no_grad():
            last = self.offset.blocks[-1]
            assert isinstance(last, nn.Conv2d) and last.bias is not None
            last.weight.zero_()
            last.bias.zero_()
            quant = cast(nn.Conv2d, self.vae.quant_conv)
            quant.weight[channels:].zero_()
            cast(Tensor, quant.bias)[channels:] = shapes.POSTERIOR_LOGVAR
        keep = torch.arange(2 * channels) < channels
        for parameter in quant.parameters():
            parameter.register_hook(lambda gradient: gradient * keep.view(-1, *[1] * (gradient.dim() - 1)))

    def encode(self, rgba: Tensor) -> Tensor:
        """Padded straight RGBA ``[B, 4, H, W]`` in [0, 1] → unscaled transparent latent ``[B, C, H/8, W/8]``."""
        return self.encode_picture((2 * rgba[:, :3] - 1) * rgba[:, 3:]) + self.offset_of(rgba)

    def encode_picture(self, picture: Tensor) -> Tensor:
        """Picture ``[B, 3, H, W]`` in [-1, 1] → the VAE's unscaled latent, without any offset."""
        return cast(AutoencoderKLOutput, self.vae.encode(picture)).latent_dist.mean

    def offset_of(self, rgba: Tensor) -> Tensor:
        """What transparency adds to the latent."""
        std = math.exp(0.5 * shapes.POSTERIOR_LOGVAR)
        return std * OFFSET_GAIN * self.offset(torch.cat([rgba[:, 3:], rgba[:, :3]], 1))

    def picture(self, latent: Tensor) -> Tensor:
        """Latent → the VAE's picture ``[B, 3, H, W]``, nominally in [-1, 1]."""
        return cast(DecoderOutput, self.vae.decode(cast(torch.FloatTensor, latent))).sample

    def alpha_and_colour(self, picture: Tensor, latent: Tensor, turns: int = 0, mirror: bool = False) -> Tensor:
        """The VAE's picture and its latent → (alpha, R, G, B), nominally in [0, 1].

        With turns (by 90°) or mirror, the decoder is shown both in that position, as the ensemble does.
        """
        shown = [((picture + 1) / 2).clamp(0, 1), latent]
        shown = [torch.rot90(x.flip(3) if mirror else x, turns, (2, 3)) for x in shown]
        out = torch.rot90(self.decoder(*shown), -turns, (2, 3))
        return out.flip(3) if mirror else out

    def decode(self, latent: Tensor) -> Tensor:
        """Latent → (alpha, R, G, B), nominally in [0, 1]."""
        return self.alpha_and_colour(self.picture(latent), latent)


def orientation() -> tuple[int, bool]:
    """One of the ensemble's eight positions by chance: quarter turns, mirrored."""
    turns, mirror = divmod(int(torch.randint(8, ())), 2)
    return turns, bool(mirror)


def over(rgb: Tensor, alpha: Tensor, backdrop: Tensor) -> Tensor:
    """Straight colour over a backdrop."""
    return rgb * alpha + backdrop * (1 - alpha)


def alpha_loss(got: Tensor, wanted: Tensor) -> Tensor:
    """L1, but alpha of exactly 0 or 1 must be passed by a margin, so that cutting off leaves just that."""
    low, high = F.relu(got + ALPHA_MARGIN), F.relu(1 + ALPHA_MARGIN - got)
    error = torch.where(wanted == 0, low, torch.where(wanted > 0.999, high, (got - wanted).abs()))
    return error.mean()


def hue(rgb: Tensor) -> Tensor:
    """Colour differences R−G and B−G."""
    return torch.stack([rgb[:, 0] - rgb[:, 1], rgb[:, 2] - rgb[:, 1]], 1)


def encode_batch(codec: Codec, rgba: Tensor) -> Tensor:
    """Latents of a batch of `pools.Pools`, the first of its opaque pictures without an offset."""
    plain = torch.arange(len(rgba)) == pools.TRANSPARENT
    offset = codec.offset_of(rgba).masked_fill(plain.view(-1, 1, 1, 1), 0)
    return codec.encode_picture((2 * rgba[:, :3] - 1) * rgba[:, 3:]) + offset


def loss_of(codec: Codec, rgba: Tensor, joint: bool) -> Tensor:
    """Training loss of a batch of `pools.Pools`: padded straight RGBA, the opaque pictures at its end.

    The latent is held near the picture at 1/8 size: loosely while everything is trained jointly, alone before. Without
    that beginning the channels fall onto one axis of colour, and leaving it takes thousands of steps. The first of the
    opaque pictures is encoded without an offset, as backgrounds and blends are, and judged by the VAE alone.
    """
    latent = encode_batch(codec, rgba)
    given = latent if joint else latent.detach()
    noisy = given + LATENT_NOISE * given.detach().std() * torch.randn_like(latent)
    hold = F.mse_loss(latent, 2 * small_picture(rgba))
    return pictures_loss(codec, noisy, rgba) + (0.01 if joint else 5.0) * hold


def pictures_loss(codec: Codec, latent: Tensor, rgba: Tensor) -> Tensor:
    """How far what is decoded from latents is from the batch that `loss_of` takes."""
    grey = (2 * rgba[:, :3] - 1) * rgba[:, 3:]
    bare = pools.TRANSPARENT
    shown = torch.arange(len(rgba)) != bare
    picture = codec.picture(latent)
    return (
        0.5 * F.l1_loss(picture, grey)
        + F.l1_loss(hue(picture), hue(grey))
        + 0.5 * F.l1_loss(picture[bare:], grey[bare:])
        + F.mse_loss(picture[bare:], grey[bare:])
        + decoder_loss(codec.alpha_and_colour(picture[shown], latent[shown], *orientation()), rgba[shown])
    )


def decoder_loss(out: Tensor, rgba: Tensor) -> Tensor:
    """How far (alpha, R, G, B) of the decoder is from padded straight RGBA, as it is seen over a random colour."""
    rgb, alpha = rgba[:, :3], rgba[:, 3:]
    got_alpha, got_rgb = out[:, :1], out[:, 1:]
    backdrop = torch.rand(len(rgba), 3, 1, 1)
    seen, wanted = over(got_rgb, got_alpha.clamp(0, 1), backdrop), over(rgb, alpha, backdrop)
    premultiplied, target = got_rgb * alpha, rgb * alpha
    return (
        2.5 * alpha_loss(got_alpha, alpha)
        + 2.0 * F.l1_loss(seen, wanted)
        + 12.0 * F.mse_loss(seen, wanted)
        + F.l1_loss(premultiplied, target)
        + 2.0 * F.l1_loss(hue(premultiplied), hue(target))
        + 0.1 * F.l1_loss(got_rgb, rgb)
    )


def small_picture(rgba: Tensor) -> Tensor:
    """What the latent is held near: the means of every 8×8 cell and, for the lightness and alpha, their slopes.

    ``[B, 4, H, W]`` → ``[B, 8, H/8, W/8]``.
    """
    rgb, alpha = rgba[:, :3], rgba[:, 3:]
    means = F.avg_pool2d(torch.cat([(2 * rgb - 1) * alpha, alpha], 1), 4)
    fine = torch.cat([means[:, :3].mean(1, keepdim=True), means[:, 3:]], 1)
    left, right = F.avg_pool2d(fine, (2, 1))[..., 0::2], F.avg_pool2d(fine, (2, 1))[..., 1::2]
    top, bottom = F.avg_pool2d(fine, (1, 2))[..., 0::2, :], F.avg_pool2d(fine, (1, 2))[..., 1::2, :]
    return torch.cat([F.avg_pool2d(means, 2), right - left, bottom - top], 1)


@torch.no_grad()
def report(codec: Codec, rgba: Tensor) -> str:
    """PSNR over six colours and alpha error of a round trip."""
    codec.eval()
    out = codec.decode(codec.encode(rgba)).clamp(0, 1)
    codec.train()
    rgb, alpha = rgba[:, :3], rgba[:, 3:]
    errors = []
    for colour in ((0, 0, 0), (1, 1, 1), (0.5, 0.5, 0.5), (1, 0, 0), (0, 1, 0), (0, 0, 1)):
        behind = torch.tensor(colour).view(1, 3, 1, 1)
        errors.append(
            ((out[:, 1:] * out[:, :1] + behind * (1 - out[:, :1])) - (rgb * alpha + behind * (1 - alpha)))
            .square()
            .mean()
        )
    psnr = -10 * torch.stack(errors).mean().log10()
    empty = out[:, :1][alpha == 0].mean()
    return f"psnr {psnr:.2f} dB, alpha mae {(out[:, :1] - alpha).abs().mean():.5f}, residue {empty:.5f}"


def train(work: Path, minutes: float, registry: str) -> None:
    """Train for so many minutes in all (over any number of starts) and leave ``codec.pt`` in the work folder."""
    rank = join()
    if rank == 0:
        fetch(work, registry)
    wait_for_all()
    archive = fetch(work, registry)
    material = pools.Pools(archive, seed=1 + rank)
    check = portraits(archive, things()[::10]).float() / 255
    torch.manual_seed(1)
    codec = Codec()

    def loss(source: random.Random, done: float) -> Tensor:
        with quick():
            side = CUT_SIDE if done < CUT_UNTIL else SIDE
            return loss_of(codec, material.batch(source, side), joint=done > ALONE)

    run(
        work / "codec.pt", codec, loss, minutes, LEARNING_RATE, report=lambda shadow: report(cast(Codec, shadow), check)
    )


if __name__ == "__main__":
    chosen = options(__doc__, 40)
    train(chosen.work, chosen.minutes, chosen.registry)
