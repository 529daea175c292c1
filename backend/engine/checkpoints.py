"""Loading of a model's files, offline, from safetensors only.

A base model may be a single file in the original ("LDM") naming or a diffusers folder; both end as the same three
networks. Whatever is wrong with a file is said with the file's name, what was found and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from backend.models.families import (
    DECODER,
    LAYER_FILE,
    LDM_TEXT,
    LDM_UNET,
    LDM_VAE,
    component_file,
    read_config,
    require_kind,
    require_sd15,
)
from backend.models.header import DOWNLOAD_AGAIN, read_header
from protocol.errors import ErrorCode, fail

from . import ldm
from .device import Device
from .prompts import Vocabulary, clip_vocabulary, folder_vocabulary
from .sharing import SharingLayers, attach
from .transparency_nets import TransparentDecoder

Net = TypeVar("Net", bound=nn.Module)
Rename = Callable[[str], str | None]

WRONG_FILE = "Install the file again from its original source; files of other models cannot be used here."


@dataclass(frozen=True)
class BaseModel:
    """The networks of a Stable Diffusion 1.5 model, in evaluation mode on their device.

    Attributes:
        unet: UNet2DConditionModel, predicts noise.
        vae: AutoencoderKL.
        text_encoder: CLIPTextModel; its last hidden state with the final LayerNorm is the context.
        vocabulary: its tokenizer.
        scaling_factor: latents of the UNet are those of the VAE times this.
    """

    unet: Any
    vae: Any
    text_encoder: Any
    vocabulary: Vocabulary
    scaling_factor: float


def load_base(base: Path, device: Device, before_part: Callable[[int], None] = lambda index: None) -> BaseModel:
    """Load a checkpoint file or diffusers folder.

    Args:
        base: ``*.safetensors`` in LDM naming, or a folder with ``unet``, ``vae``, ``text_encoder``; a folder's own
            ``tokenizer`` is used where there is one.
        device: where to and in which precision.
        before_part: called with 0, 1, 2 before UNet, VAE and text encoder are read; raises to stop.

    Raises:
        LayerDiffusionError: ``missing_file``, ``bad_checkpoint`` or ``not_finite``.
    """
    require_sd15(base)
    load = _from_folder if base.is_dir() else _from_file
    with wrong_contents(base.name):
        before_part(0)
        unet = load(base, "unet", device.place, device.denoiser)
        before_part(1)
        vae = load(base, "vae", device.place, device.vae)
        before_part(2)
        text_encoder = load(base, "text_encoder", device.place, device.denoiser)
        own = base / "tokenizer"
        vocabulary = folder_vocabulary(own) if own.is_dir() else clip_vocabulary()
    widths = unet.config.cross_attention_dim, text_encoder.config.hidden_size
    if widths[0] != widths[1] or vocabulary.size > text_encoder.config.vocab_size:
        fail(
            ErrorCode.BAD_CHECKPOINT, f"The parts of {base.name} do not belong together: the UNet reads texts of width "
            f"{widths[0]}, the text encoder writes {widths[1]} and knows {text_encoder.config.vocab_size} of the "
            f"vocabulary's {vocabulary.size} tokens.", WRONG_FILE,
        )
    return BaseModel(unet, vae, text_encoder, vocabulary, float(vae.config.scaling_factor))


def load_layers(path: Path, unet: Any, place: torch.device, frames: int = 1) -> SharingLayers:
    """Load an SD1.5 layer file and make sure that it fits the UNet and makes so many frames. Raises as `load_base`."""
    require_kind(path, LAYER_FILE)
    with wrong_contents(path.name):
        layers = SharingLayers.from_state_dict(read_tensors(path, lambda key: key, place, torch.float32))
        attach(unet, layers.requires_grad_(False), merge=False).remove()
    if layers.frames != frames:
        found = f"{path.name} is made for {layers.frames} pictures at once, expected {frames}."
        fail(ErrorCode.BAD_CHECKPOINT, found, WRONG_FILE)
    return layers.eval()


def load_decoder(path: Path, place: torch.device, dtype: torch.dtype) -> TransparentDecoder:
    """Load a transparent decoder. Raises as `load_base`."""
    require_kind(path, DECODER)
    with wrong_contents(path.name):
        tensors = read_tensors(path, lambda key: key, place, dtype)
        with torch.device("meta"):
            net = TransparentDecoder.from_shapes({key: tuple(value.shape) for key, value in tensors.items()})
        return fill(net, tensors, path.name)


@contextmanager
def wrong_contents(name: str) -> Iterator[None]:
    """Turn what a network says of tensors that are not its own into ``bad_checkpoint``."""
    try:
        yield
    except (KeyError, IndexError, ValueError, TypeError, RuntimeError, OSError) as error:
        if isinstance(error, RuntimeError) and "memory" in str(error).lower():
            raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        fail(ErrorCode.BAD_CHECKPOINT, f"{name} does not hold what its kind of file should hold: {reason}.", WRONG_FILE)


def read_tensors(path: Path, rename: Rename, place: torch.device, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Read tensors under new names, in one precision, on a device.

    Args:
        rename: key in the file → key wanted, or None to leave it out.
        dtype: of floating point tensors; None keeps that of the file.

    Raises:
        LayerDiffusionError: ``missing_file``, ``bad_checkpoint``; ``not_finite`` when a value is not a number in
            this precision.
    """
    read_header(path)
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(path, "pt") as file:
            for key in file.keys():
                name = rename(key)
                if name is None:
                    continue
                value = file.get_tensor(key)
                tensors[name] = value.to(place, dtype) if value.is_floating_point() else value.to(place)
                if not tensors[name].isfinite().all():
                    fail(ErrorCode.NOT_FINITE, f"{path.name} holds values that are no numbers ({key}).", DOWNLOAD_AGAIN)
    except SafetensorError as error:
        fail(ErrorCode.BAD_CHECKPOINT, f"{path.name} is no complete safetensors file: {error}.", DOWNLOAD_AGAIN)
    return tensors


