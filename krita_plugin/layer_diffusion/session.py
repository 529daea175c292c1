"""The state of one docker: its jobs, the models it can use and the connection, without Qt and without I/O.

What comes from the backend goes in through `received`, `arrived` and `link`; what goes to it comes out of the function
given as `send`. After every change `changed` is called.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from .geometry import Area
from .jobs import Job, Order, Stage, Staying
from .notices import Notice
from .pixels import Picture, moved
from .protocol.errors import ErrorCode
from .protocol.job import ModelInfo
from .protocol.messages import (
    Acknowledge,
    Cancel,
    CancelAll,
    Cancelled,
    Failed,
    Generate,
    Message,
    Models,
    Preview,
    Queued,
    Refused,
    Running,
    Started,
    State,
    Welcome,
)
from .protocol.request import Request
from .translation import mark

MOST_TRIES = 3
"""How often a job is given to a backend; one that took several backends down with it will take down the next."""

AHEAD = 2
"""How many jobs the backend has at a time: one to work on, and the next, so that it need not wait for it. The others
wait here, where their order can change."""

SAID = 20
"""The last notices that are kept for the diagnostics."""


class LinkState(Enum):
    """The connection, as the status line says it."""

    IDLE = mark("Starts with the first picture")
    STARTING = mark("Starting the backend…")
    CONNECTING = mark("Connecting…")
    READY = mark("Ready")
    LOST = mark("Connection lost, trying again…")
    REPLACED = mark("Another connection took over")
    FAILED = mark("The backend is not running")


class Sender(Protocol):
    """What takes messages to the backend; `inputs` are the pictures that follow a `Generate`."""

    def __call__(self, message: Message, inputs: tuple[bytes, ...] = (), /) -> None: ...  # noqa: D102


class Session:
    """Jobs by id in the order in which they run, and what the backend told about itself."""

    def __init__(
        self, send: Sender, changed: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._send = send
        self._changed = changed
        self._clock = clock
        self.link = LinkState.IDLE
        self.models: tuple[ModelInfo, ...] = ()
        self.loras: tuple[str, ...] = ()
        self.jobs: dict[str, Job] = {}
        self.said: deque[Notice] = deque(maxlen=SAID)
        self._notice: Notice | None = None

    @property
    def notice(self) -> Notice | None:
        """What the docker says now. What it said before stays in `said`, for the diagnostics."""
        return self._notice

    @notice.setter
    def notice(self, notice: Notice | None) -> None:
        self._notice = notice
        if notice is not None:
            self.said.append(notice)

    # What the person does

    def generate(
        self, request: Request, document: object, area: Area, inputs: tuple[bytes, ...] = (), place: str = "top",
        source: str = "", order: Order = Order.LAST, softness: bytes | None = None, typed: str | None = None,
        staying: Staying | None = None,
    ) -> Job:  # fmt: skip
        """Ask for a job, whose attributes these are; it is sent when it is its turn and there is a connection."""
        job = Job(
            secrets.token_hex(16), request, document, area, inputs=inputs, place=place, source=source, typed=typed,
            softness=softness, staying=staying,
        )  # fmt: skip
        if order is Order.INSTEAD:
            self.cancel_all()
        self.jobs[job.id] = job
        self.notice = None
        if order is Order.FIRST:
            self.move_first(job)
        self._go_on()
        self._changed()
        return job

    def move_first(self, job: Job) -> None:
        """Let a job that waits run before all others that wait; those that the backend has already are taken back."""
        if job.stage is not Stage.WAITING:
            return
        waiting = [other for other in self.unfinished if other.stage is Stage.WAITING and other is not job]
        for other in (job, *waiting):
            self.jobs[other.id] = self.jobs.pop(other.id)
        for other in waiting:
            if other.held and not other.withdrawn and not job.held:
                other.withdrawn = True
                self._send(Cancel(other.id))
        self._go_on()
        self._changed()

    def cancel(self, job: Job) -> None:
        """Stop a job; one that no backend has is gone at once."""
        if job.unfinished:
            if self._cancelling(job):
                self._send(Cancel(job.id))
            self._go_on()
            self._changed()

    def cancel_all(self) -> None:
        """Stop every job that a backend still has to answer."""
        told = [self._cancelling(job) for job in self.unfinished]
        if any(told):
            self._send(CancelAll())
        self._changed()

    def dismiss(self) -> None:
        """Forget the notice."""
        self.notice = None
        self._changed()

    # What the canvas does with the layers

    def inserted(self, job: Job) -> None:
        """The layers are in a document: the backend may forget the job."""
        self._finish(job.id)

    def keep(self, job: Job, why: Notice) -> None:
        """The layers cannot go where they were meant to: hold them until the person says where."""
        job.stage = Stage.KEPT
        job.kept_because = why
        self._changed()

    def restore(self, job: Job, why: Notice) -> None:
        """A result was kept until Krita was closed and is here again."""
        self.jobs[job.id] = job
        self.keep(job, why)

    def release(self, job: Job, document: object, area: Area) -> None:
        """The person said where kept layers go: to this area, of the same size, in this document."""
        job.document, job.pictures, job.area = document, moved(job.pictures, job.area, area), area
        job.stage = Stage.ARRIVED
        self.notice = None
        self._changed()

    def discard(self, job: Job) -> None:
        """The person does not want kept layers: the backend may forget the job."""
        self._finish(job.id)

    def at(self, stage: Stage) -> list[Job]:
        """Return the jobs of one stage, oldest first."""
        return [job for job in self.jobs.values() if job.stage is stage]

    @property
    def unfinished(self) -> list[Job]:
        """Jobs that a backend still has to answer, in the order in which they run."""
        return [job for job in self.jobs.values() if job.unfinished]

    # What comes from the other side

    def connection(self, state: LinkState, notice: Notice | None = None) -> None:
        """The connection changed. `FAILED` and `IDLE` end every unfinished job, since nobody is left to answer it."""
        self.link = state
        if state in (LinkState.FAILED, LinkState.IDLE):
            for job in self.unfinished:
                del self.jobs[job.id]
        if notice is not None:
            self.notice = notice
        self._changed()

    def report(self, notice: Notice) -> None:
        """Show a notice."""
        self.notice = notice
        self._changed()

    def arrived(self, job_id: str, pictures: tuple[Picture, ...]) -> None:
        """All layers of a job are here. A job that is no longer wanted, or was inserted before, is acknowledged."""
        job = self.jobs.get(job_id)
        if job is None or job.stage is Stage.CANCELLING:
            self._finish(job_id)
        elif job.unfinished:
            job.pictures, job.inputs = pictures, ()
            job.stage = Stage.ARRIVED
            self._go_on()
            self._changed()

    def received(self, message: Message) -> None:
        """Take a message of the server, but for `Done`, which `arrived` stands for."""
        if isinstance(message, Welcome):
            self._welcome(message)
        elif isinstance(message, Models):
            self.models, self.loras = message.models, message.loras
        elif isinstance(message, Failed):
            if self._wanted(message.job):
                self.notice = Notice.of(message.error)
            self._finish(message.job)
        elif isinstance(message, Cancelled):
            self._cancelled(message.job)
        elif isinstance(message, Refused):
            self._refused(message)
        elif isinstance(message, (Queued, Started, Running, Preview)):
            self._progress(message)
        self._changed()

    def _cancelling(self, job: Job) -> bool:
        """Mark a job; return whether a backend has it and must be told."""
        if job.held:
            job.stage = Stage.CANCELLING
        else:
            del self.jobs[job.id]
        return job.held

    def _wanted(self, job_id: str) -> bool:
        job = self.jobs.get(job_id)
        return job is not None and job.stage is not Stage.CANCELLING

    def _go_on(self) -> None:
        """Give the backend its next jobs, and say of the others how many come before them."""
        unfinished = [job for job in self.unfinished if job.stage is not Stage.CANCELLING]
        room = AHEAD - sum(job.held for job in unfinished)
        for before, job in enumerate(unfinished):
            if job.held:
                continue
            if room > 0 and self.link is LinkState.READY:
                room -= 1
                job.sent += 1
                job.held = True
                self._send(Generate(job.id, job.request), job.inputs)
            job.position = before

    def _finish(self, job_id: str) -> None:
        self.jobs.pop(job_id, None)
        self._send(Acknowledge(job_id))
        self._go_on()
        self._changed()

    def _cancelled(self, job_id: str) -> None:
        job = self.jobs.get(job_id)
        if job is None or not job.withdrawn or job.stage is Stage.CANCELLING:
            self._finish(job_id)
            return
        job.back_in_line()
        job.sent -= 1
        self._send(Acknowledge(job_id))
        self._go_on()

    def _welcome(self, message: Welcome) -> None:
        self.link = LinkState.READY
        self.models, self.loras = message.models, message.loras
        held = {status.job: status for status in message.jobs}
        for job in self.unfinished:
            status = held.get(job.id)
            if status is None and job.held:
                self._lost(job)
            elif status is None:
                continue
            elif job.stage is Stage.CANCELLING or job.withdrawn:
                self._send(Cancel(job.id))
            elif status.state in (State.QUEUED, State.RUNNING):
                job.stage = Stage.RUNNING if status.state is State.RUNNING else Stage.WAITING
                job.position = status.position
        self._go_on()

    def _lost(self, job: Job) -> None:
        """A job went down together with the backend that had it."""
        if job.stage is Stage.CANCELLING:
            del self.jobs[job.id]
        elif job.sent < MOST_TRIES:
            job.back_in_line()
        else:
            del self.jobs[job.id]
            self.notice = Notice(
                mark("The backend ended several times while it worked on this job."),
                mark("Try a smaller size or another model; the backend's log tells more."),
            )

    def _progress(self, message: Queued | Started | Running | Preview) -> None:
        job = self.jobs.get(message.job)
        if job is None or job.stage not in (Stage.WAITING, Stage.RUNNING):
            return
        if isinstance(message, Queued):
            job.position = message.position
        elif isinstance(message, Started):
            job.stage = Stage.RUNNING
        elif isinstance(message, Preview):
            job.thumbnail = message.thumbnail
        else:
            job.advance(message.progress, self._clock())

    def _refused(self, message: Refused) -> None:
        job = self.jobs.get(message.job or "")
        if job is not None and job.unfinished:
            del self.jobs[job.id]
            self._go_on()
            if job.stage is Stage.CANCELLING:
                return
        # A job that was acknowledged twice over a broken connection is no news.
        if message.error.code is not ErrorCode.UNKNOWN_JOB:
            self.notice = Notice.of(message.error)
