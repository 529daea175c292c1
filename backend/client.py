"""A client without threads or Qt: starts a backend, speaks the protocol, waits for results.

The installer's demonstration, `doctor` and the tests use it. The Krita plugin has its own, which never blocks.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from protocol import VERSION
from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.images import MAX_FRAME, Assembler, frames
from protocol.job import LayerSet, ModelInfo, Progress
from protocol.messages import (
    Acknowledge,
    Cancelled,
    Done,
    Failed,
    FromClient,
    Generate,
    Hello,
    Message,
    Refused,
    Running,
    Welcome,
    build,
    parse,
)
from protocol.request import Request

from .server.access import STATUS

ROOT = Path(__file__).parents[1]
NAME = "Layer Diffusion client"
NO_ANSWER = "Start the backend again; its messages above may say more."


@dataclass(frozen=True)
class Address:
    """Where a backend listens, and the token it wants to see."""

    host: str
    port: int
    token: str


@contextlib.contextmanager
def running_backend(arguments: Sequence[str] = (), environment: dict[str, str] | None = None) -> Iterator[Address]:
    """Start `python -m backend serve` with this Python, yield its address, and stop it at the end.

    Raises `LayerDiffusionError` when it does not get ready: its own error, or ``internal``.
    """
    command = [sys.executable, "-m", "backend", "serve", "--parent", str(os.getpid()), *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield _address(process.stdout.readline())
    finally:
        # The end of its standard input is how the backend is told to stop.
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(line: str) -> Address:
    try:
        ready = json.loads(line)
        if ready["event"] == "failed":
            raise LayerDiffusionError.from_dict({key: ready[key] for key in ("code", "message", "hint")})
        return Address(ready["host"], ready["port"], Path(ready["token_file"]).read_text("ascii").strip())
    except (ValueError, KeyError, OSError) as error:
        raise LayerDiffusionError(ErrorCode.INTERNAL, "The backend did not start.", NO_ANSWER) from error


class Client:
    """One connection. Use as a context manager.

    Attributes:
        models: what the backend has installed, as it said in its greeting.
    """

    def __init__(self, address: Address) -> None:
        """Connect and greet. Raises `LayerDiffusionError` when the backend cannot be reached or refuses."""
        with contextlib.ExitStack() as stack:
            self._websocket = _connect(address, stack)
            self._images = Assembler()
            self._send(Hello((VERSION,), NAME, secrets.token_hex(16)))
            welcome = self._receive()
            if isinstance(welcome, Refused):
                raise welcome.error
            if not isinstance(welcome, Welcome):
                fail(ErrorCode.BAD_MESSAGE)
            self.models: tuple[ModelInfo, ...] = welcome.models
            self._open = stack.pop_all()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def generate(
        self,
        request: Request,
        images: Sequence[bytes] = (),
        report: Callable[[Progress], None] = lambda progress: None,
    ) -> LayerSet:
        """Run one job and wait for its layers.

        Args:
            request: what to make.
            images: the pixels of each of its inputs, in order: straight RGBA, 8 bits, width * height * 4 bytes.
            report: told every step.

        Raises the job's `LayerDiffusionError`; ``internal`` when the connection ends before the result.
        """
        job = secrets.token_hex(16)
        self._send(Generate(job, request))
        for index, (picture, pixels) in enumerate(zip(request.inputs, images, strict=True)):
            for frame in frames(job, index, picture.width, picture.height, pixels):
                with _explained():
                    self._websocket.send(frame)
        while True:
            message = self._receive()
            if isinstance(message, Refused) and message.job in (job, None):
                raise message.error
            if getattr(message, "job", None) != job:
                continue
            if isinstance(message, Running):
                report(message.progress)
            elif isinstance(message, Done):
                result = message.layer_set.with_pixels([self._image() for _ in range(message.images)])
                self._send(Acknowledge(job))
                return result
            elif isinstance(message, (Failed, Cancelled)):
                self._send(Acknowledge(job))
                if isinstance(message, Failed):
                    raise message.error
                fail(ErrorCode.INTERNAL, "The job was cancelled by another connection.", "Generate again.")

    def _send(self, message: FromClient) -> None:
        with _explained():
            self._websocket.send(build(message))

    def _receive(self) -> Message:
        with _explained():
            data = self._websocket.recv()
        if not isinstance(data, str):
            fail(ErrorCode.BAD_MESSAGE, "The backend sent an image that nobody waits for.")
        return parse(data)

    def _image(self) -> bytes:
        while True:
            with _explained():
                data = self._websocket.recv()
            if isinstance(data, bytes) and (image := self._images.add(data)) is not None:
                return image.pixels


def _connect(address: Address, stack: contextlib.ExitStack) -> ClientConnection:
    uri = f"ws://{f'[{address.host}]' if ':' in address.host else address.host}:{address.port}/"
    headers = {"Authorization": f"Bearer {address.token}"}
    try:
        connection = connect(uri, additional_headers=headers, compression=None, max_size=MAX_FRAME, proxy=None)
        return stack.enter_context(connection)
    except InvalidStatus as error:
        codes = [code for code, status in STATUS.items() if status == error.response.status_code]
        raise LayerDiffusionError(codes[0] if codes else ErrorCode.INTERNAL) from error
    except (OSError, WebSocketException) as error:
        message = f"No backend answers on {address.host} port {address.port}."
        raise LayerDiffusionError(ErrorCode.INTERNAL, message, NO_ANSWER) from error


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ConnectionClosed as error:
        raise LayerDiffusionError(ErrorCode.INTERNAL, "The backend closed the connection.", NO_ANSWER) from error
