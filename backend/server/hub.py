"""Brings jobs, worker and clients together: what each message does and who hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from websockets.asyncio.server import ServerConnection

from protocol import VERSION
from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.job import LayerSet
from protocol.library import Work
from protocol.limits import MAX_LORAS, MAX_MODELS
from protocol.messages import (
    Acknowledge,
    Cancel,
    CancelAll,
    CancelInstall,
    Cancelled,
    Diagnose,
    Diagnostics,
    Failed,
    FromServer,
    Generate,
    Hello,
    Install,
    ListFiles,
    ListModels,
    Message,
    Models,
    PauseInstall,
    Preview,
    Queued,
    Refused,
    RemoveFiles,
    ResumeInstall,
    Running,
    ScanFiles,
    Started,
    State,
    Unload,
    Unloaded,
    VerifyFiles,
    Welcome,
)
from protocol.request import Request

from ..models.library import Library
from .diagnostics import Recorder
from .discretion import discreet
from .incoming import Incoming, Pictures
from .installing import Installer
from .jobs import Job, Jobs
from .outbox import Outbox
from .supervisor import Outcome, Target
from .workers import Workers

SERVER = "layer-diffusion backend"
REPLACED = 4001
"""Close code of a connection whose place was taken by a newer one of the same client."""

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class Hub:
    """The server's state. Everything runs in one event loop, between two awaits nothing else happens.

    Args:
        library: the models of this machine.
        recorder: keeps what `diagnose` asks for.
        idle: seconds without a job after which the memory of models is given back; 0 for never.
        is_shared: whether other machines can connect; what lies where on this one is none of their business then, nor
            may they take models away from each other.
    """

    def __init__(self, library: Library, recorder: Recorder, idle: float = 0.0, is_shared: bool = False) -> None:
        self.jobs = Jobs()
        self.workers = Workers(self._progress, self._outcome)
        self._library, self._recorder, self._idle, self._is_shared = library, recorder, idle, is_shared
        self._clients: dict[str, Outbox] = {}
        self._installer = Installer(library, self._send_all, self._models_changed, self._clients.__contains__)
        self._idling: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._stopping = False

    def equip(self, targets: Sequence[Target]) -> None:
        """Have worker processes with these main functions, one for each device; until then jobs wait."""
        if self._stopping:
            return
        self.workers.add(targets)
        if self._clients:
            self.workers.warm()
        self._advance()

    def outbox(self, websocket: ServerConnection) -> Outbox:
        """What sends to a connection; on a shared machine without a word of where things lie on it."""
        return Outbox(websocket, discreet) if self._is_shared else Outbox(websocket)

    async def join(self, hello: Hello, outbox: Outbox) -> None:
        """Welcome a client whose version fits and send it every final state it has not acknowledged."""
        models = Models((), ())
        problem = None
        try:
            models = await self._models()
        except LayerDiffusionError as error:
            problem = error
        replaced = self._clients.get(hello.client_id)
        self._clients[hello.client_id] = outbox
        held = self.jobs.of(hello.client_id)
        for job in [job for job in held if job.awaited]:
            self.jobs.drop(job)
            held.remove(job)
        outbox.send(Welcome(VERSION, SERVER, models.models, models.loras, tuple(job.status for job in held)))
        if problem is not None:
            outbox.send(Refused(problem, None))
        for job in held:
            if job.final:
                self._send_state(job)
        if not self._stopping:
            self.workers.warm()
            self._rest()
            self._installer.go_on()
        if replaced is not None:
            # Not awaited: a connection that is dead already takes its time to close.
            closing = asyncio.create_task(replaced.close(REPLACED, "replaced by a newer connection of this client"))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def leave(self, client: str, outbox: Outbox, incoming: Incoming) -> None:
        """Forget a connection; the client's jobs stay, but for one whose pictures had not all come over it."""
        self._abandon(incoming)
        if self._clients.get(client) is outbox:
            del self._clients[client]

    async def obey(self, client: str, message: Message, incoming: Incoming) -> None:
        """Do what a client's message says; `incoming` is its connection's.

        Raises `LayerDiffusionError` when it must be refused.
        """
        match message:
            case Generate():
                await self._generate(client, message, incoming)
            case Cancel(job_id):
                self._cancel(self.jobs.find(client, job_id))
                self._advance()
            case CancelAll():
                for job in self.jobs.of(client):
                    self._cancel(job)
                self._advance()
            case Acknowledge(job_id):
                self.jobs.forget(client, job_id)
            case ListModels():
                self._send(client, await self._models())
            case ListFiles():
                self._send(client, await self._installer.files())
            case Install(names):
                self._installer.begin(client, Work.INSTALL, names)
            case VerifyFiles(names):
                self._installer.begin(client, Work.VERIFY, names)
            case ScanFiles(place):
                if place and self._is_shared:
                    fail(
                        ErrorCode.INVALID_REQUEST, "A backend that serves other machines lets nobody choose a folder.",
                        "Run python -m backend models scan FOLDER where it runs.",
                    )  # fmt: skip
                self._installer.begin(client, Work.SCAN, folder=place)
            case PauseInstall() | ResumeInstall():
                self._installer.pause(client, isinstance(message, PauseInstall))
            case CancelInstall():
                self._installer.cancel(client)
            case RemoveFiles(names):
                if self._is_shared:
                    fail(
                        ErrorCode.INVALID_REQUEST, "A backend that serves other machines lets nobody remove models.",
                        "Run python -m backend models remove NAME where it runs.",
                    )  # fmt: skip
                self._send(client, await self._installer.remove(names))
            case Unload():
                await self._unload()
                self._send(client, Unloaded())
            case Diagnose():
                self._send(client, await asyncio.to_thread(self._diagnose, client))
            case _:
                fail(ErrorCode.BAD_MESSAGE, f"A client may not send {type(message).__name__} here.")

    def receive(self, frame: bytes, incoming: Incoming) -> None:
        """Take a binary message of a client. Raises `LayerDiffusionError` when it must be refused."""
        try:
            pictures = incoming.add(frame)
        except LayerDiffusionError as error:
            if error.job is not None:
                self._abandon(incoming)
            raise
        if pictures is not None:
            self._complete(pictures)

    async def stop(self) -> None:
        """Fail every unfinished job, see that the clients hear of it, and end the worker."""
        self._stopping = True
        for job in self.jobs.unfinished():
            self._finish(job, LayerDiffusionError(ErrorCode.CANCELLED_BY_SHUTDOWN))
        rooms = [asyncio.ensure_future(outbox.room(0)) for outbox in self._clients.values()]
        if rooms:
            await asyncio.wait(rooms, timeout=1)
        for room in rooms:
            room.cancel()
        await self.workers.stop()
        # Last: a download that stands still ends only with its connection.
        await self._installer.stop()

    async def _generate(self, client: str, message: Generate, incoming: Incoming) -> None:
        if (halved := self._abandon(incoming)) is not None:
            error = LayerDiffusionError(ErrorCode.BAD_MESSAGE, "Another job came before this one's pictures had.")
            self._send(client, Refused(error, halved.id))
        job = await self._admit(client, message.job, message.request)
        if message.request.inputs:
            incoming.expect(job)
        else:
            self._complete(Pictures(job, (), b""))

    async def _admit(self, client: str, job_id: str, request: Request) -> Job:
        """Return the job of this id and request, a new one if need be. Raises when there can be none."""
        if self.jobs.existing(client, job_id, request) is None:
            model = await _ask(self._library.find, request)
            if request.operation not in model.operations:
                fail(ErrorCode.UNSUPPORTED_OPERATION, f"{model.name} cannot do {request.operation.value!r}.")
        # While the model was looked for, another connection of this client may have sent the same, or the end begun.
        job = self.jobs.existing(client, job_id, request)
        if job is None:
            if self._stopping:
                fail(ErrorCode.CANCELLED_BY_SHUTDOWN)
            job = self.jobs.admit(client, job_id, request, self._clients.keys())
        return job

    def _complete(self, pictures: Pictures) -> None:
        """Queue the job whose pictures have come, or tell the state of one that was there already."""
        job = pictures.job
        if job.awaited:
            self.jobs.submit(job, pictures.images, pictures.digest)
        elif job.digest not in (None, pictures.digest):
            error = LayerDiffusionError(ErrorCode.DUPLICATE_JOB)
            error.job = job.id
            raise error
        self._send_state(job)
        self._advance()

    def _abandon(self, incoming: Incoming) -> Job | None:
        """Await no more pictures on a connection; return the job that will not get them, if any."""
        job = incoming.end()
        if job is not None and job.awaited:
            self.jobs.drop(job)
        return job

    def _cancel(self, job: Job) -> None:
        if job.final:
            # Its final state is on its way already.
            return
        if job.state is State.RUNNING:
            self.workers.cancel(job)
        self._finish(job, None)

    def _advance(self) -> None:
        """Start the next jobs if workers are free, and tell the waiting ones where they stand."""
        while not self._stopping and self.workers.free and (job := self.jobs.take()) is not None:
            self.workers.run(job)
            self._send_state(job)
        self._rest()
        for job in self.jobs.renumber():
            self._send_state(job)

    async def _unload(self) -> None:
        if not self.workers.idle:
            fail(ErrorCode.INVALID_REQUEST, "A picture is being made.", "Wait until it is done, or cancel it.")
        await self.workers.unload()

    def _diagnose(self, client: str) -> Diagnostics:
        models = ", ".join(f"{model.id} ({model.family})" for model in self._library.models())
        workers = f"{len(self.workers.pids)} running of {len(self.workers)}"
        jobs = len(self.jobs.unfinished())
        return self._recorder.diagnostics(client, models=models, workers=workers, jobs=jobs)

    def _rest(self) -> None:
        """Count anew how long there has been nothing to do."""
        if self._idling is not None:
            self._idling.cancel()
            self._idling = None
        if self._idle and not self._stopping and self.workers.idle:
            loop = asyncio.get_running_loop()
            self._idling = loop.call_later(self._idle, lambda: asyncio.ensure_future(self.workers.unload()))

    def _progress(self, job: Job, running: Running | Preview) -> None:
        if job.state is not State.RUNNING:
            return
        if isinstance(running, Preview):
            self._send(job.client, running)
        elif job.progress is None or running.progress.fraction >= job.progress.fraction:
            job.progress = running.progress
            self._send(job.client, running)

    def _outcome(self, job: Job, outcome: Outcome) -> None:
        # One that was cancelled has its final state; what the worker still delivers is dropped.
        if job.state is State.RUNNING:
            self._finish(job, outcome)
        self._advance()

    def _finish(self, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, LayerDiffusionError):
            self._recorder.failed(job.client, outcome)
        self.jobs.finish(job, outcome)
        self._send_state(job)

    def _send_state(self, job: Job) -> None:
        """Tell a job's client all about its present state."""
        match job.state:
            case State.QUEUED:
                self._send(job.client, Queued(job.id, job.position))
            case State.RUNNING:
                self._send(job.client, Started(job.id))
                if job.progress is not None:
                    self._send(job.client, Running(job.id, job.progress))
            case State.DONE:
                assert isinstance(job.layer_set, LayerSet)
                if (outbox := self._clients.get(job.client)) is not None:
                    outbox.send_result(job.id, job.layer_set)
            case State.FAILED:
                assert job.error is not None
                self._send(job.client, Failed(job.id, job.error))
            case State.CANCELLED:
                self._send(job.client, Cancelled(job.id))

    def _send(self, client: str, message: FromServer) -> None:
        if (outbox := self._clients.get(client)) is not None:
            outbox.send(message)

    def _send_all(self, message: FromServer) -> None:
        for client in self._clients:
            self._send(client, message)

    async def _models(self) -> Models:
        models, loras = await _ask(self._library.models), await _ask(self._library.loras)
        return Models(tuple(models)[:MAX_MODELS], tuple(loras)[:MAX_LORAS])

    async def _models_changed(self) -> None:
        with contextlib.suppress(LayerDiffusionError):
            self._send_all(await self._models())


async def _ask(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that reads model files, in a thread; whatever goes wrong is a `LayerDiffusionError`."""
    try:
        return await asyncio.to_thread(function, *args, **kwargs)
    except LayerDiffusionError:
        raise
    except Exception as error:
        log.exception("The installed models could not be read")
        raise LayerDiffusionError(ErrorCode.INTERNAL, f"The installed models could not be read: {error}.") from error
