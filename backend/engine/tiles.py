"""Large pictures with little memory: the same networks with the same result, a band of rows at a time.

Tiles that are decoded alone and blended into each other differ in colour and contrast, because group normalisation
takes its mean and variance from all that it sees, and the VAE's attention looks at the whole picture. Here each layer
is finished for all bands before the next begins, and its statistics are those of the whole picture. What remains in
memory is a layer's input and output, and they may wait in the host's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import Tensor, nn

from .device import HOST
from .sizes import LATENT_CELL
from .transparency_nets import LATENT_LEVEL, TransparentDecoder

LARGE = 1024 * 1024
"""The VAE computes pictures of more pixels in bands: as fast as whole, with half of the memory."""
BAND = 1 << 20
"""Values in a band of a layer's output or input, whichever is larger."""

EVEN = (1, 1, 1, 1)
"""Padding of a convolution: left, right, top, bottom."""
VAE_HALVING = (0, 1, 0, 1)
"""The VAE's encoder pads on one side only where it halves the picture."""


def vae(net: Any, frugal: bool = False) -> Any:
    """An AutoencoderKL that computes large pictures in bands, to be used like the one it is given.

    Args:
        net: AutoencoderKL, on its device.
        frugal: bands for every size, the layers' results waiting in the host's memory.

    Returns:
        An object with `encode`, `decode`, `device` and `dtype` of the AutoencoderKL.
    """
    return _Vae(net, frugal)


def transparent(decoder: TransparentDecoder, frugal: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
    """A transparent decoder's forward; if it is to be `frugal` in bands, its layers' results in the host's memory.

    Most of its memory holds what its first layers keep for its last, so that bands alone would save little.
    """
    if not frugal:
        return decoder
    return lambda pixels, latent: _transparent(_Bands(pixels.device, HOST), decoder, pixels, latent)


class _Vae:
    def __init__(self, net: Any, frugal: bool) -> None:
        self.net, self.frugal = net, frugal
        self.device: torch.device = net.device
        self.dtype: torch.dtype = net.dtype

    def encode(self, pixels: Tensor) -> AutoencoderKLOutput:
        if not self._in_bands(pixels[0, 0].numel()):
            return self.net.encode(pixels)
        bands, encoder = self._bands(), self.net.encoder
        x = bands.convolve(encoder.conv_in, pixels)
        for block in encoder.down_blocks:
            for resnet in block.resnets:
                x = bands.resnet(resnet, x, reuse=True)
            for halving in block.downsamplers or ():
                x = bands.convolve(halving.conv, x, padding=VAE_HALVING)
        x = encoder.mid_block(x.to(self.device))
        x = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(x)))
        moments = x if self.net.quant_conv is None else self.net.quant_conv(x)
        return AutoencoderKLOutput(latent_dist=DiagonalGaussianDistribution(moments))

    def decode(self, latent: Tensor) -> DecoderOutput:
        if not self._in_bands(latent[0, 0].numel() * LATENT_CELL**2):
            return self.net.decode(latent)
        bands, decoder = self._bands(), self.net.decoder
        x = latent if self.net.post_quant_conv is None else self.net.post_quant_conv(latent)
        x = decoder.mid_block(decoder.conv_in(x)).to(bands.home)
        for block in decoder.up_blocks:
            for resnet in block.resnets:
                x = bands.resnet(resnet, x, reuse=True)
            for doubling in block.upsamplers or ():
                x = bands.convolve(doubling.conv, x, double=True)
        return DecoderOutput(sample=bands.convolve(decoder.conv_out, x, decoder.conv_norm_out).to(self.device))

    def _in_bands(self, area: int) -> bool:
        return self.frugal or area > LARGE

    def _bands(self) -> _Bands:
        return _Bands(self.device, HOST if self.frugal else self.device)


def _transparent(bands: _Bands, decoder: Any, pixels: Tensor, latent: Tensor) -> Tensor:
    """`TransparentDecoder.forward`, in bands down to the latent's resolution, whole below."""
    x = bands.convolve(decoder.conv_in, pixels)
    skips = [x]
    for level, block in enumerate(decoder.down_blocks):
        if level == LATENT_LEVEL:
            x = x.to(bands.place) + decoder.latent_conv_in(latent)
        if level >= LATENT_LEVEL:
            x, residuals = block(hidden_states=x, temb=None)
            skips += residuals
            continue
        for resnet in block.resnets:
            x = bands.resnet(resnet, x)
            skips.append(x)
        for halving in block.downsamplers:
            x = bands.convolve(halving.conv, x)
            skips.append(x)
    x = decoder.mid_block(x, None)
    for level, block in zip(reversed(range(len(decoder.up_blocks))), decoder.up_blocks, strict=True):
        if level >= LATENT_LEVEL:
            count = len(block.resnets)
            x = block(x, tuple(skip.to(bands.place) for skip in skips[-count:]), None)
            del skips[-count:]
            continue
        for resnet in block.resnets:
            x = bands.resnet(resnet, torch.cat([x.to(bands.home), skips.pop()], 1), reuse=True)
        for doubling in block.upsamplers or ():
            x = bands.convolve(doubling.conv, x, double=True)
    return bands.convolve(decoder.conv_out, x, decoder.conv_norm_out).to(bands.place)


