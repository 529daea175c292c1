"""What a job is: the request, its progress and its result, the same objects in plugin, server, worker and engine.

Every class checks itself when it is made and raises `LayerDiffusionError` with `invalid_request`, so that an object
that exists is valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Enum

from .errors import ErrorCode, fail
from .limits import (
    MAX_BATCH,
    MAX_CFG,
    MAX_LAYERS,
    MAX_MADE_WITH,
    MAX_NAME,
    MAX_NOTE,
    MAX_OBJECTS,
    MAX_PROMPT,
    MAX_SEED,
    MAX_SIDE,
    MAX_STEPS,
    MIN_SIDE,
)

FAMILIES = ("sd15", "sdxl")
"""Families of base models."""
BLENDINGS = ("normal",)
"""Blending modes a layer may ask for."""


class Operation(str, Enum):
    """What a person wants made."""

    OBJECT = "object"


class Role(str, Enum):
    """What a layer is in its result."""

    FOREGROUND = "foreground"


class Phase(str, Enum):
    """What the worker is doing."""

    LOADING = "loading"
    PROMPT = "prompt"
    DENOISING = "denoising"
    DECODING = "decoding"


def _integer(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        fail(ErrorCode.INVALID_REQUEST, f"{name} must be a whole number from {low} to {high}, not {value!r:.40}.")


def _number(name: str, value: object, low: float, high: float) -> None:
    # Not-a-number compares false with everything, so that this refuses it too.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
        fail(ErrorCode.INVALID_REQUEST, f"{name} must be a number from {low:g} to {high:g}, not {value!r:.40}.")


def _text(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, str) or not low <= len(value) <= high:
        length = len(value) if isinstance(value, str) else "none"
        fail(
            ErrorCode.INVALID_REQUEST,
            f"{name} must be a text of {low} to {high} characters (it has {length}).",
            "Make the text shorter." if isinstance(value, str) and len(value) > high else None,
        )
    if any(c < " " and c not in "\t\n\r" or "\ud800" <= c <= "\udfff" for c in value):
        fail(ErrorCode.INVALID_REQUEST, f"{name} holds characters that are not text.", "Type the text again.")


def _choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        fail(ErrorCode.INVALID_REQUEST, f"{name} must be one of {', '.join(choices)}, not {value!r:.40}.")


def _member(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        fail(ErrorCode.INVALID_REQUEST, f"{name} must be a {kind.__name__}, not {value!r:.40}.")


@dataclass(frozen=True)
class Request:
    """What to generate; everything that decides the result, so that the same request gives the same layers.

    Attributes:
        operation: what to make.
        model: id of an installed model, 1 to `MAX_NAME` characters; never a path, so it holds no slash or backslash.
        prompt, negative: 0 to `MAX_PROMPT` characters, with emphasis as in "(red:1.3) apple".
        width, height: pixels, `MIN_SIDE` to `MAX_SIDE` each, any number.
        steps: denoising steps, 1 to `MAX_STEPS`.
        cfg: classifier-free guidance scale, 0 to `MAX_CFG`.
        seed: 0 to `MAX_SEED`, of the first image; image i of the batch uses seed + i modulo 2^32.
        batch: images, 1 to `MAX_BATCH`.
    """

    operation: Operation
    model: str
    prompt: str
    negative: str
    width: int
    height: int
    steps: int
    cfg: float
    seed: int
    batch: int

    def __post_init__(self) -> None:
        _member("The operation", self.operation, Operation)
        _text("The model's id", self.model, 1, MAX_NAME)
        if "/" in self.model or "\\" in self.model:
            fail(ErrorCode.INVALID_REQUEST, "A model is named by its id, not by a path.", "Choose an installed model.")
        _text("The prompt", self.prompt, 0, MAX_PROMPT)
        _text("The negative prompt", self.negative, 0, MAX_PROMPT)
        _integer("The width", self.width, MIN_SIDE, MAX_SIDE)
        _integer("The height", self.height, MIN_SIDE, MAX_SIDE)
        _integer("The number of steps", self.steps, 1, MAX_STEPS)
        _number("The CFG scale", self.cfg, 0, MAX_CFG)
        _integer("The seed", self.seed, 0, MAX_SEED)
        _integer("The batch", self.batch, 1, MAX_BATCH)


@dataclass(frozen=True)
class Box:
    """A rectangle relative to the target area, in pixels of the request.

    x and y are -`MAX_SIDE` to `MAX_SIDE`, width and height 1 to `MAX_SIDE`.
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        _integer("x", self.x, -MAX_SIDE, MAX_SIDE)
        _integer("y", self.y, -MAX_SIDE, MAX_SIDE)
        _integer("The layer's width", self.width, 1, MAX_SIDE)
        _integer("The layer's height", self.height, 1, MAX_SIDE)


@dataclass(frozen=True)
class LayerHeader:
    """Everything about a layer but its pixels; the attributes are those of `Layer`."""

    role: Role
    name: str
    box: Box
    opacity: float
    blending: str
    visible: bool
    seed: int

    def __post_init__(self) -> None:
        _member("The role", self.role, Role)
        _text("The layer's name", self.name, 1, MAX_NAME)
        _member("The box", self.box, Box)
        _number("The opacity", self.opacity, 0, 1)
        _choice("The blending mode", self.blending, BLENDINGS)
        _member("visible", self.visible, bool)
        _integer("The layer's seed", self.seed, 0, MAX_SEED)


