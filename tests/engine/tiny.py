"""Tiny random models in the real file formats: the real topology and key names, narrow levels, no training.

They make noise, not pictures, but everything around the weights is as with real ones. Other tests use them too:
``write_model(folder)`` writes a complete model and `model_files` describes it as the engine wants it. This is Stable
Diffusion 1.5; `tiny_sdxl` is the same for SDXL.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from backend.engine.prompts import BEGIN, END
from backend.engine.sharing import SharingLayers, SharingUnit, attention_modules
from backend.engine.sharing_units import ControlEncoder
from backend.engine.transparency_nets import OffsetEncoder, TransparentDecoder
from backend.models import ModelFiles
from backend.models.modes import MODES, OPERATIONS
from protocol.job import ModelInfo

LAYER_FILES = {name: f"layer_sd15_{name}.safetensors" for family, name in MODES if family == "sd15"}
"""Mode → name of the released file."""
LAYER_FILE = LAYER_FILES["transparent_attn"]
DECODER_FILE = "layer_sd15_vae_transparent_decoder.safetensors"
ENCODER_FILE = "layer_sd15_vae_transparent_encoder.safetensors"
NATIVE_SIDE = 64
TEXT_WIDTH = 64
RANK = 2
DECODER_WIDTHS = (8, 8, 8, 16)
ENCODER_WIDTHS = CONTROL_WIDTHS = (8,) * 8

UNET: dict[str, Any] = dict(
    sample_size=NATIVE_SIDE // 8, in_channels=4, out_channels=4, block_out_channels=(32, 64, 96, 96),
    layers_per_block=2, attention_head_dim=8, cross_attention_dim=TEXT_WIDTH, norm_num_groups=32,
    down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
)
VAE: dict[str, Any] = dict(
    in_channels=3, out_channels=3, block_out_channels=(32, 32, 32, 32), layers_per_block=1, latent_channels=4,
    norm_num_groups=32, sample_size=NATIVE_SIDE, scaling_factor=0.18215,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
)
VOCABULARY = 49408


def text_config(vocabulary: int) -> dict[str, Any]:
    """Arguments of CLIPTextConfig."""
    return dict(
        vocab_size=vocabulary, hidden_size=TEXT_WIDTH, intermediate_size=64, num_hidden_layers=1, num_attention_heads=1,
        max_position_embeddings=77, hidden_act="quick_gelu", projection_dim=TEXT_WIDTH,
        bos_token_id=vocabulary - 2, eos_token_id=vocabulary - 1, pad_token_id=vocabulary - 1,
    )


def random_net(make: Any, seed: int) -> Any:
    """A network with random weights that depend on the seed only, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make().eval().requires_grad_(False)


def vocabulary() -> dict[str, int]:
    """The smallest CLIP-like vocabulary: printable letters, begin and end."""
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    return {piece: i for i, piece in enumerate([*letters, *(letter + "</w>" for letter in letters), BEGIN, END])}


def write_folder(folder: Path, unet: dict[str, Any] | None = None) -> Path:
    """Write a diffusers folder with a vocabulary of its own; `unet` changes the UNet's configuration."""
    ids = vocabulary()
    parts: dict[str, nn.Module] = {
        "unet": random_net(lambda: UNet2DConditionModel(**UNET | (unet or {})), 1),
        "vae": random_net(lambda: AutoencoderKL(**VAE), 2),
        "text_encoder": random_net(lambda: CLIPTextModel(CLIPTextConfig(**text_config(len(ids)))), 3),
    }
    for name, net in parts.items():
        net.save_pretrained(folder / name, safe_serialization=True)  # type: ignore[operator]
    write_tokenizer(folder / "tokenizer")
    return folder


def write_tokenizer(folder: Path) -> None:
    """Write `vocabulary` as a diffusers folder's tokenizer."""
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(vocabulary()), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", "utf-8")


def ldm_state_dict() -> dict[str, Tensor]:
    """A complete checkpoint in LDM naming, built from the diffusers nets by the names recorded for the real one."""
    names = json.loads((Path(__file__).parent / "data" / "ldm_names_sd15.json").read_text())
    unet = random_net(lambda: UNet2DConditionModel(**UNET), 1).state_dict()
    tensors = {"model.diffusion_model." + ldm: unet[name] for ldm, name in names.items()}
    tensors |= ldm_vae(random_net(lambda: AutoencoderKL(**VAE), 2))
    text = random_net(lambda: CLIPTextModel(CLIPTextConfig(**text_config(VOCABULARY))), 3).state_dict()
    prefix = "cond_stage_model.transformer.text_model."
    tensors |= {prefix + key: value for key, value in text.items()}
    tensors[prefix + "embeddings.position_ids"] = torch.arange(77)[None]
    tensors["alphas_cumprod"] = torch.linspace(1, 0, 1000)
    return {key: value.contiguous() for key, value in tensors.items()}


