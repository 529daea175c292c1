"""What made a picture, as the text that AUTOMATIC1111 writes into its PNG files and that other programs read there.

The form is that of `create_infotext` in https://github.com/AUTOMATIC1111/stable-diffusion-webui: the prompt, a line
"Negative prompt: …" unless it is empty, and a line of "Name: value" pairs with commas between them. A value with a
comma, a colon or a line break is written as a JSON text.
"""

from __future__ import annotations

import json

from .protocol.job import LayerSetHeader
from .protocol.request import Decoding, Operation, Sampler, Source
from .rerolling import stayed

SAMPLERS = {
    Sampler.DPMPP_2M_SDE_KARRAS: ("DPM++ 2M SDE", "Karras"),
    Sampler.DPMPP_2M_KARRAS: ("DPM++ 2M", "Karras"),
    Sampler.EULER_A: ("Euler a", "Automatic"),
    Sampler.UNIPC: ("UniPC", "Automatic"),
}
"""Names there of the sampler and of its schedule."""
HASH_LENGTH = 10
"""Digits that are written there of the SHA-256 of a checkpoint."""


def infotext(layer_set: LayerSetHeader) -> str:
    """Return the text for a result of one image; what only this project knows comes last."""
    request = layer_set.request
    sampler, schedule = SAMPLERS[request.sampler]
    values: dict[str, object] = {
        "Steps": request.steps, "Sampler": sampler, "Schedule type": schedule, "CFG scale": f"{request.cfg:g}",
        "Seed": request.seed, "Size": f"{request.width}x{request.height}", "Model": request.model,
    }  # fmt: skip
    if "model_sha256" in layer_set.made_with:
        values["Model hash"] = layer_set.made_with["model_sha256"][:HASH_LENGTH]
    if any(picture.source is Source.INIT for picture in request.inputs):
        values["Denoising strength"] = f"{request.strength:g}"
    values["Layer Diffusion operation"] = request.operation.value
    if request.operation in (Operation.OBJECT, Operation.SCENE):
        values["Layer Diffusion injection"] = request.injection.value
    if request.weight != 1 or request.stop_at != 1:
        values["Layer Diffusion weight"] = f"{request.weight:g}"
        values["Layer Diffusion stop at"] = f"{request.stop_at:g}"
    if request.decoding is not Decoding.FULL:
        values["Layer Diffusion decoding"] = request.decoding.value
    for layer in layer_set.layers:
        if request.prompt_of(layer.role):
            values[f"Layer Diffusion {layer.role.value} prompt"] = request.prompt_of(layer.role)
    kept = stayed(layer_set)
    if kept is not None:
        values[f"Layer Diffusion kept {kept.role.value} seed"] = kept.seed
    values.update(layer_set.made_with)
    lines = [request.prompt]
    if request.negative:
        lines.append(f"Negative prompt: {request.negative}")
    lines.append(", ".join(f"{name}: {_quoted(str(value))}" for name, value in values.items()))
    return "\n".join(lines)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if any(letter in value for letter in ',:\n"') else value
