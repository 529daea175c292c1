"""Lines that show how far a long copy is, how fast, and how long it still takes; or that something goes on."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

INTERVAL_S = 0.2
WIDTH = 24


def size(count: float) -> str:
    """Return bytes as people read them: 1_234_000_000 → "1.2 GB"."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:.1f} {unit}" if count < 100 * step else f"{count / step:.0f} {unit}"
    return f"{count:.0f} bytes"


def duration(seconds: float) -> str:
    """Return a time as people read it: 75 → "1 min 15 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def state(done: int, total: int, speed: float) -> str:
    """Return how far something is, as a bar and in bytes, with the bytes a second and the time left."""
    filled = round((done / total if total else 1.0) * WIDTH)
    bar = "█" * filled + "░" * (WIDTH - filled)
    left = f", {duration((total - done) / speed)} left" if speed > 0 and done < total else ""
    return f"{bar} {size(done)} of {size(total)}, {size(speed)}/s{left}"


def printable() -> None:
    """From now on a character that a pipe's encoding lacks is printed as "?", instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextlib.contextmanager
def moving(label: str, stream: TextIO = sys.stderr, shown: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Meanwhile, as long as `shown` says so, a line on the terminal counts the seconds; elsewhere there is none."""
    if not stream.isatty():
        yield
        return
    ended = threading.Event()

    def move() -> None:
        start = None
        while not ended.wait(INTERVAL_S):
            if shown():
                start = start or time.monotonic()
                # The cursor stays at the start, so that whatever else is said there replaces the line.
                stream.write(f"{label} … {duration(time.monotonic() - start)}\x1b[K\r")
                stream.flush()
        if start:
            stream.write("\x1b[K")
            stream.flush()

    thread = threading.Thread(target=move, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Bar:
    """Progress over `total` bytes, rewritten in place on a terminal, one line at the end elsewhere."""

    def __init__(
        self, label: str, total: int, stream: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label, self._total, self._stream, self._clock = label, total, stream, clock
        self._done = 0
        self._start = self._shown = clock()

    def add(self, count: int) -> None:
        """Say that so many more bytes are done."""
        self._done += count
        now = self._clock()
        if self._stream.isatty() and (now - self._shown >= INTERVAL_S or self._done >= self._total):
            self._shown = now
            self._stream.write(f"\r{self.line()}\x1b[K")
            self._stream.flush()

    def line(self) -> str:
        """Return the line as it stands now."""
        passed = self._clock() - self._start
        return f"{self._label} {state(self._done, self._total, self._done / passed if passed > 0 else 0.0)}"

    def end(self) -> None:
        """Finish the line."""
        self._stream.write(f"\r{self.line()}\n" if not self._stream.isatty() else "\n")
        self._stream.flush()
