"""Work with model files at the wish of clients: one installation, check or search at a time, which outlives them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.library import Download, Work
from protocol.messages import Files, FromServer, Installed, Installing

from ..models.control import Control
from ..models.library import Library

INTERVAL = 0.3
"""Seconds between two reports."""
MEMORY = 0.9
"""How much of the measured speed stays from one report to the next."""


@dataclass
class _Task:
    client: str
    control: Control
    download: Download
    reported: float
    work: asyncio.Task[None]
    given_up: bool = False


class Installer:
    """Used from the event loop only; the work is done in threads.

    `tell` sends a message to all clients; `changed` is awaited when files have come or gone; `is_here` says whether a
    client is connected: as long as the one that began some work is, nobody else may stop it.
    """

    def __init__(
        self, library: Library, tell: Callable[[FromServer], None], changed: Callable[[], Awaitable[None]],
        is_here: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self._library, self._tell, self._changed, self._is_here = library, tell, changed, is_here
        self._task: _Task | None = None
        self._removing = self._has_gone_on = False

    async def files(self) -> Files:
        """What can be installed, and what is."""
        bundles, files = await asyncio.to_thread(self._library.files)
        own = await asyncio.to_thread(self._library.own)
        if self._task is not None:
            return Files(bundles, files, own, (), self._task.download)
        return Files(bundles, files, own, await asyncio.to_thread(self._library.waiting), None)

    def go_on(self) -> None:
        """Go on with an installation in the middle of which the last server ended, once; anybody may stop it."""
        names = () if self._has_gone_on or self._task else self._library.on_its_way()
        self._has_gone_on = True
        if names:
            self.begin("", Work.INSTALL, names)

    def begin(self, client: str, work: Work, names: tuple[str, ...] = (), folder: str = "") -> None:
        """Begin work; the folder is that of a search.

        Raises ``unknown_model``, or ``invalid_request`` when other work goes on.
        """
        self._check_free()
        self._library.check(names)
        download = Download(work, names, 0, 0, 0.0, False)
        control = Control()
        running = asyncio.create_task(self._run(download, control, folder))
        self._task = _Task(client, control, download, time.monotonic(), running)
        self._tell(Installing(download))

    def pause(self, client: str, paused: bool) -> None:
        """Let the work wait, or go on. Raises ``invalid_request`` when another client began it."""
        if (task := self._task) is not None:
            self._check_owner(client, task)
            task.control.pause() if paused else task.control.resume()
            if task.download.work is Work.INSTALL:
                self._library.hold(paused)
            self._show(replace(task.download, paused=paused, speed=0.0))

    def cancel(self, client: str) -> None:
        """End the work; `Installed` follows. Raises ``invalid_request`` when another client began it."""
        if (task := self._task) is not None:
            self._check_owner(client, task)
            task.given_up = True
            task.control.cancel()

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
        """End the installation and wait for its end; what has come is kept, the rest is offered at the next start."""
        if (task := self._task) is not None:
            task.control.cancel()
            await asyncio.wait([task.work])

    def _check_owner(self, client: str, task: _Task) -> None:
        if client != task.client and self._is_here(task.client):
            fail(ErrorCode.INVALID_REQUEST, "Another client began this.", "Stop it there, or wait until it is done.")

    def _check_free(self) -> None:
        if self._task is not None:
            fail(
                ErrorCode.INVALID_REQUEST, "Other work with files goes on.",
                "Wait until that is done, or cancel it; what has come is kept.",
            )
        if self._removing:
            fail(ErrorCode.INVALID_REQUEST, "Files are being removed.", "Try again in a moment.")

    async def _run(self, download: Download, control: Control, folder: str) -> None:
        loop = asyncio.get_running_loop()

        def report(done: int, total: int) -> None:
            loop.call_soon_threadsafe(self._report, done, total)

        error: LayerDiffusionError | None = None
        try:
            await asyncio.to_thread(self._do, download, control, folder, report)
        except LayerDiffusionError as problem:
            error = problem
        except Exception as problem:
            reason = f"{type(problem).__name__}: {problem}"
            error = LayerDiffusionError(ErrorCode.INTERNAL, f"The work with files failed: {reason}")
        if self._task and self._task.given_up and download.work is Work.INSTALL:
            await asyncio.to_thread(self._library.give_up, download.names)
        self._task = None
        await self._changed()
        self._tell(Installed(download.names, error))

    def _do(self, download: Download, control: Control, folder: str, report: Callable[[int, int], None]) -> None:
        if download.work is Work.SCAN:
            self._library.scan(folder, control, lambda count: report(count, 0))
        else:
            do = self._library.install if download.work is Work.INSTALL else self._library.verify
            do(download.names, control, report)

    def _report(self, done: int, total: int) -> None:
        if (task := self._task) is None:
            return
        now, old = time.monotonic(), task.download
        passed = now - task.reported
        # How much it is in all is told at once: nothing more may come for long.
        if passed < INTERVAL and done != total and total == old.total:
            return
        # The first report counts what was there before; a search has no end to reckon with.
        speed = max(0, done - old.done) / max(passed, 1e-3) if old.done and total else 0.0
        if old.speed:
            speed = MEMORY * old.speed + (1 - MEMORY) * speed
        task.reported = now
        self._show(replace(old, done=done, total=total, speed=speed))

    def _show(self, download: Download) -> None:
        assert self._task is not None
        self._task.download = download
        self._tell(Installing(download))
