"""The UNet as a sampler wants it: guidance, conditions, prompts per frame, and the hand-over to the base model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .prompts import TextCondition, same_length
from .sharing import Attached


@dataclass(frozen=True)
class Guide:
    """What the UNet is told beside the noisy latents; the same over all steps.

    Attributes:
        negative, positive: the prompts.
        cfg: guidance scale; at 1 the negative prompt is not asked.
        frame_prompts: text of each frame in place of the positive prompt, None to keep that; for sharing units.
        channels: scaled latents ``[1 or B, n·C, h, w]`` that follow the noise as further channels (not multiplied by
            c_in), None for models without; for grown SDXL models.
        time_ids: ``[1, 6]`` of an SDXL model, None of others.
    """

    negative: TextCondition
    positive: TextCondition
    cfg: float
    frame_prompts: Sequence[Tensor | None] = ()
    channels: Tensor | None = None
    time_ids: Tensor | None = None


@dataclass(frozen=True)
class Limits:
    """How much goes through the UNet at once.

    Attributes:
        rows: images (a multiple of the mode's frames).
        both: whether negative and positive prompt go together.
    """

    rows: int
    both: bool = True


class Denoiser:
    """``x [B, C, h, w]`` in variance-exploding space, σ, model time → the denoised latent, float32.

    Below `stop_sigma` the base model draws alone: `release` is called once, and neither channels nor frame prompts are
    given any more, while the sampler keeps its history.

    Args:
        unet: UNet2DConditionModel, possibly grown or with units attached.
        guide: what it is told.
        limits: how much at once; every row's result is the same whatever they are.
        before_call: called before every call of the UNet; raises to stop.
        attached: the sharing units, None without.
        stop_sigma: σ below which the base model takes over (`sampling.stop_sigma`).
        release: makes `unet` the base model.
    """

    def __init__(
        self, unet: Any, guide: Guide, limits: Limits, before_call: Callable[[], None],
        attached: Attached | None = None, stop_sigma: float = 0.0, release: Callable[[], None] = lambda: None,
    ) -> None:
        self._unet, self._guide, self._limits, self._before_call = unet, guide, limits, before_call
        self._attached, self._stop_sigma, self._release = attached, stop_sigma, release
        self._alone = False
        self._dtype: torch.dtype = unet.dtype  # it walks through all parameters: a tenth of a small model's step

    def __call__(self, x: Tensor, sigma: float, time: int) -> Tensor:
        if sigma < self._stop_sigma and not self._alone:
            self._alone = True
            self._release()
        scaled = (x / (sigma**2 + 1) ** 0.5).to(self._dtype)
        rows = self._limits.rows
        noise = torch.cat([self._guided(scaled[i:i + rows], i, time) for i in range(0, len(x), rows)])
        return x - sigma * noise

    def _guided(self, x: Tensor, first: int, time: int) -> Tensor:
        """Predicted noise of some rows, float32."""
        guide = self._guide
        if guide.cfg == 1:
            return self._call(x, first, time, [guide.positive], [guide.positive.context])
        parts = [guide.negative, guide.positive]
        contexts = same_length([part.context for part in parts])
        if contexts is not None and self._limits.both:
            negative, positive = self._call(x, first, time, parts, contexts).chunk(2)
        else:
            negative, positive = (self._call(x, first, time, [part], [part.context]) for part in parts)
        return negative + guide.cfg * (positive - negative)

    def _call(
        self, x: Tensor, first: int, time: int, parts: Sequence[TextCondition], contexts: Sequence[Tensor]
    ) -> Tensor:
        """One call of the UNet with each part for all rows: ``[len(parts)·rows, C, h, w]`` float32."""
        self._before_call()
        guide, rows = self._guide, len(x)
        if guide.channels is not None and not self._alone:
            channels = guide.channels.expand(first + rows, -1, -1, -1)[first:] if len(guide.channels) == 1 else (
                guide.channels[first:first + rows]
            )
            x = torch.cat([x, channels.to(x)], 1)
        if self._attached is not None:
            self._attached.set_frame_prompts(guide.frame_prompts, rows * sum(p is guide.negative for p in parts))
        added = None
        if guide.time_ids is not None:
            added = {
                "text_embeds": torch.cat([_pooled(part).expand(rows, -1) for part in parts]).to(x),
                "time_ids": guide.time_ids.expand(rows * len(parts), -1).to(x),
            }
        context = torch.cat([context.expand(rows, -1, -1) for context in contexts]).to(x)
        return self._unet(x.repeat(len(parts), 1, 1, 1), time, context, added_cond_kwargs=added).sample.float()


def _pooled(part: TextCondition) -> Tensor:
    assert part.pooled is not None
    return part.pooled
