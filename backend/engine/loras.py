"""The user's LoRAs: their tags in a prompt, their files, and what they change in UNet and text encoders.

``<lora:name>``, ``<lora:name:weight>`` and ``<lora:name:text weight:unet weight>`` as AUTOMATIC1111 reads them, also
with ``te=`` and ``unet=``. Read are low-rank matrices of linear and convolution layers (LoRA, LoCon) in the spellings
of kohya's scripts, diffusers and PEFT (`lora_keys`); they are merged into the weights, as a layer file is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.models import ModelFiles
from backend.models.families import FAMILIES, describe_file
from backend.models.header import read_header, read_metadata
from protocol.errors import ErrorCode, fail

from .checkpoints import BaseModel, read_tensors, wrong_contents
from .device import HOST
from .lora_keys import TEXT_ENCODERS, UNET, LoraKey, parse
from .patches import Applied, Patch, apply_to_all, assemble

TAG = re.compile(r"<(?:lora|lyco):([^<>]*)>", re.IGNORECASE)
HOW = "Write <lora:name:weight>, for example <lora:ink:0.8>."
OTHER_KINDS = {
    r"\.dora_scale$|\.lora_magnitude_vector": "a DoRA", r"\.hada_": "a LoHa", r"\.lokr_": "a LoKr", r"\.oft_": "an OFT",
    r"\.[ab][12]\.weight$": "a GLoRA", r"\.on_input$": "an IA3", r"\.diff(_b)?$": "a LoRA with whole differences",
}
"""Pattern in a tensor's name → another way to change a model."""
CONTEXT = {768: "Stable Diffusion 1.5", 1024: "Stable Diffusion 2", 2048: "SDXL"}
"""Width of the text that a real UNet reads → family, for people."""
WIDTHS = {"sd15": 768, "sdxl": 2048}
CHOOSE = "Use a LoRA that was made for this model's family."


@dataclass(frozen=True)
class LoraUse:
    """A LoRA that a prompt asks for.

    Attributes:
        name: as `ModelFiles.lora` takes it.
        unet_weight, text_weight: factors of its change of the UNet and of the text encoders.
    """

    name: str
    unet_weight: float
    text_weight: float


def extract(prompt: str) -> tuple[str, tuple[LoraUse, ...]]:
    """A prompt without its LoRA tags, and what these ask for.

    Raises:
        LayerDiffusionError: ``invalid_request`` when a tag is not understood.
    """
    return TAG.sub("", prompt), tuple(_use(match[0], match[1]) for match in TAG.finditer(prompt))


def apply(uses: Sequence[LoraUse], files: ModelFiles, base: BaseModel) -> Applied:
    """Merge LoRAs into the UNet and the text encoders; the values that they replace wait in the host's memory.

    Raises:
        LayerDiffusionError: of `load`; ``missing_file`` with similar names when there is none of a name.
    """
    loaded = [(use, load(files.lora(use.name), base)) for use in uses]
    return apply_to_all([
        (net, [(lora[index], use.text_weight if index else use.unet_weight) for use, lora in loaded])
        for index, net in enumerate((base.unet, *base.text_encoders))
    ], HOST)


def load(path: Path, base: BaseModel) -> tuple[Patch, ...]:
    """Read a LoRA: the changes of the UNet and of each text encoder, in the host's memory.

    Raises:
        LayerDiffusionError: ``missing_file``; ``bad_checkpoint`` when it is damaged, another kind of file, or made for
            another family than the base model's; ``not_finite``.
    """
    keys = _keys(path)
    _require_family(path, keys, base)
    parts: dict[str, dict[str, dict[str, Tensor]]] = {net: {} for net in (UNET, *TEXT_ENCODERS)}
    for key, tensor in read_tensors(path, lambda key: key, HOST, None).items():
        own = keys[key]
        parts[own.net].setdefault(own.parameter, {})[own.part] = tensor
    _add_alphas(path, parts)
    nets = zip((UNET, *TEXT_ENCODERS), (base.unet, *base.text_encoders), strict=False)
    return tuple(Patch(path.name, assemble(_named(parts[name], net), path.name)) for name, net in nets)


