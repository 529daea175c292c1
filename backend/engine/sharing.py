"""SD1.5 attention sharing: the 32 units of a ``layer_sd15_*`` file, attached to a diffusers UNet.

A unit takes the place of one attention module (attn1 or attn2 of a transformer block). It gives every frame of a
group its own LoRA on q, k, v and out, lets the frames look at each other through a small temporal attention, and may
add the features of a condition picture. Frames of one group are neighbouring rows of the batch: row r is frame r % f.
(Zhang & Agrawala 2024, section 3.4; key names and order of the released files.)

With h the layer-normed input of the attention module, j a frame and w the weight that a person gives the file, a unit
returns r, built up as

    r_j  = w·conv1x1_j(SiLU(conv3x3_j(signal)))            only files with a condition
    r_j += Attention_j(h_j + r_j, context_j)               W_j = W + w·U_j·D_j; context_j is h_j + r_j in attn1
    r   += w·O(softmax(q·kᵀ)·v),  q, k, v = Q, K, V(I(LayerNorm(h + r)))    over the frame axis

The released code knows no weight here, which is w = 1; at w = 0 this is the base model's attention.

For inference the products U·D, Q·I, K·I, V·I (and, where one frame attends only to itself, O·V·I) are multiplied out
once at `attach`; for training the unit is evaluated as it stands. The base model's parameters are never written to.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .sharing_units import TEMPORAL_NORM_EPS, LowRank, SharingLayers, SharingUnit, attention_modules

__all__ = ["Attached", "SharingLayers", "SharingUnit", "attach", "attention_modules"]

PROJECTIONS = ("q", "k", "v", "out")


@dataclass
class Conditions:
    """What the units of one UNet are told beside their input; shared by all of them, changed between model calls."""

    signals: dict[int, Tensor] = field(default_factory=dict)
    features: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    contexts: Sequence[Tensor | None] = ()
    unconditional_rows: int = 0


class Attached:
    """A UNet whose attention modules are replaced by units until `remove`.

    Attributes:
        layers: the units.
        conditions: see `set_control` and `set_frame_prompts`.
    """

    def __init__(self, modules: list[Any], layers: SharingLayers, merge: bool, weight: float):
        self.layers = layers
        self.conditions = Conditions()
        self._before = [(module, module.processor) for module in modules]
        for module, unit in zip(modules, layers.units, strict=True):
            matrices = Merged(module, unit, weight) if merge else Unmerged(module, unit, weight)
            module.processor = _SharingProcessor(unit, matrices, self.conditions)

    def set_control(self, picture: Tensor | None) -> None:
        """Condition picture ``[1, 3, H, W]`` in [0, 1], H and W eight times the latent's; None removes it."""
        encoder = self.layers.kwargs_encoder
        if encoder is not None and picture is not None:
            # Once for each picture, so in full precision.
            self.conditions.signals = encoder.float()(picture.float() * 2 - 1)
        else:
            self.conditions.signals = {}
        self.conditions.features.clear()

    def set_frame_prompts(self, contexts: Sequence[Tensor | None], unconditional_rows: int) -> None:
        """Text context ``[1, T, C]`` of each frame in place of the common one, None to keep it.

        The first `unconditional_rows` rows of the batch always keep theirs.
        """
        self.conditions.contexts = contexts
        self.conditions.unconditional_rows = unconditional_rows

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Give the UNet its own attention back; its parameters were never changed."""
        for module, processor in self._before:
            module.processor = processor
        self._before = []


def attach(
    unet: Any, layers: SharingLayers | Mapping[str, Tensor], merge: bool | None = None, weight: float = 1.0
) -> Attached:
    """Replace the UNet's 32 attention modules by sharing units.

    Args:
        unet: diffusers UNet2DConditionModel of the SD1.5 topology.
        layers: the units or the state dict of a ``layer_sd15_*`` file, anywhere and in any precision when merged,
            taken as they are (and trainable) otherwise.
        merge: multiply the LoRAs out once (fast, no gradients). Default: unless gradients are on and wanted for the
            units.
        weight: w above, 0 or more.

    Returns:
        A handle with `remove`, also usable in a ``with`` statement.

    Raises:
        ValueError: the units do not fit this UNet.
    """
    if not isinstance(layers, SharingLayers):
        layers = SharingLayers.from_state_dict(layers)
    modules = attention_modules(unet)
    if len(layers.units) != len(modules):
        raise ValueError(f"{len(layers.units)} sharing units for {len(modules)} attention modules")
    for index, (module, unit) in enumerate(zip(modules, layers.units, strict=True)):
        expected = (module.to_q.in_features, module.to_k.in_features)
        found = tuple(cast(LowRank, lora[0]).down.in_features for lora in (unit.to_q_lora, unit.to_k_lora))
        if expected != found:
            raise ValueError(f"sharing unit {index} has widths {found}, the attention module has {expected}")
    if merge is None:
        merge = not (torch.is_grad_enabled() and any(p.requires_grad for p in layers.parameters()))
    like = modules[0].to_q.weight
    if layers.kwargs_encoder is not None:
        layers.kwargs_encoder.to(like.device)
    if merge:
        for unit in layers.units:
            if unit.control_convs is not None:
                unit.control_convs.to(like.device, like.dtype)
    return Attached(modules, layers, merge, weight)


class Unmerged:
    """The unit's linear maps as they stand: W·x + U·(D·x), differentiable, reading the live base weights."""

    def __init__(self, module: Any, unit: SharingUnit, weight: float):
        self.module, self.unit, self.weight = module, unit, weight

    def project(self, name: str, frame: int, x: Tensor) -> Tensor:
        base = self.module.to_out[0] if name == "out" else getattr(self.module, f"to_{name}")
        return base(x) + self.weight * getattr(self.unit, f"to_{name}_lora")[frame](x)

    def temporal(self, x: Tensor, heads: int) -> Tensor:
        """``x [b, f, N, C]`` → the frames' view of each other, ``[b, f, N, C]``."""
        unit = self.unit
        g = unit.temporal_i(unit.temporal_n(x))
        v = unit.temporal_v(g)
        if x.shape[1] > 1:
            v = attend_frames(unit.temporal_q(g), unit.temporal_k(g), v, heads)
        return self.weight * unit.temporal_o(v)


