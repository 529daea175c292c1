"""One request → one layer set."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend import __version__
from backend.models import ModelFiles
from protocol.errors import ErrorCode, fail
from protocol.job import Box, Layer, LayerSet, Phase, Progress
from protocol.limits import MAX_NAME, MAX_SEED
from protocol.request import Operation, Request, Role

from . import prompts, transparency
from .cache import PARTS, Cache, Model, base_files, sha256
from .device import choose, memory_errors
from .noise import gaussian
from .sampling import dpmpp_2m, guided_denoiser, karras_sigmas
from .sizes import LATENT_CELL, Working, to_request, working_size

MODES = {Operation.OBJECT: "transparent_attn"}
"""Operation → the layer file that does it."""
SAMPLER = "DPM++ 2M Karras"
SPANS = {Phase.LOADING: (0.0, 0.1), Phase.PROMPT: (0.1, 0.12), Phase.DENOISING: (0.12, 0.8), Phase.DECODING: (0.8, 1.0)}
"""Share of each phase in the whole job; it need not be exact, only never run backwards."""
GROUP_PIXELS = 4 * 512 * 512
"""Images of a batch go through the UNet together up to so many pixels."""
UNTITLED = "Object"
PACKAGES = ("torch", "diffusers", "transformers")
NAME_LENGTH = 80

Report = Callable[[Progress], None]


class Cancelled(Exception):
    """The job was cancelled between two model calls."""


class _Way:
    """Where a job stands: reports it, and stops the job when that is wanted."""

    def __init__(self, report: Report, cancelled: Callable[[], bool]):
        self._report, self._cancelled = report, cancelled

    def at(self, phase: Phase, step: int, total: int) -> None:
        if self._cancelled():
            raise Cancelled
        start, end = SPANS[phase]
        self._report(Progress(phase, step, total, start + (end - start) * step / total))


def generate(
    request: Request, files: ModelFiles, report: Report, cancelled: Callable[[], bool], cache: Cache | None = None
) -> LayerSet:
    """Generate what a request asks for.

    Args:
        request: what to make.
        files: the files of its model.
        report: told the phase and fraction before every model call and at the end.
        cancelled: asked before every model call.
        cache: keeps the loaded model for the next job.

    Returns:
        One layer per image of the batch, each over the whole requested area.

    Raises:
        LayerDiffusionError: ``unsupported_operation``, ``missing_file``, ``bad_checkpoint``, ``not_finite``,
            ``out_of_memory``, ``invalid_request``.
        Cancelled: `cancelled` said so.
    """
    mode = MODES[request.operation]
    if mode not in files.layers:
        fail(ErrorCode.UNSUPPORTED_OPERATION, f"{files.info.name} cannot make the operation {request.operation.value}.")
    way = _Way(report, cancelled)
    working = working_size(request.width, request.height, files.info.native_side)
    what = f"making {request.batch} × {working.width} × {working.height} pixels"
    with memory_errors(what), torch.inference_mode():
        model = (cache or Cache()).model(files, mode, choose(), lambda part: way.at(Phase.LOADING, part, PARTS + 1))
        way.at(Phase.LOADING, PARTS, PARTS + 1)
        made_with = _made_with(files, mode, model, working)
        way.at(Phase.PROMPT, 0, 1)
        negative, positive = prompts.encode(
            [request.negative, request.prompt], model.base.vocabulary, model.base.text_encoder
        )
        seeds = [(request.seed + index) % (MAX_SEED + 1) for index in range(request.batch)]
        latents = _denoise(model, negative, positive, seeds, working, request, way)
        layers = []
        for index, (latent, seed) in enumerate(zip(latents, seeds, strict=True)):
            pixels = _decode(model, latent, working, request, lambda step, i=index: way.at(
                Phase.DECODING, i * (transparency.PASSES + 1) + step, request.batch * (transparency.PASSES + 1)
            ))
            name = layer_name(request.prompt, index, request.batch)
            layers.append(Layer(Role.FOREGROUND, name, Box(0, 0, request.width, request.height), pixels, seed=seed))
    report(Progress(Phase.DECODING, 1, 1, 1.0))
    return LayerSet(request, tuple(layers), made_with)


def layer_name(prompt: str, index: int, batch: int) -> str:
    """A layer's name: the prompt on one line, numbered when there are several."""
    name = " ".join(prompt.split())[:NAME_LENGTH] or UNTITLED
    return f"{name} {index + 1}" if batch > 1 else name


