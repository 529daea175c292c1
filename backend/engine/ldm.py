"""Names and sizes of original Stable Diffusion 1.5 and SDXL checkpoints ("LDM naming") → diffusers and transformers.

Widths and depths are read from the tensors, so that a reduced checkpoint takes the path of a full one; what tensors
cannot tell (heads, group counts, activations) is that of the released models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]

UNET_HEADS = 8
"""Of every level in SD1.5; SDXL's heads are all equally wide."""
SDXL_HEAD_WIDTH = TEXT_HEAD_WIDTH = 64
NORM_GROUPS = 32
SCALING_FACTORS = {"sd15": 0.18215, "sdxl": 0.13025}
SAMPLE_SIZES = {"sd15": 64, "sdxl": 128}
"""Sides of the latents that the models were made for."""
TIME_IDS = 6
"""Numbers that tell SDXL the size: original height and width, top and left of the crop, target height and width."""
RESNETS = 2
"""ResNets per level of the UNet on the way down; one more on the way up."""

RESNET = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2", "out_layers.3": "conv2", "skip_connection": "conv_shortcut",
}
OUTER = {
    "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1", "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in", "out.0": "conv_norm_out", "out.2": "conv_out",
}
VAE_PARTS = (
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."), (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.norm\.", ".mid_block.attentions.0.group_norm."),
    (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
    (r"\.mid\.attn_1\.proj_out\.", ".mid_block.attentions.0.to_out.0."),
    (r"\.down\.(\d+)\.block\.(\d+)\.", r".down_blocks.\1.resnets.\2."),
    (r"\.down\.(\d+)\.downsample\.", r".down_blocks.\1.downsamplers.0."),
    (r"\.up_blocks\.(\d+)\.block\.(\d+)\.", r".up_blocks.\1.resnets.\2."),
    (r"\.up_blocks\.(\d+)\.upsample\.", r".up_blocks.\1.upsamplers.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."), (r"coder\.norm_out\.", "coder.conv_norm_out."),
)
OPEN_CLIP = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight", "ln_final.bias": "text_model.final_layer_norm.bias",
    "text_projection": "text_projection.weight",
}
OPEN_CLIP_BLOCK = {
    "ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn": "self_attn", "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
}
"""Inside ``transformer.resblocks.{i}`` and ``encoder.layers.{i}``."""
DEPRECATED_VAE_ATTENTION = (
    (".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."), (".proj_attn.", ".to_out.0."),
)
"""Names in diffusers folders written before 2023."""


def unet_name(key: str) -> str:
    """UNet key in LDM naming, without its prefix → diffusers name."""
    stem, _, leaf = key.rpartition(".")
    if stem in OUTER:
        return f"{OUTER[stem]}.{leaf}"
    path = stem.split(".")
    if path[0] == "middle_block":
        part = {"0": "mid_block.resnets.0", "1": "mid_block.attentions.0", "2": "mid_block.resnets.1"}[path[1]]
        inner = ".".join(path[2:])
    else:
        index, slot, inner = int(path[1]), path[2], ".".join(path[3:])
        if path[0] == "input_blocks":
            level, position = divmod(index - 1, RESNETS + 1)
            block = f"down_blocks.{level}"
        else:
            level, position = divmod(index, RESNETS + 1)
            block = f"up_blocks.{level}"
        if inner == "op":
            return f"{block}.downsamplers.0.conv.{leaf}"
        if inner == "conv":
            return f"{block}.upsamplers.0.conv.{leaf}"
        part = f"{block}.{'resnets' if slot == '0' else 'attentions'}.{position}"
    return ".".join(filter(None, (part, RESNET.get(inner, inner), leaf)))


def vae_name(key: str, levels: int) -> str:
    """VAE key in LDM naming, without its prefix → diffusers name; LDM counts the decoder's levels from the end."""
    key = re.sub(r"^decoder\.up\.(\d+)\.", lambda m: f"decoder.up_blocks.{levels - 1 - int(m[1])}.", key)
    for pattern, name in VAE_PARTS:
        key = re.sub(pattern, name, key)
    return key


def current_vae_name(key: str) -> str:
    """VAE key of any diffusers version → today's."""
    for old, new in DEPRECATED_VAE_ATTENTION:
        key = key.replace(old, new)
    return key


def text_name(key: str) -> str:
    """Text encoder key of any transformers version → transformers 5, which dropped the ``text_model.`` level."""
    return key.removeprefix("text_model.")