def fill(net: Net, tensors: Mapping[str, Tensor], name: str) -> Net:
    """Give a network its tensors. Raises ``bad_checkpoint`` when some are missing, unknown or of a wrong shape."""
    missing, unknown = net.load_state_dict(dict(tensors), strict=False, assign=True)
    for what, keys in (("lacks", missing), ("holds unknown", unknown)):
        if keys:
            fail(
                ErrorCode.BAD_CHECKPOINT,
                f"{name} {what} {len(keys)} tensors of the {type(net).__name__}, the first is {keys[0]}.", WRONG_FILE,
            )
    return net.eval().requires_grad_(False)


def _from_file(base: Path, component: str, place: torch.device, dtype: torch.dtype) -> Any:
    prefix = {"unet": LDM_UNET, "vae": LDM_VAE, "text_encoder": LDM_TEXT}[component]
    levels = len({key.split(".")[3] for key in read_header(base) if key.startswith(LDM_VAE + "decoder.up.")})
    names: dict[str, Rename] = {
        "unet": ldm.unet_name, "vae": lambda key: _vae_key(ldm.vae_name(key, levels)), "text_encoder": _text_key,
    }
    rename = names[component]
    tensors = read_tensors(
        base, lambda key: rename(key.removeprefix(prefix)) if key.startswith(prefix) else None, place, dtype
    )
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    configs = {"unet": ldm.unet_config, "vae": ldm.vae_config, "text_encoder": ldm.text_config}
    return _build(component, configs[component](shapes), tensors, base.name)


def _from_folder(base: Path, component: str, place: torch.device, dtype: torch.dtype) -> Any:
    names: dict[str, Rename] = {
        "unet": lambda key: key, "vae": lambda key: _vae_key(ldm.current_vae_name(key)), "text_encoder": _text_key,
    }
    path = component_file(base, component)
    tensors = read_tensors(path, names[component], place, dtype)
    return _build(component, read_config(base / component), tensors, f"{base.name}/{component}/{path.name}")


def _build(component: str, config: dict[str, Any], tensors: dict[str, Tensor], name: str) -> Any:
    if component == "text_encoder":
        with torch.device("meta"):
            net = CLIPTextModel(CLIPTextConfig.from_dict(config))
        filled: Any = fill(net, tensors, name)
        # The one buffer that is not in any file and so has no values on the meta device.
        positions = torch.arange(filled.config.max_position_embeddings, device=next(iter(tensors.values())).device)
        filled.embeddings.register_buffer("position_ids", positions[None], persistent=False)
        return filled
    for key, value in tensors.items():
        # The VAE's attention was made of 1×1 convolutions once.
        if ".attentions." in key and component == "vae" and value.ndim == 4:
            tensors[key] = value[:, :, 0, 0].contiguous()
    kind: Any = UNet2DConditionModel if component == "unet" else AutoencoderKL
    with torch.device("meta"):
        net = kind.from_config(config)
    return fill(net, tensors, name)


def _vae_key(key: str) -> str | None:
    return key if key.startswith(("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")) else None


def _text_key(key: str) -> str | None:
    name = ldm.text_name(key)
    known = name.startswith(("embeddings.", "encoder.", "final_layer_norm.")) and not name.endswith(".position_ids")
    return name if known else None