class Merged:
    """The unit's linear maps multiplied out in float32, kept in the base weights' dtype and device."""

    def __init__(self, module: Any, unit: SharingUnit, weight: float):
        self.norm, self.weight = unit.temporal_n, weight
        with torch.no_grad():
            like = module.to_q.weight
            self.linear: dict[tuple[str, int], tuple[Tensor, Tensor | None]] = {}
            for name in PROJECTIONS:
                base = module.to_out[0] if name == "out" else getattr(module, f"to_{name}")
                for frame in range(unit.frames):
                    lora = cast(LowRank, getattr(unit, f"to_{name}_lora")[frame])
                    up, down = (w.weight.to(like.device, torch.float32) for w in (lora.up, lora.down))
                    merged = torch.addmm(base.weight.float(), up, down, alpha=weight).to(like.dtype)
                    self.linear[name, frame] = (merged, base.bias)
            self.norm_weight, self.norm_bias = (p.to(like) for p in (self.norm.weight, self.norm.bias))
            first = _affine(unit.temporal_i, like)
            last = _scaled(weight, _affine(unit.temporal_o, like))
            v = _after(_affine(unit.temporal_v, like), first)
            if unit.frames == 1:
                chain = [_after(last, v)]
            else:
                q, k = (_after(_affine(m, like), first) for m in (unit.temporal_q, unit.temporal_k))
                chain = [q, k, v, last]
            self.chain = [(w.to(like.dtype), b.to(like.dtype)) for w, b in chain]

    def project(self, name: str, frame: int, x: Tensor) -> Tensor:
        return F.linear(x, *self.linear[name, frame])

    def temporal(self, x: Tensor, heads: int) -> Tensor:
        """``x [b, f, N, C]`` → the frames' view of each other, ``[b, f, N, C]``."""
        x = F.layer_norm(x, x.shape[-1:], self.norm_weight, self.norm_bias, TEMPORAL_NORM_EPS)
        if len(self.chain) == 1:
            return F.linear(x, *self.chain[0])
        q, k, v = (F.linear(x, *affine) for affine in self.chain[:3])
        return F.linear(attend_frames(q, k, v, heads), *self.chain[3])


def _affine(linear: nn.Linear, like: Tensor) -> tuple[Tensor, Tensor]:
    return linear.weight.to(like.device, torch.float32), linear.bias.to(like.device, torch.float32)