def open_clip_name(key: str) -> str | None:
    """Key of OpenCLIP's text tower → transformers name, None for what is no part of it.

    ``attn.in_proj_weight`` and ``_bias`` keep that leaf: see `from_open_clip`.
    """
    if key in OPEN_CLIP:
        return OPEN_CLIP[key]
    match = re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+)\.(weight|bias|in_proj_weight|in_proj_bias)", key)
    if not match or match[2] not in OPEN_CLIP_BLOCK:
        return None
    return f"text_model.encoder.layers.{match[1]}.{OPEN_CLIP_BLOCK[match[2]]}.{match[3]}"


def from_open_clip(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors named by `open_clip_name` → those of CLIPTextModelWithProjection.

    OpenCLIP keeps q, k and v in one matrix, and multiplies its projection from the right.
    """
    found = {}
    for key, value in tensors.items():
        stem, fused, leaf = key.rpartition("in_proj_")
        if fused:
            for part, third in zip("qkv", value.chunk(3), strict=True):
                found[f"{stem}{part}_proj.{leaf}"] = third
        else:
            found[key] = value.T.contiguous() if key == OPEN_CLIP["text_projection"] else value
    return found


def unet_config(shapes: Shapes, pooled: int = 0) -> dict[str, Any]:
    """Arguments of UNet2DConditionModel for tensors in diffusers names; `pooled`: width of SDXL's pooled text."""
    levels = _count(shapes, "down_blocks")
    attention = [f"down_blocks.{i}.attentions.0.norm.weight" in shapes for i in range(levels)]
    config: dict[str, Any] = dict(
        sample_size=SAMPLE_SIZES["sd15"],
        in_channels=shapes["conv_in.weight"][1], out_channels=shapes["conv_out.weight"][0],
        block_out_channels=tuple(shapes[f"down_blocks.{i}.resnets.0.conv1.weight"][0] for i in range(levels)),
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        layers_per_block=RESNETS, attention_head_dim=UNET_HEADS, norm_num_groups=NORM_GROUPS,
        cross_attention_dim=shapes["mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"][1],
    )
    if "add_embedding.linear_1.weight" not in shapes:
        return config
    inputs = shapes["add_embedding.linear_1.weight"][1]
    depths = (_count(shapes, f"down_blocks.{i}.attentions.0.transformer_blocks") for i in range(levels))
    return config | dict(
        sample_size=SAMPLE_SIZES["sdxl"], use_linear_projection=True,
        attention_head_dim=tuple(max(1, width // SDXL_HEAD_WIDTH) for width in config["block_out_channels"]),
        transformer_layers_per_block=tuple(max(1, depth) for depth in depths), addition_embed_type="text_time",
        addition_time_embed_dim=(inputs - pooled) // TIME_IDS, projection_class_embeddings_input_dim=inputs,
    )


def vae_config(shapes: Shapes, family: str) -> dict[str, Any]:
    """Arguments of AutoencoderKL for tensors in diffusers names."""
    levels = _count(shapes, "encoder.down_blocks")
    return dict(
        in_channels=3, out_channels=3, latent_channels=shapes["post_quant_conv.weight"][0],
        block_out_channels=tuple(shapes[f"encoder.down_blocks.{i}.resnets.0.conv1.weight"][0] for i in range(levels)),
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=_count(shapes, "encoder.down_blocks.0.resnets"), norm_num_groups=NORM_GROUPS,
        scaling_factor=SCALING_FACTORS[family],
    )


def text_config(shapes: Shapes) -> dict[str, Any]:
    """Arguments of CLIPTextConfig for the tensors of a CLIPTextModel, which is CLIP-L in both families."""
    vocabulary, width = shapes["embeddings.token_embedding.weight"]
    return dict(
        vocab_size=vocabulary, hidden_size=width, projection_dim=width, hidden_act="quick_gelu",
        max_position_embeddings=shapes["embeddings.position_embedding.weight"][0],
        intermediate_size=shapes["encoder.layers.0.mlp.fc1.weight"][0],
        num_hidden_layers=_count(shapes, "encoder.layers"), num_attention_heads=max(1, width // TEXT_HEAD_WIDTH),
        bos_token_id=vocabulary - 2, eos_token_id=vocabulary - 1, pad_token_id=vocabulary - 1,
    )


def open_clip_config(shapes: Shapes) -> dict[str, Any]:
    """Arguments of CLIPTextConfig for the tensors of a CLIPTextModelWithProjection: OpenCLIP's bigG in SDXL."""
    projection = shapes["text_projection.weight"][0]
    inner = {text_name(key): shape for key, shape in shapes.items()}
    return text_config(inner) | dict(hidden_act="gelu", projection_dim=projection)


def _count(keys: Iterable[str], prefix: str) -> int:
    """Number of the members ``{prefix}.0``, ``{prefix}.1``, … among the keys."""
    depth = prefix.count(".") + 1
    return 1 + max((int(k.split(".")[depth]) for k in keys if k.startswith(prefix + ".")), default=-1)
