"""A server in a thread and clients that speak the protocol, as small words for the tests of server and attacks."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from typing import Any, TypeVar

from websockets.sync.client import ClientConnection, connect

from backend.models.library import Library
from backend.server import app
from backend.server.diagnostics import Recorder
from backend.server.hub import Hub
from backend.server.supervisor import Target
from protocol import VERSION
from protocol.errors import ErrorCode, fail
from protocol.images import MAX_FRAME, Assembler, Image, frames
from protocol.job import LayerSet, ModelInfo
from protocol.messages import Done, Generate, Hello, Message, Welcome, build, parse
from protocol.request import Input, Operation, Request, Source

from . import fake_worker

TIMEOUT = 120.0
"""Seconds after which a test gives up waiting; never reached when all is well."""
TOKEN = secrets.token_hex(32)
MODEL = ModelInfo("fake", "Fake", "sd15", 128, tuple(Operation), "paints nothing")

M = TypeVar("M", bound=Message)


def new_id() -> str:
    return secrets.token_hex(16)


def request(prompt: str = "paint", *, side: int = 64, batch: int = 1, seed: int = 1, model: str = "fake") -> Request:
    return Request(Operation.OBJECT, model, prompt, "", side, side, 4, 5.0, seed, batch)


PICTURES = (Input(Source.BLEND, 600, 500), Input(Source.INIT, 1, 1), Input(Source.BACKGROUND, 70, 64))
"""Of an extraction that refines; the first one takes two frames."""


def with_pictures(prompt: str = "echo", inputs: tuple[Input, ...] = PICTURES, **settings: Any) -> Request:
    """A request for a foreground, with all the pictures that one can start from."""
    return replace(request(prompt, **settings), operation=Operation.EXTRACT_FOREGROUND, inputs=inputs)


def pixels_of(what: Request, shade: int = 0) -> list[bytes]:
    """Pixels for the inputs of a request, others for each of them and for each shade."""
    return [
        (bytes((i + index + shade) % 253 for i in range(253)) * (picture.size // 253 + 1))[: picture.size]
        for index, picture in enumerate(what.inputs)
    ]


def frames_of(job: str, what: Request, shade: int = 0) -> list[bytes]:
    """The frames of those pixels."""
    return [
        frame
        for index, (picture, pixels) in enumerate(zip(what.inputs, pixels_of(what, shade), strict=True))
        for frame in frames(job, index, picture.width, picture.height, pixels)
    ]


class Models(Library):
    """A library with these models; everything else is that of this machine."""

    def __init__(self, models: Sequence[ModelInfo]) -> None:
        self.known = list(models)

    def models(self) -> Sequence[ModelInfo]:
        return tuple(self.known)

    def find(self, request: Request) -> ModelInfo:
        for model in self.known:
            if model.id == request.model:
                return model
        fail(ErrorCode.UNKNOWN_MODEL, f"There is no model {request.model!r}.")


class Backend:
    """The product's hub and socket, with the fake worker, in a thread with its own event loop."""

    def __init__(
        self, target: Target = fake_worker.main, models: Sequence[ModelInfo] = (MODEL,), idle: float = 0.0,
        workers: int = 1, is_shared: bool = False,
    ) -> None:
        self.library = Models(models)
        self._idle, self._workers, self._is_shared = idle, workers, is_shared
        self._target = target
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="backend")

    def __enter__(self) -> Backend:
        self._thread.start()
        assert self._ready.wait(TIMEOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        """Begin to stop, as on SIGTERM."""
        # The loop is closed once the backend has stopped.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)

    @property
    def worker_pid(self) -> int | None:
        return next(iter(self.worker_pids), None)

    @property
    def worker_pids(self) -> list[int]:
        return self._hub.workers.pids

    def connect(self, token: str = TOKEN, **options: Any) -> AbstractContextManager[ClientConnection]:
        """Return a context that opens a websocket and greets nobody."""
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        return connect(
            f"ws://127.0.0.1:{self.port}{options.pop('path', '/')}",
            additional_headers=headers,
            compression=None,
            max_size=MAX_FRAME,
            proxy=None,
            open_timeout=TIMEOUT,
            **options,
        )

    def client(self, client_id: str | None = None) -> Client:
        """Connect and greet."""
        return Client(self.connect(), client_id or new_id())

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._hub = Hub(self.library, Recorder(), self._idle, self._is_shared)
        self._hub.equip([self._target] * self._workers)
        async with app.listening(self._hub, "127.0.0.1", 0, TOKEN) as self.port:
            self._ready.set()
            await self._stop.wait()
            await self._hub.stop()


class Client:
    """One connection that has greeted; `welcome` is what it was told."""

    def __init__(self, connection: AbstractContextManager[ClientConnection], client_id: str) -> None:
        self._connection = ExitStack()
        self.websocket = self._connection.enter_context(connection)
        self.id = client_id
        self._images = Assembler()
        self.send(Hello((VERSION,), "test", client_id))
        self.welcome = self.expect(Welcome)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, message: Message | str | bytes) -> None:
        self.websocket.send(message if isinstance(message, str | bytes) else build(message))

    def generate(self, prompt: str = "paint", **settings: Any) -> str:
        """Send a job and return its id."""
        job = new_id()
        self.send(Generate(job, request(prompt, **settings)))
        return job

    def generate_from(self, what: Request, shade: int = 0) -> str:
        """Send a job with the pictures of its inputs and return its id."""
        job = new_id()
        self.send(Generate(job, what))
        for frame in frames_of(job, what, shade):
            self.send(frame)
        return job

    def receive(self) -> Message | Image:
        """Return the next message or complete image."""
        while True:
            data = self.websocket.recv(TIMEOUT)
            if isinstance(data, str):
                return parse(data)
            if (image := self._images.add(data)) is not None:
                return image

    def expect(self, kind: type[M]) -> M:
        """Return the next message, which must be of this kind."""
        message = self.receive()
        assert isinstance(message, kind), message
        return message

    def until(self, kind: type[M], job: str | None = None) -> M:
        """Return the next message of this kind (and job), passing over others."""
        while True:
            message = self.receive()
            if isinstance(message, kind) and job in (None, getattr(message, "job", None)):
                return message

    def result(self, job: str) -> LayerSet:
        """Pass over messages until this job is done, and return its layers."""
        done = self.until(Done, job)
        images: list[bytes] = []
        while len(images) < done.images:
            image = self.receive()
            if isinstance(image, Image):
                assert (image.job, image.index) == (job, len(images))
                images.append(image.pixels)
        return done.layer_set.with_pixels(images)