def _denoise(
    model: Model, negative: Tensor, positive: Tensor, seeds: list[int], working: Working, request: Request, way: _Way
) -> Tensor:
    """Scaled latents ``[B, C, h, w]`` float32; every image's noise comes from its own seed, so that a batch equals
    its images made alone."""
    unet, place = model.base.unet, model.device.place
    shape = (unet.config.in_channels, working.height // LATENT_CELL, working.width // LATENT_CELL)
    sigmas = karras_sigmas(request.steps)
    group = max(1, GROUP_PIXELS // (working.width * working.height))
    starts = range(0, len(seeds), group)
    done: list[Tensor] = []
    contexts = [positive] if request.cfg == 1 else [negative, positive]
    denoise = guided_denoiser(predictor(unet, contexts), request.cfg)
    for number, start in enumerate(starts):
        noise = torch.stack([gaussian(seed, shape) for seed in seeds[start:start + group]]).to(place)
        done.append(dpmpp_2m(denoise, noise * sigmas[0], sigmas, lambda step, n=number: way.at(
            Phase.DENOISING, n * request.steps + step, len(starts) * request.steps
        )))
    return _finite(torch.cat(done), model, "denoising")


def predictor(unet: Any, contexts: list[Tensor]) -> Callable[[Tensor, int], Tensor]:
    """The UNet as `guided_denoiser` wants it: an equal part of the rows for each of the contexts ``[1, T, C]``.

    All parts go through the UNet in one call, unless the contexts' lengths have no small common multiple.
    """
    together = prompts.same_length(contexts)

    def call(x: Tensor, time: int, parts: list[Tensor]) -> Tensor:
        rows = len(x) // len(parts)
        return unet(x, time, torch.cat([context.expand(rows, -1, -1) for context in parts])).sample

    def predict(x: Tensor, time: int) -> Tensor:
        x = x.to(unet.dtype)
        if together is not None:
            return call(x, time, together)
        return torch.cat([call(part, time, [c]) for part, c in zip(x.chunk(len(contexts)), contexts, strict=True)])

    return predict


def _decode(
    model: Model, latent: Tensor, working: Working, request: Request, before_step: Callable[[int], None]
) -> bytes:
    """Scaled latent ``[C, h, w]`` → straight RGBA8 of the requested size."""
    before_step(0)
    latent = latent[None] / model.base.scaling_factor
    picture = model.base.vae.decode(latent.to(model.base.vae.dtype)).sample
    pixels = (_finite(picture, model, "decoding").float() / 2 + 0.5).clamp(0, 1)
    decoded = transparency.decode(model.decoder, pixels, latent, lambda done: before_step(1 + done))
    rgba = transparency.to_rgba(_finite(decoded, model, "decoding alpha")[0])
    return transparency.quantize(to_request(rgba, working, request.width, request.height)).tobytes()


def _finite(x: Tensor, model: Model, doing: str) -> Tensor:
    if not x.isfinite().all():
        fail(
            ErrorCode.NOT_FINITE, f"The model computed values that are no numbers while {doing}.",
            "Try a lower CFG or another seed; if it stays, the model file is damaged or does not work in "
            f"{str(model.device.denoiser).removeprefix('torch.')}: use another file of the model.",
        )
    return x


def _made_with(files: ModelFiles, mode: str, model: Model, working: Working) -> dict[str, str]:
    weights = {"model": base_files(files.base)[0], "layers": files.layers[mode], "decoder": files.decoder}
    return {
        "layer-diffusion-krita": __version__,
        **{package: importlib.metadata.version(package) for package in PACKAGES},
        "device": model.device.place.type, "sampler": SAMPLER, "noise": "Philox (NV)",
        "working_size": f"{working.width}x{working.height}",
        **{name: _file_name(path) for name, path in weights.items()},
        **{f"{name}_sha256": sha256(path) for name, path in weights.items()},
    }


def _file_name(path: Path) -> str:
    return path.name.encode("utf-8", "replace").decode()[:MAX_NAME]
