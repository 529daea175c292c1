"""What a person asks for: the request and its choices, the same objects in plugin, server, worker and engine.

Every class checks itself when it is made and raises `LayerDiffusionError` with `invalid_request`, so that an object
that exists is valid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from .checks import integer, member, number, text
from .errors import ErrorCode, fail
from .limits import MAX_BATCH, MAX_CFG, MAX_NAME, MAX_PROMPT, MAX_SEED, MAX_SIDE, MAX_STEPS, MAX_WEIGHT, MIN_SIDE


class Operation(str, Enum):
    """What a person wants made."""

    OBJECT = "object"
    SCENE = "scene"
    OBJECT_ON_BACKGROUND = "object_on_background"
    BACKGROUND_FOR_OBJECT = "background_for_object"
    BLEND = "blend"
    REBLEND = "reblend"
    EXTRACT_FOREGROUND = "extract_foreground"
    EXTRACT_BACKGROUND = "extract_background"

    @property
    def needs(self) -> tuple[frozenset[Source], ...]:
        """The sets of pictures it can start from; one must be given, beside `Source.INIT` where it `refines`."""
        return _NEEDS[self]

    @property
    def makes(self) -> tuple[Role, ...]:
        """The layers that its result has for each image at most, bottom first."""
        return _MAKES[self]

    @property
    def refines(self) -> bool:
        """Whether its transparent layer may start from a picture: `Source.INIT` besides what it needs."""
        return Role.FOREGROUND in self.makes


class Role(str, Enum):
    """What a layer is in its result."""

    FOREGROUND = "foreground"
    BACKGROUND = "background"
    BLEND = "blend"


class Source(str, Enum):
    """What a picture that comes with a request is for."""

    FOREGROUND = "foreground"
    BACKGROUND = "background"
    BLEND = "blend"
    INIT = "init"


_NEEDS = {
    Operation.OBJECT: (frozenset[Source](),),
    Operation.SCENE: (frozenset[Source](),),
    Operation.OBJECT_ON_BACKGROUND: (frozenset({Source.BACKGROUND}),),
    Operation.BACKGROUND_FOR_OBJECT: (frozenset({Source.FOREGROUND}),),
    Operation.BLEND: (frozenset({Source.FOREGROUND}), frozenset({Source.BACKGROUND})),
    Operation.REBLEND: (
        frozenset({Source.FOREGROUND, Source.INIT}), frozenset({Source.BACKGROUND, Source.INIT}),
    ),
    Operation.EXTRACT_FOREGROUND: (frozenset({Source.BACKGROUND, Source.BLEND}),),
    Operation.EXTRACT_BACKGROUND: (frozenset({Source.FOREGROUND, Source.BLEND}),),
}
_MAKES = {
    Operation.OBJECT: (Role.FOREGROUND,),
    Operation.SCENE: (Role.BACKGROUND, Role.FOREGROUND, Role.BLEND),
    Operation.OBJECT_ON_BACKGROUND: (Role.FOREGROUND, Role.BLEND),
    Operation.BACKGROUND_FOR_OBJECT: (Role.BACKGROUND, Role.BLEND),
    Operation.BLEND: (Role.BLEND,),
    Operation.REBLEND: (Role.BLEND,),
    Operation.EXTRACT_FOREGROUND: (Role.FOREGROUND,),
    Operation.EXTRACT_BACKGROUND: (Role.BACKGROUND,),
}


class Sampler(str, Enum):
    """The solvers, each on the trajectory that AUTOMATIC1111 and Forge compute under the same name."""

    DPMPP_2M_SDE_KARRAS = "dpmpp_2m_sde_karras"
    DPMPP_2M_KARRAS = "dpmpp_2m_karras"
    EULER_A = "euler_a"
    UNIPC = "unipc"


class Injection(str, Enum):
    """How an SDXL model is taught transparency: a LoRA of its attention, or a delta of everything else."""

    ATTENTION = "attention"
    CONVOLUTION = "convolution"


class Resize(str, Enum):
    """How a condition picture of another shape is brought to the requested size."""

    JUST_RESIZE = "just_resize"
    CROP_AND_RESIZE = "crop_and_resize"
    RESIZE_AND_FILL = "resize_and_fill"


class Decoding(str, Enum):
    """How carefully alpha is found: the median of eight orientations, or fewer passes."""

    FULL = "full"
    FAST = "fast"


@dataclass(frozen=True)
class Input:
    """A picture that comes with a request; its pixels travel beside it, straight RGBA as those of a `Layer`.

    Attributes:
        source: what it is for.
        width, height: pixels, 1 to `MAX_SIDE`; the target area's shape or, with a `Resize` mode, any other.
    """

    source: Source
    width: int
    height: int

    def __post_init__(self) -> None:
        member("The source", self.source, Source)
        integer("The picture's width", self.width, 1, MAX_SIDE)
        integer("The picture's height", self.height, 1, MAX_SIDE)

    @property
    def size(self) -> int:
        """Bytes of its pixels."""
        return self.width * self.height * 4


@dataclass(frozen=True)
class Request:
    """What to generate; with the pixels of its inputs everything that decides the result.

    Attributes:
        operation: what to make.
        model: id of an installed model, 1 to `MAX_NAME` characters; never a path, so it holds no slash or backslash.
        prompt, negative: 0 to `MAX_PROMPT` characters, with emphasis as in "(red:1.3) apple".
        width, height: pixels, `MIN_SIDE` to `MAX_SIDE` each, any number.
        steps: denoising steps, 1 to `MAX_STEPS`.
        cfg: classifier-free guidance scale, 0 to `MAX_CFG`.
        seed: 0 to `MAX_SEED`, of the first image. A model that makes f pictures at once for each image uses
            seed + i·f + j modulo 2^32 for picture j of image i, as AUTOMATIC1111 counts.
        batch: images, 1 to `MAX_BATCH`.
        sampler: the solver.
        injection: which SDXL file makes things transparent; nothing to SD1.5.
        weight: of the LayerDiffuse weights, 0 to `MAX_WEIGHT`; at 0 the base model draws alone.
        stop_at: fraction of the model's time, 0 to 1, after which the base model goes on alone.
        resize: of the condition pictures.
        strength: 0 to 1, how far `Source.INIT` is drawn anew, as AUTOMATIC1111 counts it; nothing without one.
        foreground_prompt, background_prompt, blend_prompt: put before the prompt for that layer, where the model
            makes several at once or in a row; 0 to `MAX_PROMPT` characters.
        decoding: how alpha is found.
        inputs: the pictures it starts from, as `Operation.needs` and `Operation.refines` say; each source once.
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
    sampler: Sampler = Sampler.DPMPP_2M_KARRAS
    injection: Injection = Injection.ATTENTION
    weight: float = 1.0
    stop_at: float = 1.0
    resize: Resize = Resize.CROP_AND_RESIZE
    strength: float = 1.0
    foreground_prompt: str = ""
    background_prompt: str = ""
    blend_prompt: str = ""
    decoding: Decoding = Decoding.FULL
    inputs: tuple[Input, ...] = ()

    def __post_init__(self) -> None:
        member("The operation", self.operation, Operation)
        text("The model's id", self.model, 1, MAX_NAME)
        if "/" in self.model or "\\" in self.model:
            fail(ErrorCode.INVALID_REQUEST, "A model is named by its id, not by a path.", "Choose an installed model.")
        text("The prompt", self.prompt, 0, MAX_PROMPT)
        text("The negative prompt", self.negative, 0, MAX_PROMPT)
        integer("The width", self.width, MIN_SIDE, MAX_SIDE)
        integer("The height", self.height, MIN_SIDE, MAX_SIDE)
        integer("The number of steps", self.steps, 1, MAX_STEPS)
        number("The CFG scale", self.cfg, 0, MAX_CFG)
        integer("The seed", self.seed, 0, MAX_SEED)
        integer("The batch", self.batch, 1, MAX_BATCH)
        member("The sampler", self.sampler, Sampler)
        member("The injection", self.injection, Injection)
        number("The weight", self.weight, 0, MAX_WEIGHT)
        number("Stop at", self.stop_at, 0, 1)
        member("The resize mode", self.resize, Resize)
        number("The strength", self.strength, 0, 1)
        for role in Role:
            text(f"The {role.value} prompt", self.prompt_of(role), 0, MAX_PROMPT)
        member("The decoding", self.decoding, Decoding)
        self._check_inputs()

    def prompt_of(self, role: Role) -> str:
        """The prompt of one layer alone."""
        prompt: str = getattr(self, f"{role.value}_prompt")
        return prompt

    @property
    def input_bytes(self) -> int:
        """Bytes of the pixels of its inputs."""
        return sum(picture.size for picture in self.inputs)

    @property
    def result_bytes(self) -> int:
        """Most bytes of the pixels of its result."""
        return self.width * self.height * 4 * self.batch * len(self.operation.makes)

    def _check_inputs(self) -> None:
        member("inputs", self.inputs, tuple)
        for picture in self.inputs:
            member("An input", picture, Input)
        sources = [picture.source for picture in self.inputs]
        given = frozenset(sources) - ({Source.INIT} if self.operation.refines else set())
        if len(set(sources)) < len(sources) or given not in self.operation.needs:
            wanted = " or ".join(_listed(need) for need in self.operation.needs)
            fail(
                ErrorCode.INVALID_REQUEST, f"The operation {self.operation.value!r} starts from {wanted}, not from "
                f"{_listed(sources)}.", "Choose the layers that the operation needs, each once.",
            )


def _listed(sources: Iterable[Source]) -> str:
    return " and ".join(
        f"{'an' if source is Source.INIT else 'a'} {source.value} picture" for source in sorted(sources)
    ) or "no picture"
