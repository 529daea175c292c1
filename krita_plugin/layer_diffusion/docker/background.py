"""What would make Krita wait: work is done on a thread, memory is given back in turns."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable

from ..qt import QtCore


class Background(QtCore.QObject):
    """Runs one function after the other beside the GUI and hands on what each returns, on the GUI thread.

    Attributes:
        unfinished: how many of them have not handed on anything yet.
    """

    _ended = QtCore.pyqtSignal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self.unfinished = 0
        self._ended.connect(self._hand_on)
        self._waiting: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=self._run, name="layer-diffusion-work", daemon=True).start()

    def do(self, work: Callable[[], object], then: Callable, failed: Callable) -> None:
        """Call `then` with what `work` returned, or `failed` with the exception that it raised."""
        self.unfinished += 1
        self._waiting.put((work, then, failed))

    def stop(self) -> None:
        """Hand on nothing more: the widgets may be gone."""
        self._ended.disconnect()
        self._waiting.put(None)

    def _hand_on(self, then: Callable, outcome: object) -> None:
        self.unfinished -= 1
        then(outcome)

    def _run(self) -> None:
        while (task := self._waiting.get()) is not None:
            work, then, failed = task
            try:
                then, outcome = then, work()
            except Exception as error:  # whatever it is, the next task must have its turn
                then, outcome = failed, error
            self._ended.emit(then, outcome)
            task = work = then = failed = outcome = None  # the pixels would stay until the next task


class Farewell(QtCore.QObject):
    """Lets go of large things one by one, each on a turn of its own: to give 64 MB back takes milliseconds."""

    def __init__(self, parent) -> None:
        super().__init__(parent)
        self._things: list[object] = []
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._next)

    def take(self, things: Iterable[object]) -> None:
        """Hold things for the last time; nobody else should, from the next turn on."""
        self._things.extend(things)
        self._timer.start()

    def _next(self) -> None:
        if self._things:
            self._things.pop()
        else:
            self._timer.stop()
