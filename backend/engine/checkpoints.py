"""Loading of a model's files, offline, from safetensors only.

A base model may be a single file in the original ("LDM") naming or a diffusers folder; both end as the same
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
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from backend.models.families import (
    COMPONENTS,
    DECODER,
    ENCODER,
    LAYER_FILE,
    LDM_VAE,
    component_files,
    read_config,
    require_base,
    require_kind,
)
from backend.models.header import DOWNLOAD_AGAIN, read_header
from protocol.errors import ErrorCode, fail

from . import ldm
from .device import HOST, Device, short_of_memory
from .prompts import Vocabulary, clip_vocabulary, folder_vocabulary
from .sharing import SharingLayers, attach
from .transparency_nets import OffsetEncoder, TransparentDecoder

Net = TypeVar("Net", bound=nn.Module)
TransparencyNet = TypeVar("TransparencyNet", OffsetEncoder, TransparentDecoder)
Rename = Callable[[str], str | None]

FLOATS = ("F16", "BF16", "F32", "F64")
EIGHT_BITS = ("F8_E4M3", "F8_E5M2")
"""Read only where they are widened at once: nothing is computed in them."""
WRONG_FILE = "Install the file again from its original source; files of other models cannot be used here."


@dataclass(frozen=True)
class BaseModel:
    """The networks of a Stable Diffusion 1.5 or SDXL model, in evaluation mode on their device.

    Attributes:
        family: ``sd15`` or ``sdxl``.
        unet: UNet2DConditionModel, predicts noise.
        vae: AutoencoderKL.
        text_encoders: CLIPTextModel, and SDXL's CLIPTextModelWithProjection; `prompts.encode` reads texts with them.
        vocabularies: the tokenizer of each text encoder; they split texts alike.
        scaling_factor: latents of the UNet are those of the VAE times this.
    """

    family: str
    unet: Any
    vae: Any
    text_encoders: tuple[Any, ...]
    vocabularies: tuple[Vocabulary, ...]
    scaling_factor: float


def load_base(base: Path, device: Device, before_part: Callable[[int], None] = lambda index: None) -> BaseModel:
    """Load a checkpoint file or diffusers folder.

    Args:
        base: ``*.safetensors`` in LDM naming, or a folder with ``unet``, ``vae``, ``text_encoder`` and for SDXL
            ``text_encoder_2``; a folder's own ``tokenizer`` is used where there is one.
        device: where to and in which precision.
        before_part: called with 0, 1, 2 before UNet, VAE and text encoders are read; raises to stop.

    Raises:
        LayerDiffusionError: ``missing_file``, ``bad_checkpoint`` or ``not_finite``.
    """
    family = require_base(base)
    load = _from_folder if base.is_dir() else _from_file
    with wrong_contents(base.name):
        before_part(0)
        unet = load(base, family, "unet", device.home, device.denoiser).to(memory_format=device.memory_format)
        before_part(1)
        vae = load(base, family, "vae", device.home, device.vae)
        before_part(2)
        texts = [component for component in COMPONENTS[family] if component.startswith("text_encoder")]
        encoders = tuple(load(base, family, component, device.home, device.denoiser) for component in texts)
        own = [base / component.replace("text_encoder", "tokenizer") for component in texts]
        vocabularies = tuple(folder_vocabulary(path) if path.is_dir() else clip_vocabulary() for path in own)
    model = BaseModel(family, unet, vae, encoders, vocabularies, float(vae.config.scaling_factor))
    _require_fitting(model, base.name)
    return model


def _require_fitting(model: BaseModel, name: str) -> None:
    """Raise ``bad_checkpoint`` unless the text encoders write what the UNet reads, in words that both know."""
    encoders, unet = model.text_encoders, model.unet.config
    faults = [
        f"a text encoder knows {encoder.config.vocab_size} of the vocabulary's {vocabulary.size} tokens"
        for encoder, vocabulary in zip(encoders, model.vocabularies, strict=True)
        if vocabulary.size > encoder.config.vocab_size
    ]
    written = sum(encoder.config.hidden_size for encoder in encoders)
    if written != unet.cross_attention_dim:
        faults.append(f"the UNet reads texts of width {unet.cross_attention_dim}, the text encoders write {written}")
    if model.family == "sdxl":
        pooled = unet.projection_class_embeddings_input_dim - ldm.TIME_IDS * unet.addition_time_embed_dim
        if pooled != encoders[-1].config.projection_dim:
            faults.append(
                f"the UNet reads pooled texts of width {pooled}, the text encoder writes "
                f"{encoders[-1].config.projection_dim}"
            )
    if any(not vocabulary.equals(model.vocabularies[0]) for vocabulary in model.vocabularies):
        faults.append("the tokenizers split texts differently")
    if faults:
        fail(ErrorCode.BAD_CHECKPOINT, f"The parts of {name} do not belong together: {'; '.join(faults)}.", WRONG_FILE)


def load_layers(path: Path, unet: Any, frames: int = 1) -> SharingLayers:
    """Load an SD1.5 layer file and make sure that it fits the UNet and makes so many frames. Raises as `load_base`.

    It stays in the host's memory and the file's precision: only what `attach` multiplies out goes to the device.
    """
    require_kind(path, LAYER_FILE)
    with wrong_contents(path.name):
        layers = SharingLayers.from_state_dict(read_tensors(path, lambda key: key, HOST, None))
        attach(unet, layers.requires_grad_(False), merge=False).remove()
    if layers.frames != frames:
        found = f"{path.name} is made for {layers.frames} pictures at once, expected {frames}."
        fail(ErrorCode.BAD_CHECKPOINT, found, WRONG_FILE)
    return layers.eval()


def load_decoder(path: Path, place: torch.device, dtype: torch.dtype) -> TransparentDecoder:
    """Load a transparent decoder. Raises as `load_base`."""
    require_kind(path, DECODER)
    return _load_network(path, TransparentDecoder, place, dtype)


def load_encoder(path: Path, place: torch.device, dtype: torch.dtype) -> OffsetEncoder:
    """Load a transparent (offset) encoder. Raises as `load_base`."""
    require_kind(path, ENCODER)
    return _load_network(path, OffsetEncoder, place, dtype)


def _load_network(path: Path, kind: type[TransparencyNet], place: torch.device, dtype: torch.dtype) -> TransparencyNet:
    with wrong_contents(path.name):
        tensors = read_tensors(path, lambda key: key, place, dtype)
        with torch.device("meta"):
            net = kind.from_shapes({key: tuple(value.shape) for key, value in tensors.items()})
        return fill(net, tensors, path.name)


@contextmanager
def wrong_contents(name: str) -> Iterator[None]:
    """Turn what a network says of tensors that are not its own into ``bad_checkpoint``."""
    try:
        yield
    except (KeyError, IndexError, ValueError, TypeError, RuntimeError, OSError) as error:
        if short_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        if isinstance(error, KeyError):
            reason = f"it lacks {reason}, or names it otherwise"
        fail(ErrorCode.BAD_CHECKPOINT, f"{name} does not hold what its kind of file should hold: {reason}.", WRONG_FILE)


def read_tensors(path: Path, rename: Rename, place: torch.device, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Read tensors under new names, in one precision, on a device.

    Args:
        rename: key in the file → key wanted, or None to leave it out.
        dtype: what they become; None keeps the file's, which then must have 16 bits or more.

    Raises:
        LayerDiffusionError: ``missing_file``; ``bad_checkpoint``, also for whole numbers; ``not_finite`` when a value
            is not a number in this precision.
    """
    header, known = read_header(path), FLOATS if dtype is None else FLOATS + EIGHT_BITS
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(path, "pt") as file:
            for key in file.keys():
                name = rename(key)
                if name is None:
                    continue
                if header[key].dtype not in known:
                    fail(
                        ErrorCode.BAD_CHECKPOINT, f"{path.name} holds values of type {header[key].dtype} ({key:.200}), "
                        f"expected {', '.join(known)}.", "Use a version of the file in 16 or 32 bits.",
                    )
                tensors[name] = file.get_tensor(key).to(place, dtype)
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


