"""The networks of a ``layer_sd15_*`` file, with the parameters and names of the released files; see `sharing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

TEMPORAL_NORM_EPS = 1e-6


class LowRank(nn.Module):
    """U·(D·x): ``[…, inputs]`` → ``[…, outputs]``; scale one, no alpha."""

    def __init__(self, inputs: int, outputs: int, rank: int):
        super().__init__()
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)
        nn.init.normal_(self.down.weight, std=1 / rank)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x))


class SharingUnit(nn.Module):
    """One unit, with the parameters and names of ``hookers.layers.{i}``.

    Args:
        channels: width C of the attention module's input, output, q, k and v.
        context: width of the tokens that k and v read (C in attn1, the text width in attn2).
        rank: rank of every LoRA.
        frames: frames f in a group.
        signal: channels of the condition features, None for files without a condition.

    A new unit is the identity: LoRAs' up, temporal_o and the last control convolution start at zero.
    """

    def __init__(self, channels: int, context: int, rank: int, frames: int, signal: int | None = None):
        super().__init__()
        self.frames = frames

        def low_rank(inputs: int) -> nn.ModuleList:
            return nn.ModuleList(LowRank(inputs, channels, rank) for _ in range(frames))

        self.to_q_lora, self.to_k_lora, self.to_v_lora, self.to_out_lora = map(
            low_rank, (channels, context, context, channels)
        )
        self.temporal_i, self.temporal_q, self.temporal_k, self.temporal_v, self.temporal_o = (
            nn.Linear(channels, channels) for _ in range(5)
        )
        self.temporal_n = nn.LayerNorm(channels, eps=TEMPORAL_NORM_EPS)
        zeroed = [self.temporal_o]
        if signal is not None:
            self.control_convs = nn.ModuleList(
                nn.Sequential(nn.Conv2d(signal, signal, 3, padding=1), nn.SiLU(), nn.Conv2d(signal, channels, 1))
                for _ in range(frames)
            )
            zeroed += [cast(nn.Conv2d, cast(nn.Sequential, convs)[2]) for convs in self.control_convs]
        else:
            self.control_convs = None
        for module in zeroed:
            nn.init.zeros_(module.weight)
            nn.init.zeros_(cast(Tensor, module.bias))


class ControlEncoder(nn.Module):
    """Condition picture ``[1, 3, H, W]`` in [-1, 1] → features at 1/8, 1/16, 1/32 and 1/64 of its size.

    Args:
        widths: output channels of the eight convolutions of ``blocks_0`` (2, 4 and 6 have stride 2).
        levels: number of feature maps; every later block halves the size and keeps the last width.
    """

    def __init__(self, widths: Sequence[int], levels: int = 4):
        super().__init__()
        self.levels = levels
        self.blocks_0 = _convolutions((3, *widths), strided=(2, 4, 6))
        for level in range(1, levels):
            self.add_module(f"blocks_{level}", _convolutions((widths[-1],) * 3, strided=(0,)))

    def forward(self, picture: Tensor) -> dict[int, Tensor]:
        """Feature maps ``[1, C, h, w]`` by their number of positions h·w, the key by which a unit finds its own."""
        signals, x = {}, picture
        for level in range(self.levels):
            x = self.get_submodule(f"blocks_{level}")(x)
            signals[x.shape[-2] * x.shape[-1]] = x
        return signals


def _convolutions(widths: Sequence[int], strided: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=2 if index in strided else 1, padding=1), nn.SiLU()]
    return nn.Sequential(*layers)


class SharingLayers(nn.Module):
    """All units of one file; ``state_dict()`` has exactly the keys of a released ``layer_sd15_*`` file."""

    def __init__(self, units: Sequence[SharingUnit], kwargs_encoder: ControlEncoder | None = None):
        super().__init__()
        self.hookers = nn.ModuleDict({"layers": nn.ModuleList(units)})
        self.kwargs_encoder = kwargs_encoder

    @property
    def units(self) -> list[SharingUnit]:
        """The units in the file's order: down blocks, up blocks, middle; attn1 before attn2."""
        return cast(list[SharingUnit], list(cast(nn.ModuleList, self.hookers["layers"])))

    @property
    def frames(self) -> int:
        """Frames f in a group."""
        return self.units[0].frames

    @classmethod
    def for_unet(
        cls, unet: nn.Module, rank: int, frames: int = 1, control_widths: Sequence[int] | None = None
    ) -> SharingLayers:
        """Identity units for a UNet, to be trained; with a `ControlEncoder` where its widths are given."""
        encoder = ControlEncoder(control_widths) if control_widths else None
        signal = control_widths[-1] if control_widths else None
        widths = [(module.to_q.in_features, module.to_k.in_features) for module in attention_modules(unet)]
        return cls([SharingUnit(channels, context, rank, frames, signal) for channels, context in widths], encoder)

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> SharingLayers:
        """Build from ``{key: shape}``; widths, rank, frames and condition are read, not assumed."""
        indices = {int(k.split(".")[2]) for k in shapes if k.startswith("hookers.layers.")}
        units = []
        for prefix in (f"hookers.layers.{i}." for i in range(1 + max(indices, default=-1))):
            frames = 1 + max(int(k[len(prefix):].split(".")[1]) for k in shapes if k.startswith(prefix + "to_q_lora."))
            rank, context = shapes[prefix + "to_k_lora.0.down.weight"]
            control = shapes.get(prefix + "control_convs.0.0.weight")
            signal = control[1] if control is not None else None
            units.append(SharingUnit(shapes[prefix + "temporal_o.weight"][0], context, rank, frames, signal))
        encoder = None
        if "kwargs_encoder.blocks_0.0.weight" in shapes:
            encoder = ControlEncoder(
                [shapes[f"kwargs_encoder.blocks_0.{i}.weight"][0] for i in range(0, 16, 2)],
                levels=len({k.split(".")[1] for k in shapes if k.startswith("kwargs_encoder.")}),
            )
        return cls(units, encoder)

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Tensor]) -> SharingLayers:
        """Build and fill, in the tensors' dtype.

        Raises:
            KeyError, RuntimeError: a key is missing, unknown or of the wrong shape.
        """
        with torch.device("meta"):
            layers = cls.from_shapes({k: tuple(v.shape) for k, v in state_dict.items()})
        layers.load_state_dict(dict(state_dict), strict=True, assign=True)
        return layers


def attention_modules(unet: Any) -> list[Any]:
    """The attention modules of a diffusers SD1.5 UNet in the order of ``hookers.layers``."""
    modules = []
    for block in [*unet.down_blocks, *unet.up_blocks, unet.mid_block]:
        for transformer in getattr(block, "attentions", ()):
            for inner in transformer.transformer_blocks:
                modules += [inner.attn1, inner.attn2]
    return modules
