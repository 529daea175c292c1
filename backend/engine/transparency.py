"""Latent transparency: from a denoised latent to a picture with alpha, and from a picture with alpha to a latent.

(Zhang & Agrawala 2024, section 3; the order of operations of the released code.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from .padding import grey_composite, pad_rgb
from .transparency_nets import TransparentDecoder

PASSES = 8
"""Orientations of a square: two mirrorings by four quarter turns."""
OFFSET_GAIN = 300.0
"""The offset encoder was trained with its output times 300 (the authors' LayerDiffuse_DiffusersCLI, the only released
code that applies it). Without the factor the latent carries practically no transparency."""
LATENT_CELL = 8
"""Pixels per latent position."""
BATCHED_PIXELS = 256 * 256
"""Up to this size the orientations of one shape go through the decoder together; above it memory counts more."""


def decode(
    decoder: TransparentDecoder, pixels: Tensor, latent: Tensor, before_pass: Callable[[int], None] = lambda done: None
) -> Tensor:
    """VAE picture and latent → (alpha, R, G, B): the median of eight orientations.

    Args:
        decoder: the network, in float16 or float32.
        pixels: the VAE's picture ``[1, 3, H, W]`` in [0, 1].
        latent: ``[1, C, H/8, W/8]``, not multiplied by the VAE's scaling factor.
        before_pass: called with the number of finished passes (of `PASSES`) before each forward; raises to stop.

    Returns:
        ``[1, 4, H, W]`` float32 in [0, 1], straight colour, defined under alpha zero too.
    """
    dtype = decoder.conv_in.weight.dtype
    height, width = pixels.shape[-2:]
    pixels = pad_to_multiple(pixels, decoder.multiple).to(dtype)
    latent = pad_to_multiple(latent, decoder.multiple // LATENT_CELL).to(dtype)
    group = PASSES if height * width <= BATCHED_PIXELS else 1
    results: list[Tensor] = []
    for turns in _groups(pixels, group):
        before_pass(len(results))
        y = decoder(*(torch.cat([_turn(x, *t) for t in turns]).contiguous() for x in (pixels, latent)))
        results += [_turn_back(one, *t) for one, t in zip(y.float().clamp(0, 1).split(1), turns, strict=True)]
    return lower_median(results)[..., :height, :width]


def _groups(pixels: Tensor, size: int) -> Iterator[list[tuple[bool, int]]]:
    """Orientations (mirrored, quarter turns) that have one shape, at most `size` at a time."""
    orientations = [(mirrored, quarters) for mirrored in (False, True) for quarters in range(4)]
    if pixels.shape[-1] == pixels.shape[-2]:
        alike = [orientations]
    else:
        alike = [[o for o in orientations if o[1] % 2 == parity] for parity in (0, 1)]
    for group in alike:
        yield from (group[i:i + size] for i in range(0, len(group), size))


def _turn(x: Tensor, mirrored: bool, quarters: int) -> Tensor:
    return torch.rot90(x.flip(3) if mirrored else x, quarters, (2, 3))


def _turn_back(x: Tensor, mirrored: bool, quarters: int) -> Tensor:
    x = torch.rot90(x, -quarters, (2, 3))
    return x.flip(3) if mirrored else x


def lower_median(passes: list[Tensor]) -> Tensor:
    """Element by element the 4th smallest of 8, as ``torch.median`` defines it: never a mean of two."""
    stacked = torch.stack([one.flatten() for one in passes])
    return stacked.median(0).values.view_as(passes[0])


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """``[B, C, H, W]`` with its last row and column repeated until both sides are multiples."""
    right, bottom = -x.shape[-1] % multiple, -x.shape[-2] % multiple
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if right or bottom else x


def to_rgba(decoded: Tensor) -> NDArray[np.float32]:
    """(alpha, R, G, B) ``[4, H, W]`` → straight RGBA ``[H, W, 4]`` float32."""
    return decoded[[1, 2, 3, 0]].permute(1, 2, 0).contiguous().cpu().numpy()


def quantize(rgba: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[0, 1] → uint8, cut off and not rounded, as the released code does."""
    return (rgba.clip(0, 1) * 255).astype(np.uint8)


def encode(offset_encoder: nn.Module, mean: Tensor, std: Tensor, rgba: NDArray[np.uint8]) -> Tensor:
    """Picture with alpha → unscaled latent ``[1, C, H/8, W/8]``.

    Args:
        offset_encoder: the network of ``vae_transparent_encoder``.
        mean, std: the VAE's posterior of `vae_input`.
        rgba: straight ``[H, W, 4]`` uint8.
    """
    alpha = rgba[..., 3:].astype(np.float32) / 255
    alpha_rgb = torch.from_numpy(np.concatenate([alpha, pad_rgb(rgba)], 2)).permute(2, 0, 1)[None].contiguous()
    offset = offset_encoder(alpha_rgb.to(next(offset_encoder.parameters()))).to(mean)
    return mean + std * (OFFSET_GAIN * offset)


def vae_input(rgba: NDArray[np.uint8]) -> Tensor:
    """Straight RGBA ``[H, W, 4]`` uint8 over mid-grey, ``[1, 3, H, W]`` float32 in [-1, 1], contiguous.

    Channels-last memory would make the VAE's encoder deviate by 1e-3 on a CPU.
    """
    return torch.from_numpy(grey_composite(rgba) * 2 - 1).permute(2, 0, 1)[None].contiguous()
