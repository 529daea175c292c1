"""A job as the docker knows it, from the press of Generate until its layers are in the document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from .geometry import Area
from .notices import Notice
from .operations import SOURCES, task_for
from .pixels import Picture
from .protocol.job import LayerHeader, Phase, Progress, Thumbnail
from .protocol.request import Request, Role, Source
from .translation import mark, tr

PHASES = {
    Phase.LOADING: mark("Loading the model"),
    Phase.PROMPT: mark("Reading the prompt"),
    Phase.ENCODING: mark("Encoding the layers"),
    Phase.DENOISING: mark("Denoising"),
    Phase.DECODING: mark("Decoding transparency"),
}


Staying = tuple[LayerHeader, Picture]
"""A layer of an earlier result that a job's result is made for and becomes one set with."""


class Stage(Enum):
    """Where a job is, seen from the docker."""

    WAITING = "waiting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    ARRIVED = "arrived"
    """The layers are here and go into the document as soon as it is idle."""
    KEPT = "kept"
    """The layers are here and the person says where they go, since their document is gone."""


def prompt_line(prompt: str) -> str:
    """Return a prompt on one line, not longer than a layer list can show."""
    words = " ".join(prompt.split())
    return words if len(words) <= 60 else words[:59].rstrip() + "…"


def title(request: Request, typed: str | None) -> str:
    """Return what a result is called: what was typed for it, else what was done."""
    own = ", ".join(filter(None, map(request.prompt_of, request.operation.makes)))
    return prompt_line((request.prompt if typed is None else typed) or own) or tr(task_for(request.operation).name)


class Order(Enum):
    """Where a new job goes among those that wait."""

    LAST = "last"
    FIRST = "first"
    INSTEAD = "instead"
    """All others are cancelled."""


@dataclass
class Job:
    """One request and what became of it so far; `document` is the canvas' own handle."""

    id: str
    request: Request
    document: object
    area: Area
    stage: Stage = Stage.WAITING
    position: int = 0
    progress: Progress | None = None
    inputs: tuple[bytes, ...] = ()
    """Straight RGBA of the request's inputs, in their order; kept as long as they may have to be sent again."""
    place: str = "top"
    """Where in the stack its layers go, as `canvas.Place` counts."""
    source: str = ""
    """Id of the layer that they replace."""
    typed: str | None = None
    """The prompt as the person typed it, without the words of a style; None where that is not known."""
    softness: bytes | None = None
    """How far each pixel of the area was selected, where that clips its layers."""
    staying: Staying | None = None
    pictures: tuple[Picture, ...] = ()
    kept_because: Notice | None = None
    sent: int = 0
    """How often it was given to a backend: more than once when a backend ended and took it along."""
    held: bool = False
    """Whether a backend has it."""
    withdrawn: bool = False
    """Whether the backend that has it was told to cancel it only because another one goes first."""
    began: tuple[float, float] | None = None
    """When the first step of denoising was done, in seconds, and which fraction of the job that was."""
    left_s: float | None = None
    """Seconds until its result, as far as its pace tells."""
    thumbnail: Thumbnail | None = None
    """What it makes looks about like this by now."""

    @property
    def unfinished(self) -> bool:
        """Whether a backend still owes an answer."""
        return self.stage in (Stage.WAITING, Stage.RUNNING, Stage.CANCELLING)

    @property
    def fraction(self) -> float:
        """0 to 1, never decreasing."""
        return self.progress.fraction if self.progress else 0.0

    @property
    def name(self) -> str:
        """What its group is called."""
        return title(self.request, self.typed)

    def layer_name(self, role: Role, image: int) -> str:
        """Return what a layer is called: what it is, and what was typed for it."""
        words = prompt_line(self.request.prompt_of(role)) or title(self.request, self.typed)
        number = f" {image + 1}" if self.request.batch > 1 else ""
        return f"{tr(SOURCES[Source(role.value)])}: {words}{number}"

    def advance(self, progress: Progress, now: float) -> None:
        """Take a report at a time in seconds, unless it would move the progress backwards, as those of a second try do.

        What comes before the denoising, above all loading a model, says nothing about the pace.
        """
        if self.stage is Stage.WAITING:
            self.stage = Stage.RUNNING
        if progress.fraction < self.fraction:
            return
        self.progress = progress
        if self.began is None and progress.phase is Phase.DENOISING and progress.step:
            self.began = now, progress.fraction
        elif self.began is not None and progress.fraction > self.began[1]:
            pace = (now - self.began[0]) / (progress.fraction - self.began[1])
            self.left_s = pace * (1 - progress.fraction)

    def back_in_line(self) -> None:
        """No backend has it any more: it waits again, from its beginning."""
        self.stage, self.held, self.withdrawn = Stage.WAITING, False, False
        self.progress = self.began = self.left_s = self.thumbnail = None

    def text(self) -> str:
        """Say in a few words what is happening to it."""
        if self.stage is Stage.CANCELLING:
            return tr("Cancelling")
        if self.stage is Stage.ARRIVED:
            return tr("Waiting for the brush")
        if self.stage is Stage.WAITING:
            return tr("Waiting, {count} before it", count=self.position) if self.position else tr("Waiting")
        if self.progress is None:
            return tr("Starting")
        words = tr(PHASES[self.progress.phase])
        if self.progress.total > 1:
            words += f" {self.progress.step}/{self.progress.total}"
        return words if self.left_s is None else f"{words} · {_time_left(self.left_s)}"


def _time_left(seconds: float) -> str:
    if seconds < 60:
        return tr("{seconds} s left", seconds=max(1, round(seconds)))
    return tr("{minutes} min left", minutes=round(seconds / 60))


def kept_text(jobs: Sequence[Job]) -> str:
    """Return what to say of kept results, oldest first; "" when there are none."""
    if not jobs:
        return ""
    more = " " + tr("({count} more after it.)", count=len(jobs) - 1) if len(jobs) > 1 else ""
    return f"“{jobs[0].name}”: {jobs[0].kept_because}{more}"
