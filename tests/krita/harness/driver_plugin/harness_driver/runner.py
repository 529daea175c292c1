"""Steps a driver script: waits for what it yields, and asks the host for what only that can do."""
import importlib.util
import inspect
import json
import math
import os
import sys
import time
from typing import Any

from .qt import QtCore, QtWidgets

OUT = os.environ.get("KRITA_HARNESS_OUT", "")
SCRIPT = os.environ.get("KRITA_HARNESS_SCRIPT", "")
PATIENCE = float(os.environ.get("KRITA_HARNESS_PATIENCE", "1"))
POLL_MS = 20
DEFAULT_WAIT_S = 30.0


class Condition:
    """Something to wait for: a predicate, a time limit, and a name for the message."""

    def __init__(self, predicate, timeout_s=DEFAULT_WAIT_S, what=""):
        self.predicate = predicate
        self.timeout_s = timeout_s
        self.what = what or getattr(predicate, "__name__", "condition")


def pause(seconds):
    """So long where nothing else is done: counted in turns of the event loop, it is longer in a Krita that is busy."""
    turns = iter(range(round(seconds * 1000 / POLL_MS)))
    return Condition(lambda: next(turns, None) is None, math.inf)


class HostRequest:
    """Something only the host can do: a picture, a mouse click, key presses."""

    def __init__(self, kind, timeout_s=DEFAULT_WAIT_S, **arguments):
        self.body = dict(arguments, kind=kind)
        self.timeout_s = timeout_s


class Runner(QtCore.QObject):
    """Steps the driver script's generator from the event loop."""

    def __init__(self, harness):
        super().__init__()
        self.h = harness
        self.steps: Any = None
        self.timer = QtCore.QTimer(self)
        self.timer.setSingleShot(True)
        self.timer.timeout.connect(self._tick)
        self.waiting: Any = None  # Condition in force, or None
        self.deadline = 0.0
        self.failed = False

    # -- start -------------------------------------------------------------
    def begin(self):
        self.h.watch_over_plugins()
        try:
            spec: Any = importlib.util.spec_from_file_location("krita_driver_script", SCRIPT)
            module = importlib.util.module_from_spec(spec)
            sys.path.insert(0, os.path.dirname(SCRIPT))
            sys.modules["krita_driver_script"] = module
            spec.loader.exec_module(module)
            outcome = module.run(self.h)
        except BaseException:
            self._fail()
            return
        if inspect.isgenerator(outcome):
            self.steps = outcome
            self._advance(None)
        else:
            self._finish()

    # -- one step ----------------------------------------------------------
    def _advance(self, value, error=None):
        try:
            wanted = self.steps.throw(error) if error else self.steps.send(value)
        except StopIteration:
            self._finish()
            return
        except BaseException:
            self._fail()
            return
        self.h.save()
        self._wait_for(wanted)

    def _wait_for(self, wanted: Any):
        if wanted is None or (isinstance(wanted, (int, float)) and not isinstance(wanted, bool)):
            wanted = pause(wanted or 0)
        elif isinstance(wanted, HostRequest):
            wanted = self._ask_host(wanted)
        elif callable(wanted):
            wanted = Condition(wanted)
        self.waiting = wanted
        self.deadline = time.monotonic() + PATIENCE * self.waiting.timeout_s
        self.timer.start(0)

    def _tick(self):
        try:
            value = self.waiting.predicate()
        except Exception as error:
            self.waiting = None
            self._advance(None, error)
            return
        if value:
            self.waiting = None
            self._advance(value)
        elif time.monotonic() > self.deadline:
            error = TimeoutError(f"waited {PATIENCE * self.waiting.timeout_s:.1f} s for {self.waiting.what}")
            self.waiting = None
            self._advance(None, error)
        else:
            self.timer.start(POLL_MS)

    def _ask_host(self, request):
        """Put a request where the host looks; the reply is a file beside it."""
        self.h._request_count += 1
        base = os.path.join(OUT, "requests", f"{self.h._request_count:04d}")
        with open(base + ".tmp", "w", encoding="utf-8") as handle:
            json.dump(request.body, handle)
        os.replace(base + ".tmp", base + ".ask")

        def answered():
            if not os.path.exists(base + ".reply"):
                return None
            with open(base + ".reply", encoding="utf-8") as handle:
                reply = json.load(handle)
            if not reply.get("ok"):
                raise RuntimeError("host could not do {!r}: {}".format(request.body, reply.get("error")))
            return reply

        return Condition(answered, request.timeout_s, "host " + request.body["kind"])

    # -- end ---------------------------------------------------------------
    def _fail(self):
        self.h.exception("driver script", *sys.exc_info())
        if self.failed:
            self._end("failed")
            return
        self.failed = True
        self.steps = self._last_picture()
        self._advance(None)

    def _last_picture(self):
        """What the screen showed when the script failed, and what has the keys."""
        focus = QtWidgets.QApplication.focusWidget()
        popup = QtWidgets.QApplication.activePopupWidget()
        self.h.log("failed; focus:", focus, focus and focus.objectName(), "popup:", popup)
        yield self.h.screenshot("failed")

    def _finish(self):
        bad = [c["name"] for c in self.h.results["checks"] if not c["passed"]]
        self._end("failed" if bad or self.failed or self.h.results["exceptions"] else "ok")

    def _end(self, status):
        self.h.results["status"] = status
        self.h.results["ran_s"] = round(time.time() - self.h._t0, 3)
        self.h.save()
        if os.environ.get("KRITA_HARNESS_KEEP_OPEN"):
            return
        # Quit on a later turn: Krita 5.2 and later crash when a document is closed
        # in the same turn in which two of its layers were shown or hidden.
        QtCore.QTimer.singleShot(500, self._quit)

    def _quit(self):
        try:
            self.h.close_all()
        except BaseException:
            self.h.exception("closing documents", *sys.exc_info())
            self.h.save()
        action = self.h.krita.action("file_quit")
        if action is not None:
            action.trigger()
        # Where a dialog or a lost window kept the action from quitting.
        QtCore.QTimer.singleShot(5000, QtWidgets.QApplication.instance().quit)
