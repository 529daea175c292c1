"""What a file or folder is, told from the names and shapes of its tensors alone; never from its own name."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from protocol.errors import ErrorCode, fail

from .header import CONVERT_FOLDER, TensorInfo, read_header

FAMILIES = {"sd15": "a Stable Diffusion 1.5 checkpoint", "sdxl": "an SDXL checkpoint"}
"""Families of base models, and what people call a file of theirs."""
LDM_UNET = "model.diffusion_model."
LDM_VAE = "first_stage_model."
COMPONENTS = {
    "sd15": {"unet": LDM_UNET, "vae": LDM_VAE, "text_encoder": "cond_stage_model.transformer."},
    "sdxl": {
        "unet": LDM_UNET, "vae": LDM_VAE, "text_encoder": "conditioner.embedders.0.transformer.",
        "text_encoder_2": "conditioner.embedders.1.model.",
    },
}
"""Family → its networks, the UNet first: sub-folder of a diffusers model → prefix of its tensors in a single file."""
SCHEDULER_CONFIG = "scheduler_config.json"
REFINER_TEXT = "conditioner.embedders.0.model."
FILE_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
"""Names of the weights in a diffusers model's sub-folders."""
TRANSFORMER_BLOCKS = 16
"""Cross-attention blocks of the SD1.5 UNet; distilled models have fewer and do not fit the layer files."""
SDXL_TRANSFORMERS = (
    (
        ("input_blocks.4.1.", "down_blocks.1.attentions.0."), ("input_blocks.5.1.", "down_blocks.1.attentions.1."),
        ("output_blocks.3.1.", "up_blocks.1.attentions.0."), ("output_blocks.4.1.", "up_blocks.1.attentions.1."),
        ("output_blocks.5.1.", "up_blocks.1.attentions.2."),
    ),
    (
        ("input_blocks.7.1.", "down_blocks.2.attentions.0."), ("input_blocks.8.1.", "down_blocks.2.attentions.1."),
        ("middle_block.1.", "mid_block.attentions.0."),
        ("output_blocks.0.1.", "up_blocks.0.attentions.0."), ("output_blocks.1.1.", "up_blocks.0.attentions.1."),
        ("output_blocks.2.1.", "up_blocks.0.attentions.2."),
    ),
)
"""Where SDXL's UNet has transformers, in LDM and diffusers names; those of one level are equally deep."""
MARKS = {
    "edm_vpred.sigma_max": "a CosXL checkpoint (another noise schedule)",
    "edm_mean": "a Playground 2.5 checkpoint (another noise schedule)",
    "v_pred": "a checkpoint with velocity prediction",
    "ztsnr": "a checkpoint with another noise schedule (zero terminal SNR)",
}
"""Tensors that only say how a checkpoint was trained → what it is."""

LAYER_FILE = "an SD1.5 layer file of LayerDiffuse"
DECODER = "a transparent decoder of LayerDiffuse"
ENCODER = "a transparent encoder of LayerDiffuse"
LAST_ENCODER_BLOCK = "blocks.16.weight"
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

WANTED = "a complete Stable Diffusion 1.5 or SDXL checkpoint"
CHOOSE = (
    "Choose a Stable Diffusion 1.5 checkpoint (about 2 or 4 GB) or an SDXL checkpoint (about 7 GB), made for text to "
    "image."
)


def require_base(path: Path) -> str:
    """The family (key of `FAMILIES`) of a checkpoint file or diffusers folder.

    Raises:
        LayerDiffusionError: ``bad_checkpoint``, naming what was found; ``missing_file``.
    """
    found = describe_folder(path) if path.is_dir() else describe_file(read_header(path))
    if found not in FAMILIES:
        fail(ErrorCode.BAD_CHECKPOINT, f"{path.name} is {found}, expected {WANTED}.", CHOOSE)
    return found


def require_kind(path: Path, kind: str) -> None:
    """Raise ``bad_checkpoint``, naming what was found, unless the file is of this kind (`LAYER_FILE`, `DECODER`, …)."""
    found = describe_file(read_header(path))
    if found != kind:
        found = FAMILIES.get(found, found)
        fail(ErrorCode.BAD_CHECKPOINT, f"{path.name} is {found}, expected {kind}.", "Install the file again.")


def describe_file(header: Mapping[str, TensorInfo]) -> str:
    """What a single file is: a key of `FAMILIES` or, for people, the kind that it is instead."""
    conv_in = header.get(LDM_UNET + "input_blocks.0.0.weight")
    if conv_in is None:
        if LAST_ENCODER_BLOCK in header:
            return ENCODER
        kinds = (kind for part, kind in SIGNATURES if any(part in key for key in header))
        return next(kinds, "a file of an unknown kind")
    shapes = {key.removeprefix(LDM_UNET): info.shape for key, info in header.items() if key.startswith(LDM_UNET)}
    family = "sdxl" if any(key.startswith("label_emb.") for key in shapes) else "sd15"
    linear = any(len(shape) == 2 for key, shape in shapes.items() if key.endswith(".1.proj_in.weight"))
    if family == "sd15" and linear:
        return "a Stable Diffusion 2 checkpoint"
    if conv_in.shape[1] != 4:
        return f"an inpainting or editing checkpoint ({conv_in.shape[1]} input channels instead of 4)"
    if any(key.startswith(REFINER_TEXT) for key in header):
        return "an SDXL refiner"
    distilled = _distilled(shapes, family)
    if distilled:
        return f"a distilled checkpoint ({distilled})"
    for mark, kind in MARKS.items():
        if mark in header:
            return kind
    for component, prefix in COMPONENTS[family].items():
        if not any(key.startswith(prefix) for key in header):
            return f"{FAMILIES[family]} without its {_spoken(component)}"
    return family


