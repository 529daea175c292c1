"""The two networks of the latent transparency VAE (LayerDiffuse, Zhang & Agrawala 2024, section 3).

Both are built from the shapes in their state dict, so the released files and the small ones of the
built-in model take the same path. Key names are those of the released files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2D, get_down_block, get_up_block
from torch import Tensor, nn

NORM_GROUPS = 4
NORM_EPS = 1e-5
HEAD_DIM = 8
LATENT_LEVEL = 3
"""The latent joins before this down block: three halvings bring pixels to latent resolution (1/8)."""


class OffsetEncoder(nn.Module):
    """(alpha, R, G, B) in [0, 1], ``[B, 4, H, W]`` → latent offset ``[B, C, H/8, W/8]`` in posterior-std units.

    Args:
        widths: output channels of the eight hidden 3×3 convolutions; 2, 4 and 6 have stride 2.
        latent_channels: channels of the offset (4 in the released files).
    """

    def __init__(self, widths: tuple[int, ...], latent_channels: int = 4):
        super().__init__()
        layers: list[nn.Module] = []
        channels = 4
        for index, width in enumerate(widths):
            layers += [nn.Conv2d(channels, width, 3, stride=2 if index in (2, 4, 6) else 1, padding=1), nn.SiLU()]
            channels = width
        layers.append(nn.Conv2d(channels, latent_channels, 3, padding=1))
        self.blocks = nn.Sequential(*layers)

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, tuple[int, ...]]) -> OffsetEncoder:
        """Build from ``{key: shape}`` of a file with ``blocks.{0,2,…,16}.{weight,bias}``."""
        convolutions = [shapes[f"blocks.{i}.weight"] for i in range(0, 2 * len(shapes) // 2, 2)]
        return cls(tuple(s[0] for s in convolutions[:-1]), convolutions[-1][0])

    def forward(self, alpha_rgb: Tensor) -> Tensor:
        return self.blocks(alpha_rgb)


class TransparentDecoder(nn.Module):
    """VAE picture and latent → (alpha, R, G, B): a time-free U-Net with the latent added at 1/8 resolution.

    Args:
        widths: output channels per level (released: 32, 32, 64, 128, 256, 512, 512).
        attention_from: first level with self-attention (released: 4).
        latent_channels: channels of the unscaled VAE latent.

    Height and width must be multiples of ``2 ** (len(widths) - 1)`` (64 for the released files).
    """

    def __init__(self, widths: tuple[int, ...], attention_from: int, latent_channels: int = 4):
        super().__init__()
        self.widths = widths
        self.multiple = max(8, 2 ** (len(widths) - 1))
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.latent_conv_in = nn.Conv2d(latent_channels, widths[LATENT_LEVEL - 1], 1)
        common: dict[str, Any] = dict(
            temb_channels=None, resnet_eps=NORM_EPS, resnet_act_fn="silu", resnet_groups=NORM_GROUPS,
            attention_head_dim=HEAD_DIM, add_upsample=False, add_downsample=False,
        )
        last = len(widths) - 1
        self.down_blocks = nn.ModuleList()
        for level, width in enumerate(widths):
            kind = "AttnDownBlock2D" if level >= attention_from else "DownBlock2D"
            options: dict[str, Any] = common | dict(add_downsample=level < last, downsample_padding=1)
            options.pop("add_upsample")
            block = get_down_block(
                kind, num_layers=2, in_channels=widths[max(level - 1, 0)], out_channels=width, **options
            )
            self.down_blocks.append(block)
        self.mid_block = UNetMidBlock2D(
            in_channels=widths[-1], temb_channels=cast(int, None), resnet_eps=NORM_EPS, resnet_act_fn="silu",
            resnet_groups=NORM_GROUPS, attention_head_dim=HEAD_DIM,
        )
        self.up_blocks = nn.ModuleList()
        for level in range(last, -1, -1):
            kind = "AttnUpBlock2D" if level >= attention_from else "UpBlock2D"
            options = common | dict(add_upsample=level > 0)
            options.pop("add_downsample")
            block = get_up_block(
                kind, num_layers=3, in_channels=widths[max(level - 1, 0)], out_channels=widths[level],
                prev_output_channel=widths[min(level + 1, last)], **options,
            )
            self.up_blocks.append(block)
        self.conv_norm_out = nn.GroupNorm(NORM_GROUPS, widths[0], eps=NORM_EPS)
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(widths[0], 4, 3, padding=1)

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, tuple[int, ...]]) -> TransparentDecoder:
        """Build from ``{key: shape}``: widths, attention levels and latent channels are read, not assumed."""
        levels = 1 + max(int(k.split(".")[1]) for k in shapes if k.startswith("down_blocks."))
        widths = tuple(shapes[f"down_blocks.{i}.resnets.0.conv1.weight"][0] for i in range(levels))
        attention = [i for i in range(levels) if f"down_blocks.{i}.attentions.0.to_q.weight" in shapes]
        return cls(widths, min(attention, default=levels), shapes["latent_conv_in.weight"][1])

    def forward(self, pixels: Tensor, latent: Tensor) -> Tensor:
        """``pixels [B, 3, H, W]`` in [0, 1], unscaled ``latent [B, C, H/8, W/8]`` → ``[B, 4, H, W]`` (α, R, G, B)."""
        hidden = self.conv_in(pixels)
        skips: tuple[Tensor, ...] = (hidden,)
        for level, block in enumerate(self.down_blocks):
            if level == LATENT_LEVEL:
                hidden = hidden + self.latent_conv_in(latent)
            hidden, residuals = block(hidden_states=hidden, temb=None)
            skips += residuals
        hidden = self.mid_block(hidden, None)
        for block in self.up_blocks:
            count = len(block.resnets)  # type: ignore[arg-type]
            hidden = block(hidden, skips[-count:], None)
            skips = skips[:-count]
        return self.conv_out(self.conv_act(self.conv_norm_out(hidden)))
