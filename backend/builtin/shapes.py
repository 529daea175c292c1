"""Sizes of the built-in model: the SD1.5 topology with narrow levels, everything else as in the released files."""

from __future__ import annotations

from typing import Any

LATENT_CHANNELS = 8
VAE: dict[str, Any] = dict(
    in_channels=3,
    out_channels=3,
    latent_channels=LATENT_CHANNELS,
    layers_per_block=1,
    norm_num_groups=8,
    sample_size=128,
    block_out_channels=(16, 32, 64, 128),
    down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4,
)
UNET: dict[str, Any] = dict(
    sample_size=16,
    in_channels=LATENT_CHANNELS,
    out_channels=LATENT_CHANNELS,
    layers_per_block=2,
    norm_num_groups=16,
    block_out_channels=(48, 80, 96, 64),
    attention_head_dim=(1, 2, 2, 2),
    cross_attention_dim=128,
    down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
)
TEXT: dict[str, Any] = dict(
    hidden_size=128,
    intermediate_size=384,
    num_hidden_layers=3,
    num_attention_heads=2,
    max_position_embeddings=77,
    hidden_act="quick_gelu",
    projection_dim=128,
)
DECODER_WIDTHS = (16, 24, 48, 96)
DECODER_ATTENTION_FROM = 3
OFFSET_WIDTHS = (16, 16, 32, 32, 64, 64, 64, 64)
SHARING_RANK = 8
CONTROL_WIDTHS = (16, 16, 16, 16, 32, 32, 16, 16)
POSTERIOR_LOGVAR = -11.41
"""The posterior is deterministic: std is fixed near 1/300, so that the released offset gain of 300 is a gain of one."""
