"""A worker without an engine: the first word of the prompt says what happens to the job."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.job import Box, Layer, LayerSet, Phase, Progress, Thumbnail
from protocol.messages import Cancel, Cancelled, Done, Failed, Generate, Preview, Running, build, parse
from protocol.request import Request, Role


def pixels(request: Request, index: int) -> bytes:
    """The pixels the fake worker makes: every byte depends on its place, the seed and the image."""
    size = request.width * request.height * 4
    return bytes((i * 7 + request.seed + index) % 251 for i in range(1004)) * (size // 1004 + 1)


def layer_set(request: Request) -> LayerSet:
    """The result of a request that is "painted"."""
    size = request.width * request.height * 4
    box = Box(0, 0, request.width, request.height)
    layers = tuple(
        Layer(Role.FOREGROUND, f"image {i}", box, pixels(request, i)[:size], seed=request.seed + i)
        for i in range(request.batch)
    )
    return LayerSet(request, layers, {"worker": str(os.getpid())})


def main(connection: Connection) -> None:
    """Answer jobs until the pipe closes."""
    while True:
        try:
            message = parse(connection.recv_bytes().decode())
        except EOFError:
            return
        if isinstance(message, Generate):
            pictures = [connection.recv_bytes() for _ in message.request.inputs]
            _answer(connection, message.job, message.request, pictures)


def echo(request: Request, pictures: Sequence[bytes]) -> LayerSet:
    """A result that holds the request's pictures as they came."""
    layers = tuple(
        Layer(Role.FOREGROUND, picture.source.value, Box(0, 0, picture.width, picture.height), pixels)
        for picture, pixels in zip(request.inputs, pictures, strict=True)
    )
    return LayerSet(request, layers, {"worker": str(os.getpid())})


def _answer(connection: Connection, job: str, request: Request, pictures: Sequence[bytes]) -> None:
    word, _, rest = request.prompt.partition(" ")
    if word == "vanish":
        os._exit(4)
    _progress(connection, job, 0.25)
    if word == "wait":
        while parse(connection.recv_bytes().decode()) != Cancel(job):
            pass
        _send(connection, Cancelled(job))
    elif word == "deaf":
        signal.pause()
    elif word == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == "exit":
        os._exit(3)
    elif word == "garbage":
        connection.send_bytes(b"\x80 not JSON")
        connection.recv_bytes()
    elif word == "fail":
        _send(connection, Failed(job, LayerDiffusionError(ErrorCode.OUT_OF_MEMORY)))
    elif word == "say":
        _send(connection, Failed(job, LayerDiffusionError(ErrorCode.INTERNAL, rest)))
    else:
        if word == "hold":
            # Blocks until the test opens the other end of this named pipe and closes it.
            Path(rest).read_bytes()
        _progress(connection, job, 0.125)
        _progress(connection, job, 0.5)
        if word == "show":
            thumbnail = Thumbnail.of(Role.FOREGROUND, 0, 2, 1, bytes(range(8)))
            connection.send_bytes(build(Preview(job, thumbnail)).encode())
        result = echo(request, pictures) if word == "echo" else layer_set(request)
        _send(connection, Done(job, result.header, len(result.layers)))
        for layer in result.layers:
            connection.send_bytes(layer.pixels)


def _progress(connection: Connection, job: str, fraction: float) -> None:
    _send(connection, Running(job, Progress(Phase.DENOISING, 1, 4, fraction)))


def _send(connection: Connection, message: Running | Done | Failed | Cancelled) -> None:
    connection.send_bytes(build(message).encode())
