"""Pausing and cancelling work that goes on in other threads."""

from __future__ import annotations

import threading


class Cancelled(Exception):
    """The person cancelled; what has come so far is kept."""


class Control:
    """One switch for all downloads that were started with it; its methods may be called from any thread."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._go.set()
        self._cancelled = threading.Event()

    def pause(self) -> None:
        """Let downloads wait where they are until `resume`."""
        self._go.clear()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._go.set()

    def cancel(self) -> None:
        """Let everything that uses this end with `Cancelled`, for good."""
        self._cancelled.set()
        self._go.set()

    def check(self) -> None:
        """Wait while paused. Raises `Cancelled`."""
        self._go.wait()
        if self._cancelled.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Wait this long, and while paused. Raises `Cancelled`, at once."""
        self._cancelled.wait(seconds)
        self.check()
