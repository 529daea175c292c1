"""Work that would make Krita wait, done on a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..qt import QtCore


class Background(QtCore.QObject):
    """Runs one function after the other beside the GUI and hands on what each returns, on the GUI thread."""

    _ended = QtCore.pyqtSignal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self._ended.connect(lambda then, outcome: then(outcome))
        self._lock = threading.Lock()

    def do(self, work: Callable[[], object], then: Callable, failed: Callable[[Exception], None]) -> None:
        """Call `then` with what `work` returned, or `failed` with the `OSError` or `ValueError` that it raised."""
        threading.Thread(target=self._run, args=(work, then, failed), daemon=True).start()

    def stop(self) -> None:
        """Hand on nothing more: the widgets may be gone."""
        self._ended.disconnect()

    def _run(self, work, then, failed) -> None:
        with self._lock:  # two at once would only take the time from each other
            try:
                then, outcome = then, work()
            except (OSError, ValueError) as error:
                then, outcome = failed, error
        self._ended.emit(then, outcome)
