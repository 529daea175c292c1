"""Installing and removing model files at the wish of clients: one installation at a time, which outlives them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.library import Download
from protocol.messages import Files, FromServer, Installed, Installing

from ..models.control import Control
from ..models.library import Library

INTERVAL = 0.3
"""Seconds between two reports."""
MEMORY = 0.9
"""How much of the measured speed stays from one report to the next."""


@dataclass
class _Task:
    control: Control
    download: Download
    reported: float
    work: asyncio.Task[None]


class Installer:
    """Used from the event loop only; the work is done in threads.

    `tell` sends a message to all clients; `changed` is awaited when files have come or gone.
    """

    def __init__(
        self, library: Library, tell: Callable[[FromServer], None], changed: Callable[[], Awaitable[None]]
    ) -> None:
        self._library, self._tell, self._changed = library, tell, changed
        self._task: _Task | None = None
        self._removing = False

    async def files(self) -> Files:
        """What can be installed, and what is."""
        bundles, files = await asyncio.to_thread(self._library.files)
        return Files(bundles, files, self._task.download if self._task else None)

    def install(self, names: tuple[str, ...]) -> None:
        """Begin. Raises ``unknown_model``, or ``invalid_request`` when an installation goes on."""
        self._check_free()
        self._library.check(names)
        download = Download(names, 0, 0, 0.0, False)
        control = Control()
        self._task = _Task(control, download, time.monotonic(), asyncio.create_task(self._run(names, control)))
        self._tell(Installing(download))

    def pause(self, paused: bool) -> None:
        """Let the installation wait, or go on."""
        if (task := self._task) is not None:
            task.control.pause() if paused else task.control.resume()
            self._show(replace(task.download, paused=paused, speed=0.0))

    def cancel(self) -> None:
        """End the installation; `Installed` follows."""
        if self._task is not None:
            self._task.control.cancel()

    async def remove(self, names: tuple[str, ...]) -> Files:
        """Delete files. Raises ``unknown_model``, ``missing_file``, or ``invalid_request`` during an installation."""
        self._check_free()
        self._removing = True
        try:
            await asyncio.to_thread(self._library.remove, names)
        finally:
            self._removing = False
            await self._changed()
        return await self.files()

    async def stop(self) -> None:
        """End the installation and wait for its end; what has come is kept."""
        if (task := self._task) is not None:
            task.control.cancel()
            await asyncio.wait([task.work])

    def _check_free(self) -> None:
        if self._task is not None:
            fail(
                ErrorCode.INVALID_REQUEST, "Other files are being installed.",
                "Wait until that is done, or cancel it; what has come is kept.",
            )
        if self._removing:
            fail(ErrorCode.INVALID_REQUEST, "Files are being removed.", "Try again in a moment.")

    async def _run(self, names: tuple[str, ...], control: Control) -> None:
        loop = asyncio.get_running_loop()

        def report(done: int, total: int) -> None:
            loop.call_soon_threadsafe(self._report, done, total)

        error: LayerDiffusionError | None = None
        try:
            await asyncio.to_thread(self._library.install, names, control, report)
        except LayerDiffusionError as problem:
            error = problem
        except Exception as problem:
            reason = f"{type(problem).__name__}: {problem}"
            error = LayerDiffusionError(ErrorCode.INTERNAL, f"The installation failed: {reason}")
        self._task = None
        await self._changed()
        self._tell(Installed(names, error))

    def _report(self, done: int, total: int) -> None:
        if (task := self._task) is None:
            return
        now, old = time.monotonic(), task.download
        passed = now - task.reported
        if passed < INTERVAL and done < total:
            return
        # The first report counts what was there before.
        speed = max(0, done - old.done) / max(passed, 1e-3) if old.done else 0.0
        if old.speed:
            speed = MEMORY * old.speed + (1 - MEMORY) * speed
        task.reported = now
        self._show(replace(old, done=done, total=total, speed=speed))

    def _show(self, download: Download) -> None:
        assert self._task is not None
        self._task.download = download
        self._tell(Installing(download))
