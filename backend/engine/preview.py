"""Small pictures of what is being made, with its alpha, at a cost that nobody feels.

A projection that was learned from what the model has decoded shows nearly every step. As long as there is none, the
denoised latent of a step is made small and goes through the networks that decode the result, once: a hundredth of the
work, and right for every model, as nothing about its colours has to be known beforehand.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
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
from .projection import Projection
from .sizes import LATENT_CELL, Working, to_request
from .transparency import pad_to_multiple, quantize, to_rgba
from .transparency_nets import TransparentDecoder

SHARE = 0.02
"""Part of the time of a job that its previews may take."""
SIDES = (16, 8)
"""Longer sides of a latent that is decoded; the transparent decoder works on multiples of 8."""
PROJECTED = 0
"""In place of a side: the projection."""
WANTED = 4
"""The larger side is taken where so many previews of it can be had."""

Decode = Callable[[Tensor], NDArray[np.float32]]
"""Unscaled latent ``[1, C, h, w]`` → straight RGBA ``[H, W, 4]`` in [0, 1]."""


class Ledger:
    """What previews of a loaded model cost, and what has been learned for them.

    Attributes:
        began: when the job did; loading the model is part of it.
        spent: seconds of its previews.
        costs: the fewest seconds of a preview in any job, by the side of its latent and the role.
    """

    def __init__(self) -> None:
        self.costs: dict[tuple[int, Role], float] = {}
        self._projections = {True: Projection(), False: Projection()}
        self.begin(time.perf_counter())

    def begin(self, began: float) -> None:
        """A job has begun, at this time of ``time.perf_counter``."""
        self.began, self.spent = began, 0.0

    def affords(self, cost: float) -> bool:
        """Whether a preview of this cost keeps to the share of the job so far."""
        return self.spent + cost <= SHARE * (time.perf_counter() - self.began)

    def projection(self, role: Role) -> Projection:
        """The one of pictures with alpha or of opaque ones: they are decoded differently."""
        return self._projections[role is Role.FOREGROUND]

    def learn(self, role: Role, latent: Tensor, rgba: NDArray[np.float32]) -> None:
        """Let the projection learn from a result, as `Projection.learn`; it is paid for as previews are."""
        start = time.perf_counter()
        self.projection(role).learn(latent, rgba)
        self.spent += time.perf_counter() - start


class Previewer:
    """Makes previews of one stage, of its first image: the foreground where the stage draws one.

    As long as nothing is known of the cost on this machine, decoding is taken to cost what one step costs over the same
    area. One decoded preview may be all that a job can have: it waits until half of the steps have given it a form.

    Args:
        role: of the layer that is shown.
        steps: of the stage.
        working: its size.
        decode: of a small latent; None where the networks for it are not at hand.
        ledger: of the model.
        show: told each preview.
    """

    def __init__(
        self, role: Role, steps: int, working: Working, decode: Decode | None, ledger: Ledger,
        show: Callable[[Thumbnail], None],
    ) -> None:
        self._role, self._steps, self._working, self._decode = role, steps, working, decode
        self._ledger, self._show = ledger, show
        self._start = time.perf_counter() - ledger.spent
        self._step, self._ended = 0, False

    def after_step(self, latent: Tensor) -> None:
        """Make a preview of an unscaled denoised latent ``[1, C, h, w]`` if the time for it has been earned."""
        self._step += 1
        if self._ended or self._step == self._steps:
            return
        side = self._side(latent)
        if side is None or not self._ledger.affords(self._cost(latent, side)):
            return
        if latent.device.type != "cpu":
            # What the device still has to do of the step is not the preview's cost.
            torch.accelerator.synchronize(latent.device)
        start = time.perf_counter()
        try:
            self._show(self._picture(latent, side))
        except (RuntimeError, MemoryError) as error:
            if not short_of_memory(error):
                raise
            self._ended = True
        cost = time.perf_counter() - start
        self._ledger.spent += cost
        self._ledger.costs[side, self._role] = min(cost, self._ledger.costs.get((side, self._role), math.inf))

    def _side(self, latent: Tensor) -> int | None:
        """The way to make a preview of this step, if there is any."""
        if self._ledger.projection(self._role).is_known:
            return PROJECTED
        if self._decode is None or 2 * self._step < self._steps:
            return None
        budget = SHARE * self._seconds() * self._steps / WANTED
        return next((side for side in SIDES if self._cost(latent, side) <= budget), SIDES[-1])

    def _cost(self, latent: Tensor, side: int) -> float:
        guess = self._seconds() * min(1.0, side / max(latent.shape[-2:])) ** 2
        return self._ledger.costs.get((side, self._role), guess)

    def _seconds(self) -> float:
        """Of a step, without its preview."""
        return (time.perf_counter() - self._ledger.spent - self._start) / self._step

    def _picture(self, latent: Tensor, side: int) -> Thumbnail:
        projection = self._ledger.projection(self._role)
        if self._decode is None or side == PROJECTED:
            return self._thumbnail(projection(latent))
        scale = min(1.0, side / max(latent.shape[-2:]))
        sides = [max(1, round(length * scale)) for length in latent.shape[-2:]]
        small = F.interpolate(latent, sides, mode="area")
        rgba = np.nan_to_num(self._decode(small))
        projection.learn(small, rgba)
        return self._thumbnail(rgba)

    def _thumbnail(self, rgba: NDArray[np.float32]) -> Thumbnail:
        """What the request will show of a small picture of the working size."""
        rows, columns = rgba.shape[:2]
        working, box = self._working, self._working.box
        across, down = columns / working.width, rows / working.height
        left, top, right, bottom = box[0] * across, box[1] * down, box[2] * across, box[3] * down
        shrink = min(1.0, MAX_PREVIEW / max(right - left, bottom - top))
        shown = [max(1, math.floor(length * shrink)) for length in (right - left, bottom - top)]
        small = Working(columns, rows, (left, top, right, bottom))
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