def _use(tag: str, inside: str) -> LoraUse:
    name, *arguments = (part.strip() for part in inside.split(":"))
    named = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    positional = [argument for argument in arguments if "=" not in argument]
    try:
        text = float(named.get("te", positional[0] if positional else 1))
        unet = float(named.get("unet", positional[1] if len(positional) > 1 else text))
    except ValueError:
        text = unet = math.nan
    if not name or len(positional) > 2 or not (math.isfinite(text) and math.isfinite(unet)):
        fail(ErrorCode.INVALID_REQUEST, f"The tag {tag[:200]} in the prompt is not understood.", HOW)
    return LoraUse(name, unet, text)


def _keys(path: Path) -> dict[str, LoraKey]:
    """What every tensor of a file is. Raises ``bad_checkpoint`` when one is none of a LoRA."""
    header, keys = read_header(path), {}
    for key in header:
        with wrong_contents(path.name):
            found = parse(key)
        if found is None:
            kinds = (kind for pattern, kind in OTHER_KINDS.items() if re.search(pattern, key))
            kind = next(kinds, describe_file(header))
            fail(
                ErrorCode.BAD_CHECKPOINT, f"{path.name} looks like {FAMILIES.get(kind, kind)}: it holds {key!r:.200}, "
                "which is no part of a LoRA or LoCon.", "Choose another LoRA.",
            )
        keys[key] = found
    return keys


def _require_family(path: Path, keys: Mapping[str, LoraKey], base: BaseModel) -> None:
    """Raise ``bad_checkpoint`` when a LoRA says clearly that it is made for another family; others fail by a shape."""
    header, expected = read_header(path), base.unet.config.cross_attention_dim
    widths = {
        math.prod(header[key].shape[1:2]) for key, own in keys.items()
        if own.net == UNET and own.part == "down" and own.parameter.endswith(".attn2.to_k.weight")
    }
    found = next((CONTEXT[width] for width in widths - {expected} if width in CONTEXT), None)
    if found is None and any(own.net == TEXT_ENCODERS[1] for own in keys.values()) and len(base.text_encoders) < 2:
        found = CONTEXT[WIDTHS["sdxl"]]
    if found is not None:
        wanted = CONTEXT[WIDTHS[base.family]]
        fail(ErrorCode.BAD_CHECKPOINT, f"{path.name} is a LoRA for {found}, expected one for {wanted}.", CHOOSE)


def _add_alphas(path: Path, parts: Mapping[str, dict[str, dict[str, Tensor]]]) -> None:
    """Put what diffusers writes into the file's metadata (``unet.lora_alpha``) where others have a tensor."""
    try:
        settings = json.loads(read_metadata(path).get("lora_adapter_metadata", "{}"))
        for net, changed in parts.items():
            alphas = settings.get(f"{net}.alpha_pattern") or {}
            for parameter, own in changed.items():
                name = parameter.removesuffix(".weight")
                alpha = next((a for end, a in alphas.items() if f".{name}".endswith(f".{end}")), None)
                alpha = settings.get(f"{net}.lora_alpha") if alpha is None else alpha
                if alpha is not None and "down" in own:
                    # rsLoRA divides by the root of the rank.
                    root = math.sqrt(own["down"].shape[0]) if settings.get(f"{net}.use_rslora") else 1
                    own.setdefault("alpha", torch.tensor(float(alpha) * root))
    except (ValueError, TypeError, AttributeError):
        fail(ErrorCode.BAD_CHECKPOINT, f"The settings in the header of {path.name} are not readable.", CHOOSE)


def _named(parts: Mapping[str, Any], net: Any) -> dict[str, Any]:
    """Parameters under the names of this network: transformers has dropped a level for one kind of text encoder."""
    known = dict(net.named_parameters())
    return {name if name in known else name.removeprefix("text_model."): own for name, own in parts.items()}
