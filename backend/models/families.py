"""What a file or folder is, told from the names and shapes of its tensors alone; never from its own name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from protocol.errors import ErrorCode, fail

from .header import CONVERT, TensorInfo, read_header

LDM_UNET = "model.diffusion_model."
LDM_TEXT = "cond_stage_model.transformer."
LDM_VAE = "first_stage_model."
TRANSFORMER_BLOCKS = 16
"""Cross-attention blocks of the SD1.5 UNet; distilled models have fewer and do not fit the layer files."""
COMPONENTS = {
    "unet": ("diffusion_pytorch_model", "model"),
    "vae": ("diffusion_pytorch_model", "model"),
    "text_encoder": ("model", "pytorch_model"),
}
"""Sub-folders of a diffusers model and the names of the weights in them, most usual first."""

LAYER_FILE = "an SD1.5 layer file of LayerDiffuse"
DECODER = "a transparent decoder of LayerDiffuse"
SIGNATURES: tuple[tuple[str, str], ...] = (
    ("hookers.layers.", LAYER_FILE),
    ("::lora::", "an SDXL layer file of LayerDiffuse"),
    ("::diff::", "an SDXL layer file of LayerDiffuse"),
    ("latent_conv_in.", DECODER),
    ("lora_unet_", "a LoRA"), ("lora_te", "a LoRA"), (".lora_A.", "a LoRA"), (".lora_down.", "a LoRA"),
    (".lora.", "a LoRA"),
    ("control_model.", "a ControlNet"), ("controlnet_", "a ControlNet"),
    ("double_blocks.", "a Flux model"), ("joint_blocks.", "a Stable Diffusion 3 model"),
    ("down_blocks.", "a UNet or VAE without the rest of its model"),
    ("decoder.up.", "a VAE without the rest of its model"), ("encoder.down.", "a VAE without the rest of its model"),
    ("text_model.", "a text encoder without the rest of its model"),
    ("emb_params", "a textual inversion"), ("string_to_param", "a textual inversion"),
)
"""Part of a tensor's name → what such a file is, first match wins."""

WANTED = "a complete Stable Diffusion 1.5 checkpoint"
CHOOSE = "Choose a Stable Diffusion 1.5 checkpoint (about 2 or 4 GB, made for text to image)."


def describe_file(header: Mapping[str, TensorInfo]) -> str:
    """What a single file is: ``"sd15"`` or, for people, the kind that it is instead."""
    conv_in = header.get(LDM_UNET + "input_blocks.0.0.weight")
    if conv_in is None:
        kinds = (kind for part, kind in SIGNATURES if any(part in key for key in header))
        return next(kinds, "a file of an unknown kind")
    shapes = {key.removeprefix(LDM_UNET): info.shape for key, info in header.items() if key.startswith(LDM_UNET)}
    if any(key.startswith("label_emb.") for key in shapes):
        return "an SDXL checkpoint"
    blocks = [shape for key, shape in shapes.items() if key.endswith(".attn2.to_k.weight")]
    linear = any(len(shape) == 2 for key, shape in shapes.items() if key.endswith(".1.proj_in.weight"))
    if linear:
        return "a Stable Diffusion 2 checkpoint"
    if conv_in.shape[1] != 4:
        return f"an inpainting or editing checkpoint ({conv_in.shape[1]} input channels instead of 4)"
    if len(blocks) != TRANSFORMER_BLOCKS:
        return f"a distilled checkpoint ({len(blocks)} transformer blocks instead of {TRANSFORMER_BLOCKS})"
    for prefix, part in ((LDM_TEXT, "text encoder"), (LDM_VAE, "VAE")):
        if not any(key.startswith(prefix) for key in header):
            return f"a checkpoint without its {part}"
    return "sd15"


def describe_folder(folder: Path) -> str:
    """What a diffusers folder is: ``"sd15"`` or, for people, the kind that it is instead."""
    unet = read_config(folder / "unet")
    if (folder / "text_encoder_2").is_dir() or unet.get("addition_embed_type"):
        return "an SDXL model"
    if unet.get("use_linear_projection"):
        return "a Stable Diffusion 2 model"
    if unet.get("in_channels", 4) != unet.get("out_channels", 4):
        return f"an inpainting or editing model ({unet.get('in_channels')} input channels)"
    header = read_header(component_file(folder, "unet"))
    blocks = sum(key.endswith(".attn2.to_k.weight") for key in header)
    if blocks != TRANSFORMER_BLOCKS:
        return f"a distilled model ({blocks} transformer blocks instead of {TRANSFORMER_BLOCKS})"
    scheduler = folder / "scheduler"
    name = "scheduler_config.json"
    if (scheduler / name).exists() and read_config(scheduler, name).get("prediction_type") == "v_prediction":
        return "a model with velocity prediction"
    return "sd15"


def require_sd15(path: Path) -> None:
    """Raise ``bad_checkpoint``, naming what was found, unless the file or folder is an SD1.5 model."""
    found = describe_folder(path) if path.is_dir() else describe_file(read_header(path))
    if found != "sd15":
        fail(ErrorCode.BAD_CHECKPOINT, f"{path.name} is {found}, expected {WANTED}.", CHOOSE)


def require_kind(path: Path, kind: str) -> None:
    """Raise ``bad_checkpoint``, naming what was found, unless the file is of this kind (`LAYER_FILE`, `DECODER`)."""
    found = describe_file(read_header(path))
    if found != kind:
        found = "a Stable Diffusion 1.5 checkpoint" if found == "sd15" else found
        fail(ErrorCode.BAD_CHECKPOINT, f"{path.name} is {found}, expected {kind}.", "Install the file again.")


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """A JSON object from a model's folder. Raises ``missing_file`` or ``bad_checkpoint``."""
    try:
        value = json.loads((folder / name).read_text("utf-8"))
    except OSError:
        fail(ErrorCode.MISSING_FILE, f"The file {folder / name} is missing or cannot be read.")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        fail(ErrorCode.BAD_CHECKPOINT, f"{folder / name} is not a JSON object.")
    return value


def component_file(folder: Path, component: str) -> Path:
    """The safetensors file of ``unet``, ``vae`` or ``text_encoder`` in a diffusers folder.

    Raises:
        LayerDiffusionError: ``bad_checkpoint`` when there are only pickled weights, ``missing_file`` without any.
    """
    names = [stem + variant for variant in (".safetensors", ".fp16.safetensors") for stem in COMPONENTS[component]]
    for name in names:
        if (folder / component / name).is_file():
            return folder / component / name
    if any((folder / component).glob("*.bin")):
        fail(ErrorCode.BAD_CHECKPOINT, f"The {component} of {folder.name} is a pickled .bin file.", CONVERT)
    fail(ErrorCode.MISSING_FILE, f"The model {folder.name} has no file {component}/{names[0]}.")
