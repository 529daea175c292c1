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

from protocol.request import Decoding

from . import tiles
from .device import side_by_side
from .padding import grey_composite, pad_rgb
from .sizes import LATENT_CELL
from .transparency_nets import TransparentDecoder

Orientation = tuple[bool, int]
"""Mirrored, then so many quarter turns."""
ORIENTATIONS: dict[Decoding, tuple[Orientation, ...]] = {
    Decoding.FULL: tuple((mirrored, quarters) for mirrored in (False, True) for quarters in range(4)),
    Decoding.FAST: ((False, 0), (False, 1), (False, 2)),
}
"""The orientations of a square that the decoder is asked in. Over 32 pictures of the built-in model the median of
three differs from that of eight by 0.25/255 in mean alpha and by less than 7/255 in 99 % of the pixels; one pass alone
by 0.5 and 13."""
OFFSET_GAIN = 300.0
"""The offset encoder was trained with its output times 300 (the authors' LayerDiffuse_DiffusersCLI, the only released
code that applies it). Without the factor the latent carries practically no transparency."""
BATCHED_PIXELS = 1 << 20
"""Orientations of one shape go through the decoder together up to so many pixels."""
BATCHED_PIXELS_ON_CPU = 1 << 15
"""The same on a CPU: with more its caches overflow; eight pictures of 256² take half as long again as one by one."""
MEDIAN_CHUNK = 1 << 16
"""Values whose median is found at once on a CPU: so many that all passes of them stay in its cache."""


def passes(decoding: Decoding) -> int:
    """How often `decode` asks the decoder for one picture."""
    return len(ORIENTATIONS[decoding])


def decode(
    decoder: TransparentDecoder, pixels: Tensor, latent: Tensor, before_pass: Callable[[int], None] = lambda done: None,
    decoding: Decoding = Decoding.FULL, frugal: bool = False, lanes: int = 1,
) -> Tensor:
    """VAE picture and latent → (alpha, R, G, B): the median of several orientations.

    Args:
        decoder: the network, in float16 or float32.
        pixels: the VAE's picture ``[1, 3, H, W]`` in [0, 1].
        latent: ``[1, C, H/8, W/8]``, not multiplied by the VAE's scaling factor.
        before_pass: called with the number of finished passes (of `passes`) before each forward; raises to stop.
        decoding: which orientations.
        frugal: with the least memory of the device.
        lanes: how many forwards are computed at once, as `Device.lanes`.

    Returns:
        ``[1, 4, H, W]`` float32 in [0, 1], straight colour, defined under alpha zero too.
    """
    dtype = decoder.conv_in.weight.dtype
    height, width = pixels.shape[-2:]
    pixels = pad_to_multiple(pixels, decoder.multiple).to(dtype)
    latent = pad_to_multiple(latent, decoder.multiple // LATENT_CELL).to(dtype)
    net = tiles.transparent(decoder, frugal)

    @torch.inference_mode()  # which a new thread does not have from the one that asks
    def ask(turns: list[Orientation]) -> list[Tensor]:
        y = net(*(torch.cat([_turn(x, *t) for t in turns]).contiguous() for x in (pixels, latent)))
        return [_turn_back(one, *t) for one, t in zip(y.float().clamp(0, 1).split(1), turns, strict=True)]

    groups = list(_groups(ORIENTATIONS[decoding], pixels, 1 if frugal else _together(pixels)))
    results: list[Tensor] = []
    with side_by_side(lanes) as asked:
        made = asked(ask, groups)
        for _ in groups:
            before_pass(len(results))
            results += next(made)
    return lower_median(results)[..., :height, :width]


def _together(pixels: Tensor) -> int:
    most = BATCHED_PIXELS_ON_CPU if pixels.device.type == "cpu" else BATCHED_PIXELS
    return max(1, most // pixels[0, 0].numel())


def _groups(orientations: tuple[Orientation, ...], pixels: Tensor, size: int) -> Iterator[list[Orientation]]:
    """Orientations that have one shape, at most `size` at a time."""
    if pixels.shape[-1] == pixels.shape[-2]:
        alike = [list(orientations)]
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
    """Element by element what ``torch.median`` gives of eight or three: the 4th smallest, the 2nd smallest.

    Never a mean of two. By comparing pictures instead of sorting values: 30 times as fast on a CPU.
    """
    select = {8: _fourth_of_eight, 3: _second_of_three}[len(passes)]
    flat = [one.flatten() for one in passes]
    chunk = MEDIAN_CHUNK if flat[0].device.type == "cpu" else len(flat[0])
    chunks = zip(*(one.split(chunk) for one in flat), strict=True)
    return torch.cat([select(list(chunk)) for chunk in chunks]).view_as(passes[0])


def _second_of_three(x: list[Tensor]) -> Tensor:
    low, high = _sorted(x[0], x[1])
    return low.maximum(high.minimum(x[2]))


def _fourth_of_eight(x: list[Tensor]) -> Tensor:
    """The largest of the four smallest, which two sorted halves give when one is laid against the other reversed."""
    halves = zip(_sorted_four(x[:4]), reversed(_sorted_four(x[4:])), strict=True)
    a, b, c, d = (one.minimum(other) for one, other in halves)
    return a.maximum(b).maximum(c.maximum(d))


def _sorted_four(x: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    (a, b), (c, d) = _sorted(x[0], x[1]), _sorted(x[2], x[3])
    (a, c), (b, d) = _sorted(a, c), _sorted(b, d)
    b, c = _sorted(b, c)
    return a, b, c, d


def _sorted(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return a.minimum(b), a.maximum(b)


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
