"""Exceptions of this plugin that nothing caught: said in the docker, and kept for the diagnostics.

Krita shows each in a dialog, and those of threads nowhere; those of others still go where they went.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
import traceback
from collections import deque
from pathlib import Path

from ..notices import Notice
from ..qt import QtCore

PACKAGE = Path(__file__).parent.parent
KEPT = 5
AGAIN_S = 5.0
"""What goes on happening, as whenever the docker looks at the document, is not said anew each time."""


class Faults(QtCore.QObject):
    """The one place of this Krita where they arrive, from any thread.

    Attributes:
        last: the latest ones for the diagnostics, each as lines.
    """

    happened = QtCore.pyqtSignal(object)
    """The `Notice` of one."""

    def __init__(self) -> None:
        super().__init__()
        self.last: deque[tuple[str, ...]] = deque(maxlen=KEPT)
        self._times: dict[tuple[str, ...], float] = {}

    def watch(self) -> None:
        """Take those of this plugin from now on."""
        before, before_in_threads = sys.excepthook, threading.excepthook

        def hook(kind, error, trace) -> None:
            if not self._take(error, trace):
                before(kind, error, trace)

        def hook_in_threads(args) -> None:
            if not self._take(args.exc_value, args.exc_traceback):
                before_in_threads(args)

        sys.excepthook, threading.excepthook = hook, hook_in_threads

    def _take(self, error, trace) -> bool:
        """Whether it is this plugin's and there is a docker to say so."""
        frames = traceback.extract_tb(trace)
        if not any(PACKAGE in Path(frame.filename).parents for frame in frames) or not self.receivers(self.happened):
            return False
        traceback.print_exception(type(error), error, trace)
        lines = (*map(_place, frames), f"{type(error).__name__}: {error}")
        now = time.monotonic()
        if now - self._times.get(lines, -AGAIN_S) >= AGAIN_S:
            self.last.append(lines)
            self.happened.emit(Notice.of_any(error))
        self._times[lines] = now
        return True


@functools.cache
def faults() -> Faults:
    """Return the one for all dockers."""
    return Faults()


def _place(frame: traceback.FrameSummary) -> str:
    path = Path(frame.filename)
    return f"{path.parent.name}/{path.name}, line {frame.lineno}, {frame.name}"