@dataclass(frozen=True)
class _Bands:
    """Layers computed on a device band by band, their inputs and outputs ``[B, C, H, W]`` lying at `home`."""

    place: torch.device
    home: torch.device

    def resnet(self, net: Any, x: Tensor, reuse: bool = False) -> Tensor:
        """A ResnetBlock2D without time; its result may take the place of its input if that may be `reuse`d."""
        hidden = self.convolve(net.conv1, x, net.norm1)
        into = x if reuse and net.conv_shortcut is None else None
        return self.convolve(net.conv2, hidden, net.norm2, beside=(x, net.conv_shortcut), into=into)

    def convolve(
        self, conv: nn.Conv2d, x: Tensor, norm: nn.GroupNorm | None = None, double: bool = False,
        padding: tuple[int, int, int, int] = EVEN, beside: tuple[Tensor, nn.Module | None] | None = None,
        into: Tensor | None = None,
    ) -> Tensor:
        """A convolution; what comes before and after it is done in the same band.

        Args:
            norm: applied before, with a SiLU.
            double: the input is enlarged to twice its size before, each value four times.
            beside: added after: a tensor of the result's size, through a module that looks at single pixels.
            into: where the result goes; may be the tensor `beside`.
        """
        left, right, top, bottom = padding
        height, width = (side * 2 if double else side for side in x.shape[-2:])
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        rows = (height + top + bottom - kernel) // stride + 1
        columns = (width + left + right - kernel) // stride + 1
        if into is None:
            into = torch.empty(len(x), conv.out_channels, rows, columns, dtype=x.dtype, device=self.home)
        affine = self._statistics(norm, x) if norm is not None else None
        largest = len(x) * max(conv.in_channels * width * stride, conv.out_channels * columns)
        for first, last in _spans(rows, largest):
            start, stop = first * stride - top, (last - 1) * stride - top + kernel
            band = self._rows(x, max(start, 0), min(stop, height), double)
            if affine is not None:
                band = F.silu(torch.addcmul(affine[1], band.float(), affine[0]), inplace=True).to(x.dtype)
            edges = (left, right, max(-start, 0), max(stop - height, 0))
            band = F.conv2d(F.pad(band, edges) if any(edges) else band, conv.weight, conv.bias, stride)
            if beside is not None:
                other = beside[0][..., first:last, :].to(self.place)
                band += other if beside[1] is None else beside[1](other)
            into[..., first:last, :] = band
        return into

    def _rows(self, x: Tensor, start: int, stop: int, double: bool) -> Tensor:
        """Rows of a tensor, or of the tensor at twice its size."""
        if not double:
            return x[..., start:stop, :].to(self.place)
        enlarged = F.interpolate(x[..., start // 2:(stop + 1) // 2, :].to(self.place), scale_factor=2.0)
        return enlarged[..., start % 2:start % 2 + stop - start, :]

    def _statistics(self, norm: nn.GroupNorm, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift ``[B, C, 1, 1]`` float32 that make up a group normalisation of the whole tensor."""
        spans = list(_spans(x.shape[-2], x[:, :, 0].numel()))
        bands = (x[..., first:last, :].to(self.place).float() for first, last in spans)
        variances, means = (torch.stack(one, -1) for one in zip(*map(_variance, bands), strict=True))
        rows = torch.tensor([float(last - first) for first, last in spans], device=self.place)
        of_channels = _joined(variances, means, rows / x.shape[-2])
        variance, mean = _joined(*(y.unflatten(1, (norm.num_groups, -1)) for y in of_channels))
        channels = x.shape[1] // norm.num_groups
        deviation, mean = (y.repeat_interleave(channels, 1) for y in ((variance + norm.eps).sqrt(), mean))
        scale = norm.weight.float() / deviation
        shift = norm.bias.float() - mean * scale
        return scale[..., None, None], shift[..., None, None]


def _variance(x: Tensor) -> tuple[Tensor, Tensor]:
    """Variance and mean ``[B, C]`` of each channel. On a CPU a tenth of the time of ``torch.var_mean``."""
    mean = x.mean((2, 3))
    return (x - mean[..., None, None]).square_().mean((2, 3)), mean


def _joined(variances: Tensor, means: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Variance and mean of a whole from those of its parts on the last axis, whose weights add up to one."""
    weight = torch.full_like(means, 1 / means.shape[-1]) if weight is None else weight
    mean = (weight * means).sum(-1)
    return (weight * (variances + (means - mean[..., None]) ** 2)).sum(-1), mean


def _spans(rows: int, row: int) -> Iterator[tuple[int, int]]:
    """First and last row (exclusive) of bands that hold at most `BAND` values, `row` of them in a row."""
    step = max(1, BAND // row)
    return ((first, min(first + step, rows)) for first in range(0, rows, step))
