"""How the server learns that it is no longer wanted."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import stat
import sys
import threading
from collections.abc import Callable

INTERVAL = 1.0
"""Seconds between two looks at the parent."""


def alive(pid: int) -> bool:
    """Return whether a process runs."""
    if sys.platform == "win32":
        import ctypes

        synchronize, timeout = 0x00100000, 0x102
        handle = ctypes.windll.kernel32.OpenProcess(synchronize, False, pid)
        running = bool(handle) and ctypes.windll.kernel32.WaitForSingleObject(handle, 0) == timeout
        ctypes.windll.kernel32.CloseHandle(handle)
        return running
    if sys.platform == "linux":
        # Tells of a process that has ended and that nobody has collected yet, too.
        try:
            return _alive_by_descriptor(pid)
        except ProcessLookupError:
            return False
        except OSError:
            pass  # an old kernel or a sandbox that does not know the call
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _alive_by_descriptor(pid: int) -> bool:
    descriptor = os.pidfd_open(pid)
    try:
        return not select.select([descriptor], [], [], 0)[0]
    finally:
        os.close(descriptor)


async def parent_gone(pid: int) -> None:
    """Return when the process `pid` has ended."""
    # A dead parent that nobody has collected still has its pid, but no longer its children.
    is_child = os.getppid() == pid
    while (os.getppid() == pid) if is_child else alive(pid):
        await asyncio.sleep(INTERVAL)


def on_stdin_closed(callback: Callable[[], None], descriptor: int = 0) -> None:
    """Call `callback` from another thread when the other end of standard input is closed.

    Only a pipe or a socket has another end that lives as long as the parent; anything else is left alone.
    """
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return

    def watch() -> None:
        try:
            while os.read(descriptor, 4096):
                pass
        except OSError:
            pass
        callback()

    threading.Thread(target=watch, name="stdin", daemon=True).start()


def on_signals(callback: Callable[[], None]) -> None:
    """Call `callback` on SIGINT and SIGTERM, in place of the default; only from the main thread."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: callback())
