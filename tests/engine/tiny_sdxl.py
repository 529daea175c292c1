"""Tiny random SDXL models in the real file formats, as `tiny` for Stable Diffusion 1.5.

The real topology and key names at narrow levels, with one and two transformer blocks in place of two and ten. The two
text encoders and the projection differ in width, so that none can stand in another's place unnoticed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from backend.models import ModelFiles
from backend.models.modes import MODES, OPERATIONS
from protocol.job import ModelInfo
from tests.engine import synth, tiny

LAYER_FILES = {name: f"layer_xl_{name}.safetensors" for family, name in MODES if family == "sdxl"}
"""Mode → name of the released file."""
DECODER_FILE = "vae_transparent_decoder.safetensors"
ENCODER_FILE = "vae_transparent_encoder.safetensors"
NATIVE_SIDE = 64
TEXT_WIDTHS = (24, 40)
POOLED_WIDTH = 24

UNET: dict[str, Any] = synth.UNET_CONFIG["sdxl"] | dict(sample_size=NATIVE_SIDE // 8, attention_head_dim=(1, 1, 2))
VAE: dict[str, Any] = tiny.VAE | dict(scaling_factor=0.13025)


def text_configs(vocabulary: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of CLIPTextConfig: CLIP-L's, OpenCLIP bigG's."""
    common = tiny.text_config(vocabulary) | dict(num_attention_heads=1)
    return (
        common | dict(hidden_size=TEXT_WIDTHS[0], projection_dim=TEXT_WIDTHS[0], num_hidden_layers=2),
        common | dict(
            hidden_size=TEXT_WIDTHS[1], projection_dim=POOLED_WIDTH, num_hidden_layers=3, hidden_act="gelu",
        ),
    )


def nets(vocabulary: int, unet: dict[str, Any] | None = None) -> dict[str, nn.Module]:
    """The four networks by their folder's name; the same weights on every call."""
    first, second = text_configs(vocabulary)
    return {
        "unet": tiny.random_net(lambda: UNet2DConditionModel(**UNET | (unet or {})), 11),
        "vae": tiny.random_net(lambda: AutoencoderKL(**VAE), 12),
        "text_encoder": _varied(lambda: CLIPTextModel(CLIPTextConfig(**first)), 13),
        "text_encoder_2": _varied(lambda: CLIPTextModelWithProjection(CLIPTextConfig(**second)), 14),
    }


def _varied(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A random network whose norms and biases, all alike in a new one, differ too: none can stand for another."""
    net = tiny.random_net(make, seed)
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        if parameter.ndim == 1:
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return net


def write_folder(folder: Path, unet: dict[str, Any] | None = None, own_vocabulary: bool = True) -> Path:
    """Write a diffusers folder; `unet` changes the UNet's configuration.

    With a vocabulary of its own it is small and native at `NATIVE_SIDE`; with CLIP's it holds the networks of
    `write_checkpoint` and no tokenizers.
    """
    for name, net in nets(len(tiny.vocabulary()) if own_vocabulary else tiny.VOCABULARY, unet).items():
        net.save_pretrained(folder / name, safe_serialization=True)  # type: ignore[operator]
    if own_vocabulary:
        tiny.write_tokenizer(folder / "tokenizer")
        tiny.write_tokenizer(folder / "tokenizer_2")
    return folder


def unet_names() -> dict[str, str]:
    """UNet names in LDM naming → diffusers names, as recorded for this topology."""
    return json.loads((Path(__file__).parent / "data" / "ldm_names_sdxl.json").read_text())


def ldm_state_dict() -> dict[str, Tensor]:
    """A complete checkpoint in the original naming, with the tensors beside the networks that real ones have."""
    parts = {name: net.state_dict() for name, net in nets(tiny.VOCABULARY).items()}
    tensors = {"model.diffusion_model." + ldm: parts["unet"][name] for ldm, name in unet_names().items()}
    tensors |= tiny.ldm_vae(nets(tiny.VOCABULARY)["vae"])
    first = "conditioner.embedders.0.transformer.text_model."
    tensors |= {first + key: value for key, value in parts["text_encoder"].items()}
    tensors[first + "embeddings.position_ids"] = torch.arange(77)[None]
    second = "conditioner.embedders.1.model."
    tensors |= {second + key: value for key, value in open_clip(parts["text_encoder_2"]).items()}
    tensors["denoiser.sigmas"] = torch.linspace(14.6, 0.03, 1000)
    return {key: value.contiguous() for key, value in tensors.items()}


def open_clip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """transformers' text tower → OpenCLIP's: q, k and v in one matrix, the projection applied from the right."""
    outer = {
        "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
        "text_model.embeddings.position_embedding.weight": "positional_embedding",
        "text_model.final_layer_norm.weight": "ln_final.weight", "text_model.final_layer_norm.bias": "ln_final.bias",
    }
    inner = {"self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2",
             "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    tensors = {name: state[key] for key, name in outer.items()}
    tensors["text_projection"] = state["text_projection.weight"].T
    tensors["logit_scale"] = torch.tensor(4.6)
    for index in range(sum(key.endswith(".mlp.fc1.weight") for key in state)):
        layer, block = f"text_model.encoder.layers.{index}.", f"transformer.resblocks.{index}."
        for leaf in ("weight", "bias"):
            for key, name in inner.items():
                tensors[f"{block}{name}.{leaf}"] = state[f"{layer}{key}.{leaf}"]
            tensors[f"{block}attn.in_proj_{leaf}"] = torch.cat(
                [state[f"{layer}self_attn.{part}_proj.{leaf}"] for part in "qkv"]
            )
    return tensors


def write_checkpoint(path: Path, dtype: torch.dtype = torch.float32) -> Path:
    """Write a single-file checkpoint in the original naming with CLIP's own vocabulary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.to(dtype) if v.is_floating_point() else v for k, v in ldm_state_dict().items()}, path)
    return path


def layer_state_dict(mode: str) -> dict[str, Tensor]:
    """The ``layer_xl_*`` file of a mode for `UNET`, float16 as the released ones."""
    unet = tiny.random_net(lambda: UNet2DConditionModel(**UNET), 11).state_dict()
    shapes = {"diffusion_model." + ldm: tuple(unet[name].shape) for ldm, name in unet_names().items()}
    return {key: value.half() for key, value in synth.sdxl_layer_file(mode, shapes).items()}


def write_layers(folder: Path) -> Path:
    """Write the six layer files, the decoder and the encoder under their released names."""
    folder.mkdir(parents=True, exist_ok=True)
    for mode, name in LAYER_FILES.items():
        save_file(layer_state_dict(mode), folder / name)
    tiny.write_transparency(folder / DECODER_FILE, folder / ENCODER_FILE, seed=16)
    return folder


def write_model(folder: Path, unet: dict[str, Any] | None = None) -> ModelFiles:
    """Write a diffusers folder ``model`` and the layer files beside it; return them as a model of 64 pixels."""
    write_folder(folder / "model", unet)
    write_layers(folder)
    return model_files(folder / "model", folder)


def model_files(base: Path, layers: Path) -> ModelFiles:
    """A tiny model's files as the engine wants them."""
    info = ModelInfo("tiny-xl", "Tiny XL", "sdxl", NATIVE_SIDE, tuple(OPERATIONS["sdxl"]), "makes noise")
    files = {mode: layers / name for mode, name in LAYER_FILES.items()}
    return ModelFiles(base, files, layers / DECODER_FILE, layers / ENCODER_FILE, info)