def _from_file(base: Path, family: str, component: str, place: torch.device, dtype: torch.dtype) -> Any:
    prefix, header = COMPONENTS[family][component], read_header(base)
    levels = len({key.split(".")[3] for key in header if key.startswith(LDM_VAE + "decoder.up.")})
    names: dict[str, Rename] = {
        "unet": ldm.unet_name, "vae": lambda key: _vae_key(ldm.vae_name(key, levels)), "text_encoder": _text_key,
        "text_encoder_2": ldm.open_clip_name,
    }
    rename = names[component]
    tensors = read_tensors(
        base, lambda key: rename(key.removeprefix(prefix)) if key.startswith(prefix) else None, place, dtype
    )
    if component == "text_encoder_2":
        tensors = ldm.from_open_clip(tensors)
    projection = header.get(COMPONENTS[family].get("text_encoder_2", "") + "text_projection")
    pooled = projection.shape[1] if projection else 0
    configs: dict[str, Callable[[ldm.Shapes], dict[str, Any]]] = {
        "unet": lambda shapes: ldm.unet_config(shapes, pooled), "vae": lambda shapes: ldm.vae_config(shapes, family),
        "text_encoder": ldm.text_config, "text_encoder_2": ldm.open_clip_config,
    }
    config = configs[component]({key: tuple(value.shape) for key, value in tensors.items()})
    return _build(component, config, tensors, base.name)


