"""`python -m backend generate`: from its options to files. Options have the names of the request's fields."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocol.errors import ErrorCode, fail
from protocol.job import LayerSet, Phase, Progress
from protocol.limits import MAX_SEED, MAX_SIDE, MIN_SIDE
from protocol.request import Decoding, Injection, Operation, Request, Resize, Role, Sampler, Source

if TYPE_CHECKING:
    from .models import ModelFiles

DEFAULTS: dict[str, Any] = {
    "operation": Operation.OBJECT.value,
    "model": "builtin",
    "negative": "",
    "steps": 20,
    "seed": -1,
    "batch": 1,
}
"""What holds without a preset; the rest is as in `Request`, and size, CFG and decoding as they suit the pictures or the
model."""
CFG = 5.0
"""That suits the released models."""
EVERYWHERE = ("model", "width", "height", "steps", "decoding")
"""Settings which, when given beside a preset, hold for those before it too."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser; those that are not given are not set."""
    parser.argument_default = argparse.SUPPRESS

    def choice(name: str, choices: type[Operation | Sampler | Injection | Resize | Decoding], about: str) -> None:
        parser.add_argument(name, choices=[member.value for member in choices], help=about)

    parser.add_argument("--preset", help="start from a recipe that `presets` lists; other options change it")
    parser.add_argument("--model", help="id of an installed model, or path of a checkpoint")
    choice("--operation", Operation, "what to make; the default is object")
    parser.add_argument("--prompt")
    parser.add_argument("--negative", help="what not to show")
    for role in Role:
        parser.add_argument(f"--{role.value}-prompt", metavar="PROMPT", help=f"for the {role.value} alone")
    for source in Source:
        about = f"the {source.value} to start from"
        if source is Source.INIT:
            about = "what is drawn anew: a layer to refine, or layers over each other to re-blend"
        parser.add_argument(f"--{source.value}", type=Path, metavar="FILE", help=about)
    parser.add_argument("--strength", type=float, help="0 to 1: how far --init is drawn anew")
    choice("--resize", Resize, "how a picture of another shape is brought to the size")
    parser.add_argument("--seed", type=int, help="-1 (the default) draws one")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--cfg", type=float)
    choice("--sampler", Sampler, "the solver")
    parser.add_argument("--size", type=size, help="WIDTHxHEIGHT; by default that of the first picture or of the model")
    parser.add_argument("--batch", type=int, help="how many images")
    choice("--injection", Injection, "how an SDXL model is taught transparency")
    parser.add_argument("--weight", type=float, help="of the LayerDiffuse weights, 0 to 2")
    parser.add_argument("--stop-at", type=float, help="0 to 1: where the base model goes on alone")
    choice("--decoding", Decoding, "how carefully alpha is found")
    parser.add_argument("--output", type=Path, required=True, help="a file ending in .ora or .png, or a folder")


