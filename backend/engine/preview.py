"""Small pictures of what is being made, with its alpha, at a cost that nobody feels.

The denoised latent of a step is made small and goes through the networks that decode the result, once: a hundredth of
the work, and right for every model, as nothing about its colours has to be known beforehand.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from protocol.job import Thumbnail
from protocol.limits import MAX_PREVIEW
from protocol.request import Role

from .device import short_of_memory
from .sizes import LATENT_CELL, Working, to_request
from .transparency import pad_to_multiple, quantize, to_rgba
from .transparency_nets import TransparentDecoder

SHARE = 0.02
"""Part of the time of denoising that previews may take, over all jobs of a loaded model."""
SIDES = (16, 8)
"""Longer sides of a latent that is decoded; the transparent decoder works on multiples of 8."""
WANTED = 4
"""The larger side is taken where so many previews of it can be had."""

Decode = Callable[[Tensor], NDArray[np.float32]]
"""Unscaled latent ``[1, C, h, w]`` → straight RGBA ``[H, W, 4]`` in [0, 1]."""


@dataclass
class Ledger:
    """What previews of a loaded model cost; the first one, with which a network warms up, many times the next.

    Attributes:
        denoising: seconds of denoising, without previews.
        spent: seconds of previews.
        costs: seconds of the last preview, by the side of its latent and the role.
    """

    denoising: float = 0.0
    spent: float = 0.0
    costs: dict[tuple[int, Role], float] = field(default_factory=dict)

    def affords(self, cost: float) -> bool:
        """Whether a preview of this cost keeps to the share."""
        return self.spent + cost <= SHARE * self.denoising


class Previewer:
    """Makes previews of one stage, of its first image: the foreground where the stage draws one.

    As long as nothing is known of the cost on this machine, decoding is taken to cost what one step costs over the same
    area, which is more than it does with the released models.

    Args:
        role: of the layer that is shown.
        steps: of the stage.
        working: its size.
        decode: of a small latent.
        ledger: of the model.
        show: told each preview.
        clock: seconds.
    """

    def __init__(
        self, role: Role, steps: int, working: Working, decode: Decode, ledger: Ledger,
        show: Callable[[Thumbnail], None], clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._role, self._steps, self._working, self._decode = role, steps, working, decode
        self._ledger, self._show, self._clock = ledger, show, clock
        self._last, self._seconds, self._step, self._ended = clock(), 0.0, 0, False

    def after_step(self, latent: Tensor) -> None:
        """Make a preview of an unscaled denoised latent ``[1, C, h, w]`` if the time for it has been earned."""
        self._step += 1
        self._count()
        side = self._side(latent)
        if self._ended or self._step == self._steps or not self._ledger.affords(self._cost(latent, side)):
            return
        if latent.device.type != "cpu":
            # What the device still has to do of the step is not the preview's cost.
            torch.accelerator.synchronize(latent.device)
            self._count()
        try:
            thumbnail = self._picture(latent, side)
        except (RuntimeError, MemoryError) as error:
            if not short_of_memory(error):
                raise
            self._ended = True
            return
        before, self._last = self._last, self._clock()
        cost = self._ledger.costs[side, self._role] = self._last - before
        self._ledger.spent += cost
        self._show(thumbnail)

    def _count(self) -> None:
        """Count the time since the last look at the clock as denoising."""
        before, self._last = self._last, self._clock()
        self._seconds += self._last - before
        self._ledger.denoising += self._last - before

    def _side(self, latent: Tensor) -> int:
        budget = SHARE * self._seconds / self._step * self._steps / WANTED
        return next((side for side in SIDES if self._cost(latent, side) <= budget), SIDES[-1])

    def _cost(self, latent: Tensor, side: int) -> float:
        guess = self._seconds / self._step * min(1.0, side / max(latent.shape[-2:])) ** 2
        return self._ledger.costs.get((side, self._role), guess)

    def _picture(self, latent: Tensor, side: int) -> Thumbnail:
        height, width = latent.shape[-2:]
        scale = min(1.0, side / max(height, width))
        rows, columns = (max(1, round(length * scale)) for length in (height, width))
        rgba = np.nan_to_num(self._decode(F.interpolate(latent, (rows, columns), mode="area")))
        working, box = self._working, self._working.box
        across, down = columns * LATENT_CELL / working.width, rows * LATENT_CELL / working.height
        left, top, right, bottom = box[0] * across, box[1] * down, box[2] * across, box[3] * down
        shrink = min(1.0, MAX_PREVIEW / max(right - left, bottom - top))
        shown = [max(1, math.floor(length * shrink)) for length in (right - left, bottom - top)]
        small = Working(columns * LATENT_CELL, rows * LATENT_CELL, (left, top, right, bottom))
        pixels = quantize(to_request(rgba, small, *shown))
        return Thumbnail.of(self._role, 0, pixels.shape[1], pixels.shape[0], pixels.tobytes())


def decode_small(vae: Any, decoder: TransparentDecoder | None, latent: Tensor) -> NDArray[np.float32]:
    """Decode an unscaled latent ``[1, C, h, w]`` by one pass; opaque without a transparent decoder."""
    pixels = (vae.decode(latent.to(vae.dtype)).sample.float() / 2 + 0.5).clamp(0, 1)
    if decoder is None:
        return to_rgba(torch.cat([torch.ones_like(pixels[0, :1]), pixels[0]]))
    height, width = pixels.shape[-2:]
    dtype = decoder.conv_in.weight.dtype
    padded = pad_to_multiple(pixels, decoder.multiple).to(dtype)
    cells = pad_to_multiple(latent, decoder.multiple // LATENT_CELL).to(dtype)
    return to_rgba(decoder(padded, cells).float().clamp(0, 1)[0, :, :height, :width])
