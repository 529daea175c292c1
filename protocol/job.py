"""What becomes of a request: its progress and its result, and the models that can be asked.

As in `request`, every class checks itself when it is made.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import Enum

from .checks import choice, integer, member, number, text
from .errors import ErrorCode, LayerDiffusionError, fail
from .limits import (
    MAX_BATCH,
    MAX_LAYERS,
    MAX_MADE_WITH,
    MAX_NAME,
    MAX_NOTE,
    MAX_OBJECTS,
    MAX_PREVIEW,
    MAX_REASON,
    MAX_SEED,
    MAX_SIDE,
)
from .request import Operation, Request, Role

FAMILIES = ("sd15", "sdxl")
"""Families of base models."""
BLENDINGS = ("normal",)
"""Blending modes a layer may ask for."""


class Phase(str, Enum):
    """What the worker is doing."""

    LOADING = "loading"
    PROMPT = "prompt"
    ENCODING = "encoding"
    DENOISING = "denoising"
    DECODING = "decoding"


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
        integer("x", self.x, -MAX_SIDE, MAX_SIDE)
        integer("y", self.y, -MAX_SIDE, MAX_SIDE)
        integer("The layer's width", self.width, 1, MAX_SIDE)
        integer("The layer's height", self.height, 1, MAX_SIDE)


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a transparent layer's alpha.

    Attributes:
        transparent, soft, opaque: share of its pixels, 0 to 1 each, together 1.
        residue: mean alpha where it should be empty, 0 to 1.
        halo: mean difference in colour between a soft edge and the solid part beside it, 0 to 1.
        advice: for people, what to do about it; empty when nothing is wrong. 0 to `MAX_NOTE` characters.
    """

    transparent: float
    soft: float
    opaque: float
    residue: float
    halo: float
    advice: str

    def __post_init__(self) -> None:
        for name in ("transparent", "soft", "opaque", "residue", "halo"):
            number(f"The verdict's {name}", getattr(self, name), 0, 1)
        text("The advice", self.advice, 0, MAX_NOTE)


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
    image: int
    verdict: Verdict | None

    def __post_init__(self) -> None:
        member("The role", self.role, Role)
        text("The layer's name", self.name, 1, MAX_NAME)
        member("The box", self.box, Box)
        number("The opacity", self.opacity, 0, 1)
        choice("The blending mode", self.blending, BLENDINGS)
        member("visible", self.visible, bool)
        integer("The layer's seed", self.seed, 0, MAX_SEED)
        integer("The layer's image", self.image, 0, MAX_BATCH - 1)
        if self.verdict is not None:
            member("The verdict", self.verdict, Verdict)


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
        image: index in the batch, 0 to `MAX_BATCH` - 1; layers of one image belong together.
        verdict: of a transparent layer, None of an opaque one.
    """

    role: Role
    name: str
    box: Box
    pixels: bytes
    opacity: float = 1.0
    blending: str = "normal"
    visible: bool = True
    seed: int = 0
    image: int = 0
    verdict: Verdict | None = None

    def __post_init__(self) -> None:
        header = self.header
        member("The pixels", self.pixels, bytes)
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
        member("A layer", layer, kind)
    if not isinstance(made_with, dict) or len(made_with) > MAX_MADE_WITH:
        fail(ErrorCode.INVALID_REQUEST, f"made_with must have at most {MAX_MADE_WITH} entries.")
    for key, value in made_with.items():
        text("A key of made_with", key, 1, MAX_NAME)
        text(f"made_with's {key}", value, 0, MAX_NAME)


@dataclass(frozen=True)
class LayerSetHeader:
    """Everything about a result but the pixels; the attributes are those of `LayerSet`."""

    request: Request
    layers: tuple[LayerHeader, ...]
    made_with: dict[str, str]

    def __post_init__(self) -> None:
        member("The request", self.request, Request)
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
        member("The request", self.request, Request)
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
        member("The phase", self.phase, Phase)
        integer("total", self.total, 0, 2**31)
        integer("step", self.step, 0, self.total)
        number("The fraction", self.fraction, 0, 1)


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of what is being made.

    Attributes:
        role: of the layer that it will be.
        image: index in the batch, 0 to `MAX_BATCH` - 1.
        width, height: 1 to `MAX_PREVIEW` pixels, of the result's shape.
        pixels: straight RGBA, 8 bits each, rows top to bottom, in base64 (RFC 4648).
    """

    role: Role
    image: int
    width: int
    height: int
    pixels: str

    def __post_init__(self) -> None:
        member("The role", self.role, Role)
        integer("The preview's image", self.image, 0, MAX_BATCH - 1)
        integer("The preview's width", self.width, 1, MAX_PREVIEW)
        integer("The preview's height", self.height, 1, MAX_PREVIEW)
        self.rgba()

    @classmethod
    def of(cls, role: Role, image: int, width: int, height: int, rgba: bytes) -> Thumbnail:
        """Make one of straight RGBA pixels."""
        return cls(role, image, width, height, base64.b64encode(rgba).decode("ascii"))

    def rgba(self) -> bytes:
        """Return the pixels. Raises `invalid_request` when they are not those of a picture of this size."""
        member("The preview's pixels", self.pixels, str)
        try:
            pixels = base64.b64decode(self.pixels, validate=True)
        except ValueError as error:
            raise LayerDiffusionError(ErrorCode.INVALID_REQUEST, "A preview's pixels are not base64.") from error
        if len(pixels) != self.width * self.height * 4:
            fail(ErrorCode.INVALID_REQUEST, f"A preview of {self.width} x {self.height} has {len(pixels)} bytes.")
        return pixels


@dataclass(frozen=True)
class ModelInfo:
    """A model that is installed and can be named in a request.

    Attributes:
        id: what `Request.model` says, 1 to `MAX_NAME` characters.
        name: for people, 1 to `MAX_NAME` characters.
        family: one of `FAMILIES`.
        native_side: side in pixels of the squares it was trained on.
        operations: what it can do.
        lacks: why it cannot do each of the others, by the operation's value, 1 to `MAX_REASON` characters.
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
    lacks: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        text("The model's id", self.id, 1, MAX_NAME)
        text("The model's name", self.name, 1, MAX_NAME)
        choice("The family", self.family, FAMILIES)
        integer("The native side", self.native_side, 8, MAX_SIDE)
        for operation in self.operations:
            member("An operation", operation, Operation)
        text("The note", self.note, 0, MAX_NOTE)
        if len(self.objects) > MAX_OBJECTS:
            fail(ErrorCode.INVALID_REQUEST, f"A model lists at most {MAX_OBJECTS} objects.")
        for name in self.objects:
            text("An object's name", name, 1, MAX_NAME)
        for operation, reason in self.lacks.items():
            choice("The operation of a reason", operation, [member.value for member in Operation])
            text("The reason", reason, 1, MAX_REASON)
