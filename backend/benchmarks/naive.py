"""The formulas step by step, as one would write them down and as the references compute them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.engine.sharing_units import LowRank, SharingLayers, SharingUnit, attention_modules


def ensemble(decoder: Any, pixels: Tensor, latent: Tensor) -> Tensor:
    """The median of eight orientations ``[1, 4, H, W]``: one decoding at a time, then a sort."""
    passes = []
    for mirrored in (False, True):
        for quarters in range(4):
            feed = [torch.rot90(x.flip(3) if mirrored else x, quarters, (2, 3)) for x in (pixels, latent)]
            back = torch.rot90(decoder(*feed).clamp(0, 1), -quarters, (2, 3))
            passes.append(back.flip(3) if mirrored else back)
    return torch.median(torch.stack(passes), 0).values.float()


def share(unet: Any, layers: SharingLayers, signals: Mapping[int, Tensor]) -> None:
    """Give every attention module of a UNet its unit; `signals` are the features of the condition picture by size."""
    for module, unit in zip(attention_modules(unet), layers.units, strict=True):
        module.processor = _Unit(unit, signals)


class _Unit:
    """A sharing unit that adds its LoRAs to the weights, and convolves the condition, at every call."""

    def __init__(self, unit: SharingUnit, signals: Mapping[int, Tensor]) -> None:
        self.unit, self.signals = unit, signals

    def __call__(
        self, module: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any
    ) -> Tensor:
        unit, frames, heads = self.unit, self.unit.frames, module.heads
        rows, tokens, channels = hidden_states.shape
        h = hidden_states.view(rows // frames, frames, tokens, channels)
        x = h.clone()
        if unit.control_convs is not None:
            for frame in range(frames):
                x[:, frame] += unit.control_convs[frame](self.signals[tokens]).flatten(2).transpose(1, 2)
        for frame in range(frames):
            own = x[:, frame]
            context = own if encoder_hidden_states is None else encoder_hidden_states[frame::frames]
            q = F.linear(own, self._weight(module.to_q, "q", frame))
            k = F.linear(context, self._weight(module.to_k, "k", frame))
            v = F.linear(context, self._weight(module.to_v, "v", frame))
            out = module.to_out[0]
            x[:, frame] += F.linear(_attend(q, k, v, heads), self._weight(out, "out", frame), out.bias)
        g = unit.temporal_i(unit.temporal_n(x)).transpose(1, 2).reshape(-1, frames, channels)
        seen = _attend(unit.temporal_q(g), unit.temporal_k(g), unit.temporal_v(g), heads)
        x = x + unit.temporal_o(seen).view(rows // frames, tokens, frames, channels).transpose(1, 2)
        return (x - h).reshape(rows, tokens, channels)

    def _weight(self, base: Any, name: str, frame: int) -> Tensor:
        lora = cast(LowRank, getattr(self.unit, f"to_{name}_lora")[frame])
        return base.weight + lora.up.weight @ lora.down.weight


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    batch, tokens, channels = q.shape
    q, k, v = (x.view(batch, -1, heads, channels // heads).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, channels)