def _scaled(weight: float, affine: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return weight * affine[0], weight * affine[1]


def _after(outer: tuple[Tensor, Tensor], inner: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """outer(inner(x)) as one affine map."""
    return outer[0] @ inner[0], outer[0] @ inner[1] + outer[1]


class _SharingProcessor:
    """Stands in an attention module's ``processor`` slot; not a Module, so the UNet's state dict stays the base's."""

    def __init__(self, unit: SharingUnit, matrices: Merged | Unmerged, conditions: Conditions):
        self.unit, self.matrices, self.conditions = unit, matrices, conditions

    def __call__(
        self, module: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None, **_: Any,
    ) -> Tensor:
        if attention_mask is not None:
            raise ValueError("sharing units take no attention mask")
        frames, heads = self.unit.frames, module.heads
        rows, tokens, channels = hidden_states.shape
        if rows % frames:
            raise ValueError(f"{rows} rows are no multiple of {frames} frames")
        h = hidden_states.view(rows // frames, frames, tokens, channels)
        residuals = []
        for frame in range(frames):
            control = self._control(frame, tokens, h)
            x = h[:, frame] if control is None else h[:, frame] + control
            context = x if encoder_hidden_states is None else self._context(frame, encoder_hidden_states)
            q = self.matrices.project("q", frame, x)
            k, v = (self.matrices.project(name, frame, context) for name in ("k", "v"))
            out = self.matrices.project("out", frame, attend(q, k, v, heads))
            residuals.append(out if control is None else out + control)
        r = torch.stack(residuals, 1) if frames > 1 else residuals[0].unsqueeze(1)
        return (r + self.matrices.temporal(h + r, heads)).view(rows, tokens, channels)

    def _control(self, frame: int, tokens: int, h: Tensor) -> Tensor | None:
        """Condition features of one frame, ``[1, N, C]``."""
        if self.unit.control_convs is None or not self.conditions.signals:
            return None
        features, key = self.conditions.features, (id(self.unit), frame)
        if key in features:
            return features[key]
        convs = self.unit.control_convs[frame]
        signal = self.conditions.signals[tokens].to(next(convs.parameters()))
        control = self.matrices.weight * convs(signal).flatten(2).transpose(1, 2).to(h)
        if not control.requires_grad:
            # The picture stays the same over all steps.
            features[key] = control
        return control

    def _context(self, frame: int, text: Tensor) -> Tensor:
        """Text tokens of one frame's rows, ``[b, T, C]``."""
        frames = self.unit.frames
        common = text.view(len(text) // frames, frames, *text.shape[1:])[:, frame]
        own = self.conditions.contexts[frame] if self.conditions.contexts else None
        if own is None:
            return common
        length = math.lcm(common.shape[1], own.shape[1])
        common = common.repeat(1, length // common.shape[1], 1).clone()
        common[self.conditions.unconditional_rows // frames:] = own.to(common).repeat(1, length // own.shape[1], 1)
        return common


# diffusers looks at the signature of a processor in every call, which costs more than a small attention itself.
_SharingProcessor.__call__.__signature__ = inspect.signature(_SharingProcessor.__call__)  # type: ignore[attr-defined]


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Multi-head attention over tokens: ``q [b, N, C]``, ``k, v [b, M, C]`` → ``[b, N, C]``.

    Written out where gradients are wanted on a CPU: there the fused kernel's backward takes twice as long.
    """
    batch, tokens, channels = q.shape
    q, k, v = (x.view(batch, -1, heads, channels // heads).transpose(1, 2) for x in (q, k, v))
    if q.device.type == "cpu" and torch.is_grad_enabled() and q.requires_grad:
        out = torch.softmax((q * (channels // heads) ** -0.5) @ k.transpose(-1, -2), -1) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v)
    return out.transpose(1, 2).reshape(batch, tokens, channels)


def attend_frames(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Multi-head attention over frames at every position: ``[b, f, N, C]`` each → ``[b, f, N, C]``.

    Written out because fused kernels put the b·N positions on a launch axis that ends at 65 535.
    """
    shape = q.shape
    q, k, v = (x.unflatten(-1, (heads, -1)) for x in (q, k, v))
    scores = torch.einsum("bfnhd,bgnhd->bnhfg", q, k) * q.shape[-1] ** -0.5
    return torch.einsum("bnhfg,bgnhd->bfnhd", scores.softmax(-1), v).reshape(shape)