def _from_folder(base: Path, family: str, component: str, place: torch.device, dtype: torch.dtype) -> Any:
    names: dict[str, Rename] = {
        "unet": lambda key: key, "vae": lambda key: _vae_key(ldm.current_vae_name(key)), "text_encoder": _text_key,
        "text_encoder_2": lambda key: None if key.endswith(".position_ids") else key,
    }
    tensors: dict[str, Tensor] = {}
    files = component_files(base, component)
    for path in files:
        tensors |= read_tensors(path, names[component], place, dtype)
    return _build(component, read_config(base / component), tensors, f"{base.name}/{component}/{files[0].name}")


def _build(component: str, config: dict[str, Any], tensors: dict[str, Tensor], name: str) -> Any:
    if component == "text_encoder":
        return _build_text(CLIPTextModel, config, tensors, name)
    if component == "text_encoder_2":
        return _build_text(CLIPTextModelWithProjection, config, tensors, name)
    for key, value in tensors.items():
        # The VAE's attention was made of 1×1 convolutions once.
        if ".attentions." in key and component == "vae" and value.ndim == 4:
            tensors[key] = value[:, :, 0, 0].contiguous()
    kind: Any = UNet2DConditionModel if component == "unet" else AutoencoderKL
    with torch.device("meta"):
        net = kind.from_config(config)
    return fill(net, tensors, name)


def _build_text(kind: Any, config: dict[str, Any], tensors: dict[str, Tensor], name: str) -> Any:
    with torch.device("meta"):
        net = kind(CLIPTextConfig.from_dict(config))
    filled: Any = fill(net, tensors, name)
    # The one buffer that is not in any file and so has no values on the meta device.
    positions = torch.arange(filled.config.max_position_embeddings, device=next(iter(tensors.values())).device)
    embeddings = filled.embeddings if kind is CLIPTextModel else filled.text_model.embeddings
    embeddings.register_buffer("position_ids", positions[None], persistent=False)
    return filled


def _vae_key(key: str) -> str | None:
    return key if key.startswith(("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")) else None


def _text_key(key: str) -> str | None:
    name = ldm.text_name(key)
    known = name.startswith(("embeddings.", "encoder.", "final_layer_norm.")) and not name.endswith(".position_ids")
    return name if known else None
