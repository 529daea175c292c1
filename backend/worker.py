"""The process that owns torch and the device: takes one job after the other from a pipe and reports back.

It is started by `backend.server.supervisor`, whose docstring describes the pipe, and ends when the pipe closes, so that
it never outlives the server.
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.job import LayerSet
from protocol.messages import Cancel, Cancelled, Done, Failed, FromServer, Generate, Preview, Running, build, parse

if TYPE_CHECKING:
    from .engine.generate import Cache

log = logging.getLogger(__name__)


def main(
    connection: Connection, card: str | None = None, variable: str = "CUDA_VISIBLE_DEVICES", save_memory: bool = False
) -> None:
    """Serve jobs until the pipe closes, on one graphics card as this variable calls it. Does not return."""
    if card is not None:
        os.environ[variable] = card
    # Ctrl+C in a terminal reaches the whole group; it is the server that ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Standard output belongs to the server's ready line; a library that prints must not disturb it.
    os.dup2(sys.stderr.fileno(), 1)
    Worker(connection, save_memory).run()


class Worker:
    """Does one job after the other; keeps the engine's cache between them."""

    def __init__(self, connection: Connection, save_memory: bool = False) -> None:
        self._connection, self._save_memory = connection, save_memory
        self._inbox = Inbox(connection)
        self._cache: Cache | None = None

    def run(self) -> None:
        """Serve jobs; does not return."""
        try:
            # Brings torch, which takes seconds, before the first job needs it.
            importlib.import_module("backend.engine.generate")
        except Exception:
            # The first job tries again and tells somebody who can read it.
            log.exception("The engine could not be loaded")
        while True:
            self._answer(*self._inbox.jobs.get())

    def _answer(self, message: Generate, pictures: Sequence[bytes]) -> None:
        """Do one job and send its outcome."""
        try:
            layer_set = self._generate(message, pictures)
            if layer_set is None:
                self._send(Cancelled(message.job))
                return
            self._send(Done(message.job, layer_set.header, len(layer_set.layers)))
            for layer in layer_set.layers:
                self._connection.send_bytes(layer.pixels)
        except Exception as error:
            self._send(Failed(message.job, as_error(error)))

    def _generate(self, message: Generate, pictures: Sequence[bytes]) -> LayerSet | None:
        """Return the job's result, or None when it was cancelled."""
        # Imported here so that an engine that cannot be loaded is the job's error.
        from . import models
        from .engine.generate import Cache, generate
        from .engine.generate import Cancelled as Stopped

        if self._cache is None:
            self._cache = Cache()
        try:
            return generate(
                message.request,
                pictures,
                models.resolve(message.request.model),
                lambda progress: self._send(Running(message.job, progress)),
                lambda: self._inbox.cancelled(message.job),
                self._cache,
                lambda thumbnail: self._send(Preview(message.job, thumbnail)),
                self._save_memory,
            )
        except Stopped:
            return None

    def _send(self, message: FromServer) -> None:
        self._connection.send_bytes(build(message).encode())


class Inbox:
    """Reads the pipe in a thread of its own, so that a cancel is seen while a job computes."""

    def __init__(self, connection: Connection) -> None:
        self.jobs: queue.SimpleQueue[tuple[Generate, Sequence[bytes]]] = queue.SimpleQueue()
        """Jobs with the pixels of their inputs."""
        self._cancelled: str | None = None
        threading.Thread(target=self._read, args=(connection,), name="inbox", daemon=True).start()

    def cancelled(self, job: str) -> bool:
        """Return whether this job is to be stopped."""
        return self._cancelled == job

    def _read(self, connection: Connection) -> None:
        try:
            while True:
                message = parse(connection.recv_bytes().decode())
                if isinstance(message, Generate):
                    pictures = [connection.recv_bytes() for _ in message.request.inputs]
                    self._cancelled = None
                    self.jobs.put((message, pictures))
                elif isinstance(message, Cancel):
                    self._cancelled = message.job
        finally:
            # Whatever the main thread computes is of no use any more.
            os._exit(0)


def as_error(error: Exception) -> LayerDiffusionError:
    """Return any exception as one that a person can act on; what is unexpected is logged with its traceback."""
    if isinstance(error, LayerDiffusionError):
        return error
    log.error("A job failed unexpectedly", exc_info=error)
    if isinstance(error, MemoryError):
        return LayerDiffusionError(ErrorCode.OUT_OF_MEMORY)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LayerDiffusionError(ErrorCode.DISK_FULL)
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return LayerDiffusionError(ErrorCode.INTERNAL, f"The generator failed: {reason}")