def size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT."""
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write it as 256x256")
    return int(width), int(height)


def make(options: argparse.Namespace) -> int:
    """Run the command."""
    from . import builtin, outputs, pictures, presets
    from .models.installed import BUILTIN

    outputs.check_target(options.output)
    given = {name: value for name, value in vars(options).items() if name in Request.__dataclass_fields__}
    if hasattr(options, "size"):
        given["width"], given["height"] = options.size
    images = {source: pictures.read(getattr(options, source)) for source in Source if hasattr(options, source)}
    preset = presets.find(options.preset) if hasattr(options, "preset") else None
    settings = {**(preset.settings if preset else DEFAULTS), **given}
    if "prompt" not in settings:
        fail(ErrorCode.INVALID_REQUEST, "There is no prompt.", "Give one with --prompt, or choose a --preset.")
    files = find_model(settings["model"])
    settings["model"] = given["model"] = files.info.id
    if files.info.id == BUILTIN:
        settings = {"cfg": builtin.CFG, "decoding": builtin.DECODING.value, **settings}
    settings.setdefault("cfg", CFG)
    if "width" not in settings:
        first = next(iter(images.values()), None)
        side = files.info.native_side
        settings["width"], settings["height"] = _allowed(first.width, first.height) if first else (side, side)
    if not -1 <= settings["seed"]:
        fail(ErrorCode.INVALID_REQUEST, f"The seed must be from 0 to {MAX_SEED}, or -1 to draw one.")
    if settings["seed"] == -1:
        settings["seed"] = secrets.randbelow(MAX_SEED + 1)

    changes = {name: given[name] for name in EVERYWHERE if name in given}
    name, start = (preset.name, preset.start) if preset else ("", {})
    layer_set = presets.run(name, settings, start, images, changes, _Generator(files))
    if preset is not None:
        layer_set = replace(layer_set, made_with={**layer_set.made_with, "preset": preset.name})
        _compare(preset, layer_set)
    _advise(layer_set)
    for path in outputs.write(layer_set, options.output):
        print(path)
    return 0


def find_model(model: str) -> ModelFiles:
    """Files of an installed model or, when it looks like one or is there, of a path."""
    from . import models

    path = Path(model)
    if model not in {info.id for info in models.installed()} and (len(path.parts) > 1 or path.exists()):
        return models.resolve_path(path)
    return models.resolve(model)


def show_presets() -> int:
    """Print every preset: its name, what it makes with which model, and what to compare."""
    from . import presets

    for preset in presets.presets().values():
        says = preset.settings
        print(f"{preset.name}: {says['operation']}, {says['width']} x {says['height']}, {says['model']}")
        print(f"    {says['prompt']}")
        if preset.start:
            layers = (f"the {source.value} of {name}" for source, name in preset.start.items())
            print(f"    starts from {' and '.join(layers)}")
        print(f"    {preset.compare}")
    return 0


def _allowed(width: int, height: int) -> tuple[int, int]:
    return max(MIN_SIDE, min(MAX_SIDE, width)), max(MIN_SIDE, min(MAX_SIDE, height))


class _Generator:
    """Makes one request after the other with one model, which stays loaded."""

    def __init__(self, files: ModelFiles) -> None:
        self._files = files
        self._cache: Any = None

    def __call__(self, name: str, request: Request, images: Sequence[bytes]) -> LayerSet:
        what = f"{name}: model" if name else "Model"
        about = f"{what} {self._files.info.name}, {request.width} x {request.height}, seed {request.seed}."
        print(about, file=sys.stderr)

        from .engine.generate import Cache, generate

        self._cache = self._cache or Cache()
        return generate(request, images, self._files, _Report(sys.stderr), lambda: False, self._cache)


def _compare(preset: Any, layer_set: LayerSet) -> None:
    if not layer_set.made_with.get("model_sha256", "").startswith(preset.sha256):
        wanted = f"{preset.settings['model']} (SHA-256 {preset.sha256}…)"
        print(f"The authors used {wanted}: with this model the picture is another one.", file=sys.stderr)
    print(f"To compare: {preset.compare}", file=sys.stderr)


def _advise(layer_set: LayerSet) -> None:
    for layer in layer_set.layers:
        if layer.verdict is not None and layer.verdict.advice:
            print(f"{layer.name}: {layer.verdict.advice}", file=sys.stderr)


class _Report:
    """Shows progress on one line of a terminal, or one line for each phase of a log."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._phase: Phase | None = None

    def __call__(self, progress: Progress) -> None:
        if self._live:
            end = "\n" if progress.fraction == 1 else ""
            line = f"{progress.fraction:4.0%}  {progress.phase.value} {progress.step}/{progress.total}"
            print(f"\r{line:<40}", end=end, file=self._stream, flush=True)
        elif progress.phase is not self._phase or progress.fraction == 1:
            print(f"{progress.fraction:4.0%}  {progress.phase.value}", file=self._stream, flush=True)
        self._phase = progress.phase
