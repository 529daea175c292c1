"""Synthetic weights behind the recorded numbers in ``data/``.

Every weight is regenerated from its key name and shape, so that a module of the real architecture can be filled
and compared with what the reference implementations gave, without a large file in the repository.
"""
import math
import re
import zlib
from typing import Any

import numpy as np
import torch

RANK = 16  # LoRA rank used for the recorded numbers (the released files use 256)


def synth(key, shape, seed=0, kind=None, gain=1.0):
    """Return the deterministic float32 tensor for a state-dict key.

    kind: "w" (fan-in scaled weight), "bias" (small), "norm" (around one), "raw" (unit normal);
    chosen from the key and the number of dimensions when None.
    """
    shape = tuple(shape)
    noise = np.random.RandomState(zlib.crc32(f"{seed}:{key}".encode()) & 0xFFFFFFFF).standard_normal(shape)
    if kind is None:
        kind = "w" if len(shape) >= 2 else ("bias" if key.endswith("bias") else "norm")
    values = {
        "w": lambda: noise * gain / math.sqrt(int(np.prod(shape[1:]))),
        "bias": lambda: 0.02 * gain * noise,
        "norm": lambda: 1.0 + 0.1 * gain * noise,
        "raw": lambda: gain * noise,
    }[kind]()
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def synth_state_dict(shapes, seed, prefix="", gain=1.0):
    """Synthetic state dict for {key: shape or tensor}."""
    return {k: synth(prefix + k, getattr(v, "shape", v), seed, gain=gain) for k, v in shapes.items()}


def transparent_decoder_weights(shapes):
    """Weights behind transparent_decoder.safetensors; shapes: {key: shape} of the decoder."""
    sd = synth_state_dict(shapes, seed=11)
    sd["conv_out.weight"] *= 0.5
    sd["conv_out.bias"] = torch.tensor([0.55, 0.45, 0.5, 0.5])
    return sd


def offset_encoder_weights(shapes):
    """Weights behind transparent_encoder.safetensors (offset encoder)."""
    sd = synth_state_dict(shapes, seed=12, gain=1.4)
    sd["blocks.16.weight"] *= 0.01 / 1.4
    sd["blocks.16.bias"] *= 0.1
    return sd


VAE_CONFIG: dict[str, Any] = dict(  # diffusers AutoencoderKL
    in_channels=3, out_channels=3,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    block_out_channels=(32, 32, 64, 64), layers_per_block=1, latent_channels=4,
    norm_num_groups=32, sample_size=64, scaling_factor=0.13025,
)


def vae_weights(shapes):
    """Weights of the reduced VAE used for transparent_encoder.safetensors."""
    sd = synth_state_dict(shapes, seed=13)
    sd["quant_conv.weight"][4:] *= 0.2
    sd["quant_conv.bias"][4:] = -9.0
    sd["decoder.conv_out.weight"] *= 0.4
    return sd


# diffusers UNet2DConditionModel: real topology and key names, reduced widths
UNET_CONFIG: dict[str, dict[str, Any]] = {
    "sd15": dict(
        sample_size=32, in_channels=4, out_channels=4, block_out_channels=(32, 64, 128, 128),
        layers_per_block=2, attention_head_dim=8, cross_attention_dim=64, norm_num_groups=32,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    ),
    "sdxl": dict(
        sample_size=32, in_channels=4, out_channels=4, block_out_channels=(32, 64, 128),
        layers_per_block=2, attention_head_dim=(2, 4, 8), cross_attention_dim=64, norm_num_groups=32,
        use_linear_projection=True,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2), addition_embed_type="text_time",
        addition_time_embed_dim=4, projection_class_embeddings_input_dim=48,
    ),
}


def unet_weights(names, shapes):
    """Base UNet weights, diffusers names.

    names: {LDM name: diffusers name} (ldm_names_*.json); shapes: {diffusers name: shape} with a
    4-channel conv_in.
    """
    return {d: synth("model.diffusion_model." + ldm, shapes[d], 1) for ldm, d in names.items()}


def sharing_weights(shapes, mode):
    """An SD1.5 layer file (sd15_layer_keys.json holds {mode: {key: shape}}, rank 16)."""
    seed = {"transparent_attn": 21, "joint": 22, "fg2bg": 23, "bg2fg": 24}[mode]
    return {
        k: synth(k, s, seed, gain=0.5 if ("_lora." in k or "temporal_o" in k) else 1.0)
        for k, s in shapes.items()
    }


_ATTENTION = re.compile(r"\.attn[12]\.to_(q|k|v|out\.0)\.weight$")
_QKV = re.compile(r"\.attn[12]\.to_[qkv]\.weight$")
_EMBEDDINGS = re.compile(r"^diffusion_model\.(time_embed|label_emb)\.")
_TRANSFORMER = re.compile(
    r"^diffusion_model\.(input_blocks\.\d+\.1|middle_block\.1|output_blocks\.\d+\.1)\."
    r"(norm|proj_in|proj_out|transformer_blocks)"
)


def sdxl_layer_file(mode, shapes):
    """An SDXL layer file in the released key grammar.

    mode: transparent_attn, transparent_conv, fg2ble, bg2ble, fgble2bg or bgble2fg;
    shapes: {"diffusion_model." + LDM name: shape} of the base UNet.
    """
    out = {}
    if mode == "transparent_attn":
        for k, s in shapes.items():
            if _ATTENTION.search(k):
                out[k + "::lora::0"] = synth(k + "::lora::0", (s[0], RANK), 41, gain=0.6)
                out[k + "::lora::1"] = synth(k + "::lora::1", (RANK, s[1]), 41, gain=0.6)
        return out
    whole = mode in ("transparent_conv", "bgble2fg")
    width = {"transparent_conv": 4, "bgble2fg": 12, "fgble2bg": 12, "fg2ble": 8, "bg2ble": 8}[mode]
    seed = {"transparent_conv": 42, "fg2ble": 43, "bg2ble": 44, "fgble2bg": 45, "bgble2fg": 46}[mode]
    for k, s in shapes.items():
        if _EMBEDDINGS.match(k) or _QKV.search(k) or (not whole and _TRANSFORMER.match(k)):
            continue
        s = tuple(s)
        if k == "diffusion_model.input_blocks.0.0.weight":
            s = (s[0], width) + s[2:]
        matrix = len(s) > 1
        out[k + "::diff::0"] = synth(k + "::diff::0", s, seed, "w" if matrix else "raw", 0.3 if matrix else 0.05)
    return out