def ldm_vae(vae: nn.Module) -> dict[str, Tensor]:
    """A VAE's tensors as a checkpoint in LDM naming holds them."""
    return {"first_stage_model." + ldm_vae_name(key): as_ldm(key, value) for key, value in vae.state_dict().items()}


def ldm_vae_name(key: str) -> str:
    """diffusers VAE key → LDM naming, for the four levels of `VAE`; written independently of the engine's converse."""
    side, *path = key.split(".")
    if side not in ("encoder", "decoder"):
        return key
    names = {"conv_norm_out": "norm_out", "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v",
             "conv_shortcut": "nin_shortcut"}
    if path[0] in ("down_blocks", "up_blocks"):
        level = int(path[1]) if path[0] == "down_blocks" else 3 - int(path[1])
        head = [path[0].removesuffix("_blocks"), str(level)]
        kind, rest = path[2], path[3:]
        head += ["block", rest[0]] if kind == "resnets" else [kind.removesuffix("rs").removesuffix("e") + "e"]
        path = head + rest[1:]
    elif path[0] == "mid_block":
        head = f"block_{int(path[2]) + 1}" if path[1] == "resnets" else "attn_1"
        path = ["mid", head, *path[3:]]
    renamed = [names.get(part, part) for part in path]
    return ".".join([side, *renamed]).replace("to_out.0", "proj_out")


def as_ldm(key: str, value: Tensor) -> Tensor:
    """The VAE's attention matrices are 1×1 convolutions in LDM files."""
    return value[:, :, None, None] if ".attentions." in key and value.ndim == 2 else value


def write_checkpoint(path: Path) -> Path:
    """Write a single-file checkpoint in LDM naming with CLIP's own vocabulary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(ldm_state_dict(), path)
    return path


def sharing_state_dict(mode: str = "transparent_attn") -> dict[str, Tensor]:
    """The ``layer_sd15_*`` file of a mode for `UNET`, with effect."""
    unet = random_net(lambda: UNet2DConditionModel(**UNET), 1)
    frames, condition = len(MODES["sd15", mode].frames), bool(MODES["sd15", mode].conditions)
    signal = CONTROL_WIDTHS[-1] if condition else None
    layers = random_net(lambda: SharingLayers(
        [SharingUnit(m.to_q.in_features, m.to_k.in_features, RANK, frames, signal) for m in attention_modules(unet)],
        ControlEncoder(CONTROL_WIDTHS) if condition else None,
    ), 4)
    generator = torch.Generator().manual_seed(5)
    # A fresh control encoder hands on little of its picture: its weights shrink what goes through them.
    return {
        key: value * (3 if key.startswith("kwargs_encoder.") else 1) if value.abs().sum()
        else 0.1 * torch.randn(value.shape, generator=generator)
        for key, value in layers.state_dict().items()
    }


def write_layers(folder: Path) -> Path:
    """Write the four layer files, the decoder and the encoder under their released names."""
    folder.mkdir(parents=True, exist_ok=True)
    for mode, name in LAYER_FILES.items():
        save_file(sharing_state_dict(mode), folder / name)
    write_transparency(folder / DECODER_FILE, folder / ENCODER_FILE)
    return folder


def write_transparency(decoder_file: Path, encoder_file: Path, seed: int = 6) -> None:
    """Write a transparent decoder, whose alpha and colours are about a half, and an offset encoder."""
    decoder = random_net(lambda: TransparentDecoder(DECODER_WIDTHS, 3), seed).state_dict()
    decoder["conv_out.bias"] = torch.full_like(decoder["conv_out.bias"], 0.5)
    save_file(decoder, decoder_file)
    save_file(random_net(lambda: OffsetEncoder(ENCODER_WIDTHS), seed + 1).state_dict(), encoder_file)


def write_model(folder: Path, unet: dict[str, Any] | None = None) -> ModelFiles:
    """Write a diffusers folder ``model`` and the layer files beside it; return them as a model of 64 pixels."""
    write_folder(folder / "model", unet)
    write_layers(folder)
    return model_files(folder / "model", folder)


def model_files(base: Path, layers: Path) -> ModelFiles:
    """A tiny model's files as the engine wants them."""
    info = ModelInfo("tiny", "Tiny", "sd15", NATIVE_SIDE, tuple(OPERATIONS["sd15"]), "makes noise")
    files = {mode: layers / name for mode, name in LAYER_FILES.items()}
    return ModelFiles(base, files, layers / DECODER_FILE, layers / ENCODER_FILE, info)
