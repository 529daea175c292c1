"""Owns the worker process: starts it, talks to it over a pipe, notices its end.

The pipe carries the messages of the protocol as UTF-8: `generate` and `cancel` to the worker, `running`, `preview`,
`done`, `failed` and `cancelled` back. `generate` is followed by the pixels of each of the request's inputs, `done` by
those of each layer, as they are, one message each.
Everything that can block, starting a process included, happens in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.job import LayerSet
from protocol.messages import Cancel, Cancelled, Done, Failed, Generate, Preview, Running, build, parse
from protocol.request import Request

Target = Callable[[Connection], None]
"""Main function of a worker process; it must be importable by name, since the process starts afresh."""
Outcome = LayerSet | LayerDiffusionError | None
"""How a job ended: its result, its error, or None when it was cancelled."""
FromWorker = Running | Preview | Done | Failed | Cancelled

PATIENCE = 30.0
"""Seconds after which a worker that does not stop a cancelled job is killed, so that the next one need not wait."""

log = logging.getLogger(__name__)


class Supervisor:
    """At most one worker process with at most one job. Used from the event loop only.

    `on_progress(running or preview)` and `on_outcome(job, outcome)` are called in the event loop; every `run` is
    followed by exactly one `on_outcome`, with `worker_died` when the process ended without saying more. A process that
    was there before the job and ends without a word about it may have been dead already: a new one gets the job again.
    """

    def __init__(
        self, target: Target, on_progress: Callable[[Running | Preview], None],
        on_outcome: Callable[[str, Outcome], None],
    ) -> None:
        self._target = target
        self._on_progress = on_progress
        self._on_outcome = on_outcome
        self._process: _Process | None = None
        self._job: str | None = None
        self._again: tuple[Generate, Sequence[bytes]] | None = None
        self._patience: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        """Whether a job has been given to the worker whose outcome is not known yet."""
        return self._job is not None

    @property
    def pid(self) -> int | None:
        """The worker's process id, for people who look for it; None when none is running."""
        return self._process.pid if self._process else None

    def warm(self) -> None:
        """Start the worker if there is none, so that the first job need not wait for it."""
        if self._process is None:
            self._process = _Process(self._target, self._received, self._ended)

    def run(self, job: str, request: Request, pictures: Sequence[bytes]) -> None:
        """Give the worker a job with the pixels of its inputs; only when it is not busy."""
        assert self._job is None
        message = Generate(job, request)
        self._job = job
        self._again = (message, pictures) if self._process is not None else None
        self._give(message, pictures)

    def cancel(self, job: str) -> None:
        """Ask the worker to stop this job, and kill it if it does not; the outcome follows as of any other job."""
        self._again = None
        if self._process is not None:
            self._process.send(Cancel(job))
            self._patience = asyncio.get_running_loop().call_later(PATIENCE, self._process.kill)

    async def unload(self) -> None:
        """End the worker process with all that it has loaded, unless it is busy; the next job starts another."""
        if self._process is not None and not self.busy:
            await self._process.stop()

    async def stop(self) -> None:
        """End the worker process and wait for its end."""
        self._again = None
        if self._process is not None:
            await self._process.stop()

    def _give(self, message: Generate, pictures: Sequence[bytes]) -> None:
        self.warm()
        assert self._process is not None
        self._process.send(message, pictures)

    def _received(self, message: FromWorker, layer_set: LayerSet | None) -> None:
        if message.job != self._job:
            return
        self._again = None
        if isinstance(message, Running | Preview):
            self._on_progress(message)
        else:
            self._finish(message.error if isinstance(message, Failed) else layer_set)

    def _ended(self, description: str) -> None:
        if self._process is not None:
            self._process.dispose()
            self._process = None
        if self._again is not None:
            again, self._again = self._again, None
            self._give(*again)
        elif self._job is not None:
            self._finish(LayerDiffusionError(ErrorCode.WORKER_DIED, description))

    def _finish(self, outcome: Outcome) -> None:
        assert self._job is not None
        job, self._job = self._job, None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._on_outcome(job, outcome)


class _Process:
    """One worker process, a thread that reads from it and a thread that starts it and writes to it."""

    def __init__(
        self,
        target: Target,
        on_message: Callable[[FromWorker, LayerSet | None], None],
        on_end: Callable[[str], None],
    ) -> None:
        # Spawn, not fork: a fork of a process with threads may hang, and the worker must not hold the server's sockets.
        self._context = multiprocessing.get_context("spawn")
        self._target = target
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_end = on_end
        self._writer = ThreadPoolExecutor(1, "worker-writer")
        self._reader: threading.Thread | None = None
        self._is_end_wanted = False
        self._writer.submit(self._start)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def send(self, message: Generate | Cancel, pictures: Sequence[bytes] = ()) -> None:
        self._writer.submit(self._send, build(message).encode(), *pictures)

    async def stop(self) -> None:
        """Kill the process and wait for its end."""
        await self._loop.run_in_executor(self._writer, self._stop)

    def kill(self) -> None:
        """Kill the process if it has been started; its end is told as any other."""
        if self._process is not None and self._process.pid is not None:
            self._process.kill()

    def dispose(self) -> None:
        """Let go of the threads, once the process has ended."""
        self._writer.shutdown(wait=False)

    def _start(self) -> None:
        try:
            self._pipe, child = self._context.Pipe()
            # The worker's end must be open nowhere else, or its death would not be seen as the end of the pipe.
            with child:
                self._process = self._context.Process(target=self._target, args=(child,), name="worker", daemon=True)
                self._process.start()
        except Exception as error:
            log.exception("The worker process could not be started")
            if self._pipe is not None:
                self._pipe.close()
            reason = error.strerror if isinstance(error, OSError) else error
            self._call(self._on_end, f"The process that generates images could not be started: {reason}.")
            return
        self._reader = threading.Thread(target=self._read, args=(self._process, self._pipe), name="worker-reader")
        self._reader.daemon = True
        self._reader.start()

    def _send(self, *parts: bytes) -> None:
        # A worker that is gone is noticed by the reader, one that could not be started was told of.
        with contextlib.suppress(OSError):
            if self._pipe is not None:
                for part in parts:
                    self._pipe.send_bytes(part)

    def _stop(self) -> None:
        self._is_end_wanted = True
        self.kill()
        if self._reader is not None:
            self._reader.join()

    def _read(self, process: BaseProcess, pipe: Connection) -> None:
        try:
            while True:
                message = parse(pipe.recv_bytes().decode())
                layer_set = None
                if isinstance(message, Done):
                    images = [pipe.recv_bytes() for _ in range(message.images)]
                    layer_set = message.layer_set.with_pixels(images)
                if not isinstance(message, FromWorker):
                    fail(ErrorCode.BAD_MESSAGE)
                self._call(self._on_message, message, layer_set)
        except (EOFError, OSError):
            pass
        except Exception:
            log.exception("The worker sent something unreadable and is ended")
            process.kill()
        process.join()
        # In the thread that writes, which might otherwise write to whatever is given the same descriptor next.
        self._writer.submit(pipe.close)
        code = process.exitcode or 0
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        if self._is_end_wanted:
            log.info("The worker process was ended")
        else:
            log.warning("The worker process ended (%s)", reason)
        self._call(self._on_end, f"The process that generates images ended in the middle of the job ({reason}).")

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        # The event loop may be closed when the server is stopping; then nobody is left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)
