"""One request → one layer set."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend import __version__
from backend.models import ModelFiles
from backend.models.families import base_files
from backend.models.modes import CHAINED, Mode, stages
from backend.models.needs import needed
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.job import Box, Layer, LayerSet, Phase
from protocol.limits import MAX_NAME, MAX_SEED
from protocol.request import Decoding, Operation, Request, Resize, Role, Source

from . import conditions, loras, transparency
from .cache import PARTS, Cache, Loaded, sha256
from .device import Device, choose, memory_errors
from .loras import LoraUse
from .sizes import Working, carried, first_size, is_small, to_request, working_size
from .stage import Picture, Stage, Texts, run
from .verdict import verdict
from .way import Cancelled, Report, Show, Way

__all__ = ["Cache", "Cancelled", "generate"]

ORDER = (Role.BACKGROUND, Role.FOREGROUND, Role.BLEND)
"""Layers of an image from the bottom up."""
PACKAGES = ("torch", "diffusers", "transformers")
NAME_LENGTH = 80
SECOND_PASS = 0.5
"""Strength of a second pass: enough to draw the details that enlarging lacks, too little to compose anew."""


def generate(
    request: Request, images: Sequence[bytes], files: ModelFiles, report: Report, cancelled: Callable[[], bool],
    cache: Cache | None = None, show: Show | None = None, save_memory: bool = False,
) -> LayerSet:
    """Generate what a request asks for.

    Args:
        request: what to make.
        images: pixels of ``request.inputs``, straight RGBA, 8 bits, width · height · 4 bytes each.
        files: the files of its model.
        report: told the phase and fraction before every model call and at the end.
        cancelled: asked before every model call.
        cache: keeps the loaded model for the next job.
        show: told a small picture of what is being made now and then, as `preview` says.
        save_memory: use as little memory of the graphics card as possible, which is slower.

    Returns:
        For each image of the batch the layers of all its stages, each over the whole requested area. A blend is hidden
        where the layers that it was blended from are there too.

    Raises:
        LayerDiffusionError: ``unsupported_operation``, ``missing_file``, ``bad_checkpoint``, ``not_finite``,
            ``out_of_memory``, ``invalid_request``.
        Cancelled: `cancelled` said so.
    """
    given = {
        header.source: np.frombuffer(pixels, np.uint8).reshape(header.height, header.width, 4)
        for header, pixels in zip(request.inputs, images, strict=True)
    }
    # Asked for now, so that nobody waits for a first stage to hear that the second cannot be done.
    used = needed(request, files)
    modes = stages(files.info.family, request.operation, request.injection, given)
    for mode in modes:
        for use in _texts(request, mode)[1]:
            files.lora(use.name)
    whole = Source.INIT in given or any(mode.conditions or len(mode.frames) > 1 for mode in modes)
    working = working_size(request.width, request.height, files.info.native_side, whole)
    first = _first_size(request, modes, files, working)
    if first is not None and any(mode.transparent for mode in modes):
        used = (*used, files.transparent_encoder())
    passes = [1.0] if first is None else [first.width * first.height, SECOND_PASS * working.width * working.height]
    way = Way(report, cancelled, passes * len(modes), show)
    job = _Job(request, given, modes, used, files, (first, working), way, cache or Cache())
    device = choose(files.info.family, save_memory)
    if is_small(files.info.native_side):
        device = device.for_small()
    try:
        return job.run(device)
    except LayerDiffusionError as error:
        if error.code is not ErrorCode.OUT_OF_MEMORY or device.frugal:
            raise
    # Outside of the handler, whose traceback keeps hold of all that the first attempt had.
    job.cache.drop()
    return job.run(device.saving())


class _Job:
    """A request with everything that its stages need."""

    def __init__(
        self, request: Request, given: dict[Source, NDArray[np.uint8]], modes: Sequence[Mode], used: Sequence[Path],
        files: ModelFiles, sizes: tuple[Working | None, Working], way: Way, cache: Cache,
    ) -> None:
        self.request, self.given, self.modes, self.used = request, given, modes, used
        self.first, self.working = sizes
        self.files, self.way, self.cache = files, way, cache

    def run(self, device: Device) -> LayerSet:
        """Run all stages on a device."""
        request, way = self.request, self.way
        what = f"making {request.batch} × {self.working.width} × {self.working.height} pixels"
        began = time.perf_counter()
        with memory_errors(what), torch.inference_mode(), device.threads():
            loaded = self.cache.model(self.files, device, lambda part: way.at(Phase.LOADING, part, PARTS))
            loaded.previews.begin(began)
            way.at(Phase.LOADING, PARTS - 1, PARTS)
            made_with = self._made_with(device)
            way.at(Phase.PROMPT, 0, 1)
            images: list[dict[Role, Picture]] = [{} for _ in range(request.batch)]
            for index, mode in enumerate(self.modes):
                texts, uses = _texts(request, mode)
                loaded.use_loras(uses, self.files)
                for image, pictures in zip(images, self._pictures(index, texts, images, loaded), strict=True):
                    image.update(pictures)
        layers = tuple(layer for index, image in enumerate(images) for layer in self._layers(index, image))
        way.done()
        return LayerSet(request, layers, made_with)

    def _pictures(
        self, index: int, texts: Texts, images: list[dict[Role, Picture]], loaded: Loaded
    ) -> list[dict[Role, Picture]]:
        """What a stage makes of each image, where it is large and starts from nothing in two passes."""
        request, mode, way = self.request, self.modes[index], self.way
        stage = self._stage(index, texts, images, self.working)
        if _refines(request, mode):
            role = Role.FOREGROUND if mode.transparent else Role.BLEND
            stage = replace(stage, init=[(role, self.given[Source.INIT])], strength=request.strength)
        elif self.first is not None:
            way.enter(2 * index)
            first = replace(self._stage(index, texts, images, self.first), decoding=Decoding.FAST)
            made = run(first, loaded, self.files, self.cache, way)
            init = [
                (role, transparency.quantize(carried(image[role], self.first, self.working)))
                for image in made for role in mode.frames
            ]
            stage = replace(stage, init=init, strength=SECOND_PASS, resize=Resize.JUST_RESIZE)
        way.enter(index if self.first is None else 2 * index + 1)
        return run(stage, loaded, self.files, self.cache, way)

    def _stage(self, index: int, texts: Texts, images: list[dict[Role, Picture]], working: Working) -> Stage:
        request, mode = self.request, self.modes[index]
        sampler, stop_at = request.sampler, request.stop_at
        if index and (mode.family, mode.name) in CHAINED:
            sampler, stop_at = CHAINED[mode.family, mode.name]
        shown = {role: self._shown(role, images, working) for role in mode.conditions}
        return Stage(
            mode, sampler, request.steps, request.cfg, stop_at, request.weight, request.decoding,
            texts, [self._seed(mode, index) for index in range(request.batch)], working, shown, request.resize,
        )

    def _shown(self, role: Role, images: list[dict[Role, Picture]], working: Working) -> list[Tensor]:
        """What an earlier stage made, one picture for each image, or what was given."""
        if role not in images[0]:
            return [conditions.condition(self.given[Source(role.value)], working, self.request.resize)]
        if working is self.first:
            fitting = [transparency.quantize(carried(image[role], self.working, working)) for image in images]
            return [conditions.condition(picture, working, Resize.JUST_RESIZE) for picture in fitting]
        width, height = self.working.width, self.working.height
        same = Working(width, height, (0, 0, width, height))
        return [
            conditions.condition(transparency.quantize(image[role]), same, self.request.resize) for image in images
        ]

    def _seed(self, mode: Mode, image: int) -> int:
        return (self.request.seed + image * len(mode.frames)) % (MAX_SEED + 1)

    def _layers(self, index: int, image: dict[Role, Picture]) -> list[Layer]:
        request, layers = self.request, []
        for role in ORDER:
            if role not in image:
                continue
            mode = next(mode for mode in self.modes if role in mode.frames)
            pixels = transparency.quantize(to_request(image[role], self.working, request.width, request.height))
            layers.append(Layer(
                role, layer_name(request, role, index), Box(0, 0, request.width, request.height),
                pixels.tobytes(), visible=role is not Role.BLEND or len(image) == 1, image=index,
                seed=(self._seed(mode, index) + mode.frames.index(role)) % (MAX_SEED + 1),
                verdict=verdict(pixels, request, self.files.info) if role is Role.FOREGROUND else None,
            ))
        return layers

    def _made_with(self, device: Device) -> dict[str, str]:
        weights = {"model": base_files(self.files.base)[0]} | {path.stem: path for path in self.used}
        return {
            "layer-diffusion-krita": __version__,
            **{package: importlib.metadata.version(package) for package in PACKAGES},
            "device": device.place.type, "noise": "Philox (NV)",
            **({"first_pass": f"{self.first.width}x{self.first.height}"} if self.first else {}),
            "working_size": f"{self.working.width}x{self.working.height}",
            **{name: _file_name(path) for name, path in weights.items()},
            **{f"{name}_sha256": sha256(path, self.way.check) for name, path in weights.items()},
        }


def _texts(request: Request, mode: Mode) -> tuple[Texts, tuple[LoraUse, ...]]:
    """The prompts of a mode, and the LoRAs that they call.

    A frame's own prompt stands before the common one, as in sd-forge-layerdiffuse.
    """
    prompt, uses = loras.extract(request.prompt)
    own: list[str | None] = []
    for role in mode.frames:
        text, more = loras.extract(request.prompt_of(role))
        uses += tuple(use for use in more if use not in uses)
        own.append(", ".join(filter(None, (text, prompt))) if text else None)
    if mode.family == "sdxl" or mode.alone:
        return Texts(request.negative, own[0] or prompt, ()), uses
    return Texts(request.negative, prompt, tuple(own)), uses


def _first_size(request: Request, modes: Sequence[Mode], files: ModelFiles, working: Working) -> Working | None:
    """The working size of first passes; None where one pass makes the result.

    It is small, or starts from a picture, or it has alpha and the offset encoder, which drawing it anew takes, is not
    installed: other programs make objects without.
    """
    anew = [mode for mode in modes if not _refines(request, mode)]
    if not anew or (files.encoder is None and any(mode.transparent for mode in anew)):
        return None
    return first_size(working, files.info.native_side)


def _refines(request: Request, mode: Mode) -> bool:
    """Whether a mode starts from the picture that is to be drawn anew."""
    is_given = any(picture.source is Source.INIT for picture in request.inputs)
    return is_given and (mode.transparent or request.operation is Operation.REBLEND)


def layer_name(request: Request, role: Role, index: int) -> str:
    """A layer's name: its role and its prompt on one line, numbered in a batch."""
    prompt = " ".join(loras.extract(request.prompt_of(role) or request.prompt)[0].split())[:NAME_LENGTH]
    name = ": ".join(filter(None, (role.value.capitalize(), prompt)))
    return f"{name} {index + 1}" if request.batch > 1 else name


def _file_name(path: Path) -> str:
    return path.name.encode("utf-8", "replace").decode()[:MAX_NAME]