def describe_folder(folder: Path) -> str:
    """What a diffusers folder is: a key of `FAMILIES` or, for people, the kind that it is instead."""
    unet = read_config(folder / "unet")
    family = _folder_family(folder)
    if family == "sdxl" and not (folder / "text_encoder").is_dir():
        return "an SDXL refiner"
    if (family == "sdxl") != (unet.get("addition_embed_type") == "text_time"):
        return "a model whose UNet and text encoders are of different families"
    if family == "sd15" and unet.get("use_linear_projection"):
        return "a Stable Diffusion 2 model"
    if unet.get("in_channels", 4) != unet.get("out_channels", 4):
        return f"an inpainting or editing model ({unet.get('in_channels')} input channels)"
    distilled = _distilled([key for file in component_files(folder, "unet") for key in read_header(file)], family)
    if distilled:
        return f"a distilled model ({distilled})"
    scheduler = folder / "scheduler"
    if (scheduler / SCHEDULER_CONFIG).exists():
        config = read_config(scheduler, SCHEDULER_CONFIG)
        if config.get("prediction_type") == "v_prediction":
            return "a model with velocity prediction"
        if str(config.get("_class_name")).startswith("EDM"):
            return "a model with another noise schedule"
    return family


def _folder_family(folder: Path) -> str:
    return "sdxl" if (folder / "text_encoder_2").is_dir() else "sd15"


def _distilled(keys: Collection[str], family: str) -> str:
    """How the transformers of a UNet (LDM or diffusers names) are fewer than its family's; empty when they are not."""
    blocks = [key for key in keys if key.endswith(".attn2.to_k.weight")]
    if family == "sd15":
        fewer = len(blocks) != TRANSFORMER_BLOCKS
        return f"{len(blocks)} transformer blocks instead of {TRANSFORMER_BLOCKS}" if fewer else ""
    depths = [[sum(key.startswith(names) for key in blocks) for names in level] for level in SDXL_TRANSFORMERS]
    whole = all(level[0] and len(set(level)) == 1 for level in depths) and sum(map(sum, depths)) == len(blocks)
    return "" if whole else f"{len(blocks)} transformer blocks, not placed as SDXL's 70 are"


def _spoken(component: str) -> str:
    return {"unet": "UNet", "vae": "VAE", "text_encoder": "text encoder", "text_encoder_2": "second text encoder"}[
        component
    ]


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


def base_files(base: Path) -> list[Path]:
    """The weights of a checkpoint file or diffusers folder, the UNet's first. Raises as `component_files`."""
    if not base.is_dir():
        return [base]
    return [file for component in COMPONENTS[_folder_family(base)] for file in component_files(base, component)]


def component_files(folder: Path, component: str) -> list[Path]:
    """The safetensors files of one network in a diffusers folder: one, or the parts that an index lists.

    Raises:
        LayerDiffusionError: ``bad_checkpoint`` when there are only pickled weights, ``missing_file`` without any.
    """
    place = folder / component
    names = [stem + variant for variant in (".safetensors", ".fp16.safetensors") for stem in FILE_STEMS]
    for name in names:
        if (place / name).is_file():
            return [place / name]
        if (place / f"{name}.index.json").is_file():
            return _parts(place, f"{name}.index.json")
    if any(place.glob("*.bin")):
        fail(ErrorCode.BAD_CHECKPOINT, f"The {component} of {folder.name} is a pickled .bin file.", CONVERT_FOLDER)
    expected = FILE_STEMS[component.startswith("text_encoder")] + ".safetensors"
    fail(ErrorCode.MISSING_FILE, f"The model {folder.name} has no file {component}/{expected}.")


def _parts(place: Path, index: str) -> list[Path]:
    """The files that an index of split weights names; they lie beside it."""
    weights = read_config(place, index).get("weight_map")
    names = sorted(set(map(str, weights.values()))) if isinstance(weights, dict) else []
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            found = f"{place / index} names {name!r:.100}, expected the name of a safetensors file beside it."
            fail(ErrorCode.BAD_CHECKPOINT, found, CONVERT_FOLDER)
        if not (place / name).is_file():
            fail(ErrorCode.MISSING_FILE, f"The file {place / name} is missing.", "Download the whole folder.")
    if not names:
        fail(ErrorCode.BAD_CHECKPOINT, f"{place / index} lists no files.")
    return [place / name for name in names]