@dataclass(frozen=True)
class Layer:
    """One layer of a result.

    Attributes:
        role: what it is in the result.
        name: for people, 1 to `MAX_NAME` characters.
        box: where it lies.
        pixels: straight RGBA, 8 bits each, sRGB, rows top to bottom, exactly box.width * box.height * 4 bytes; the
            colour under zero alpha has a meaning and is kept.
        opacity: 0 to 1.
        blending: one of `BLENDINGS`.
        visible: whether it is shown.
        seed: 0 to `MAX_SEED`, of this layer.
    """

    role: Role
    name: str
    box: Box
    pixels: bytes
    opacity: float = 1.0
    blending: str = "normal"
    visible: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        header = self.header
        _member("The pixels", self.pixels, bytes)
        if len(self.pixels) != header.box.width * header.box.height * 4:
            fail(
                ErrorCode.INVALID_REQUEST,
                f"A layer of {header.box.width} x {header.box.height} pixels has {len(self.pixels)} bytes.",
                "It must have 4 bytes per pixel.",
            )

    @property
    def header(self) -> LayerHeader:
        """This layer without its pixels."""
        return LayerHeader(**{field.name: getattr(self, field.name) for field in fields(LayerHeader)})


def _check_layer_set(layers: object, kind: type, made_with: object) -> None:
    if not isinstance(layers, tuple) or not 1 <= len(layers) <= MAX_LAYERS:
        fail(ErrorCode.INVALID_REQUEST, f"A result must have 1 to {MAX_LAYERS} layers.")
    for layer in layers:
        _member("A layer", layer, kind)
    if not isinstance(made_with, dict) or len(made_with) > MAX_MADE_WITH:
        fail(ErrorCode.INVALID_REQUEST, f"made_with must have at most {MAX_MADE_WITH} entries.")
    for key, value in made_with.items():
        _text("A key of made_with", key, 1, MAX_NAME)
        _text(f"made_with's {key}", value, 0, MAX_NAME)


@dataclass(frozen=True)
class LayerSetHeader:
    """Everything about a result but the pixels; the attributes are those of `LayerSet`."""

    request: Request
    layers: tuple[LayerHeader, ...]
    made_with: dict[str, str]

    def __post_init__(self) -> None:
        _member("The request", self.request, Request)
        _check_layer_set(self.layers, LayerHeader, self.made_with)

    def with_pixels(self, images: Sequence[bytes]) -> LayerSet:
        """Return the result whose layers, in order, have these pixels. Raises `invalid_request` on any mismatch."""
        if len(images) != len(self.layers):
            fail(ErrorCode.INVALID_REQUEST, f"A result of {len(self.layers)} layers came with {len(images)} images.")
        layers = tuple(
            Layer(pixels=pixels, **{field.name: getattr(layer, field.name) for field in fields(LayerHeader)})
            for layer, pixels in zip(self.layers, images, strict=True)
        )
        return LayerSet(self.request, layers, self.made_with)


@dataclass(frozen=True)
class LayerSet:
    """The result of a job.

    Attributes:
        request: what was asked for.
        layers: 1 to `MAX_LAYERS`, bottom first.
        made_with: what else is needed to make it again (versions, model hashes, sampler): at most `MAX_MADE_WITH`
            texts of up to `MAX_NAME` characters.
    """

    request: Request
    layers: tuple[Layer, ...]
    made_with: dict[str, str]

    def __post_init__(self) -> None:
        _member("The request", self.request, Request)
        _check_layer_set(self.layers, Layer, self.made_with)

    @property
    def header(self) -> LayerSetHeader:
        """This result without its pixels."""
        return LayerSetHeader(self.request, tuple(layer.header for layer in self.layers), self.made_with)


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        phase: what is being done.
        step, total: of this phase, 0 <= step <= total.
        fraction: 0 to 1 over the whole job, never decreasing from one report to the next.
    """

    phase: Phase
    step: int
    total: int
    fraction: float

    def __post_init__(self) -> None:
        _member("The phase", self.phase, Phase)
        _integer("total", self.total, 0, 2**31)
        _integer("step", self.step, 0, self.total)
        _number("The fraction", self.fraction, 0, 1)


@dataclass(frozen=True)
class ModelInfo:
    """A model that is installed and can be named in a request.

    Attributes:
        id: what `Request.model` says, 1 to `MAX_NAME` characters.
        name: for people, 1 to `MAX_NAME` characters.
        family: one of `FAMILIES`.
        native_side: side in pixels of the squares it was trained on.
        operations: what it can do.
        note: for people, what to expect of it, 0 to `MAX_NOTE` characters.
        objects: the closed list of names it knows; empty when it takes any prompt.
    """

    id: str
    name: str
    family: str
    native_side: int
    operations: tuple[Operation, ...]
    note: str
    objects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _text("The model's id", self.id, 1, MAX_NAME)
        _text("The model's name", self.name, 1, MAX_NAME)
        _choice("The family", self.family, FAMILIES)
        _integer("The native side", self.native_side, 8, MAX_SIDE)
        for operation in self.operations:
            _member("An operation", operation, Operation)
        _text("The note", self.note, 0, MAX_NOTE)
        if len(self.objects) > MAX_OBJECTS:
            fail(ErrorCode.INVALID_REQUEST, f"A model lists at most {MAX_OBJECTS} objects.")
        for name in self.objects:
            _text("An object's name", name, 1, MAX_NAME)
