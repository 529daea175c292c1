"""How long Python of the plugin holds the GUI thread at a time, with and without what libkis does in between."""

import sys
import time
from pathlib import PurePath

PACKAGE = "layer_diffusion"


class Blocks:
    """Times every stretch from the moment Qt enters Python of the plugin in this thread until it is back in Qt.

    Stands on the interpreter's own profiling, which makes Python slower: what it tells is an upper bound. Without
    libkis it is the time for which this thread had a processor, whatever else the machine does.

    Attributes:
        phase: what the person does just now, given by the driver.
        longest: by (phase, function): seconds in all and processor time without libkis, of the stretch that had most of
            the latter.
    """

    def __init__(self):
        self.phase = ""
        self.longest = {}
        self._open = []  # [frame, name, start, processor time, that in libkis] or [None, function, processor time]

    def start(self):
        """Begin."""
        sys.setprofile(self._event)

    def stop(self):
        """End."""
        sys.setprofile(None)

    def _event(self, frame, kind, argument):
        top = self._open[-1] if self._open else None
        if kind == "call":
            # Also from within libkis, which handles events while it waits.
            if (top is None or top[0] is None) and PACKAGE in PurePath(frame.f_code.co_filename).parts:
                self._open.append([frame, name_of(frame), time.perf_counter(), time.thread_time(), 0.0])
        elif top is None:
            return
        elif kind == "return":
            if top[0] is frame:
                self._open.pop()
                self._record(*top[1:])
        elif top[0] is not None:
            if kind == "c_call" and is_libkis(argument):
                self._open.append([None, argument, time.thread_time()])
        elif kind in ("c_return", "c_exception") and argument == top[1]:
            self._open.pop()
            self._open[-1][4] += time.thread_time() - top[2]

    def _record(self, name, start, processor, inside):
        seconds, own = time.perf_counter() - start, time.thread_time() - processor - inside
        key = self.phase, name
        if own > self.longest.get(key, (0, -1))[1]:
            self.longest[key] = seconds, own


def name_of(frame):
    path = PurePath(frame.f_code.co_filename)
    return f"{path.parent.name}/{path.stem}.{frame.f_code.co_name}:{frame.f_lineno}"


def is_libkis(function):
    """Whether this is a method of one of Krita's classes."""
    return type(getattr(function, "__self__", None)).__module__.endswith("krita")
