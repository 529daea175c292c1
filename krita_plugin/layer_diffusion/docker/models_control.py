"""Connects the window of the models with the backend, which downloads on while no window or docker is there."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from ..notices import Notice
from ..protocol.errors import ErrorCode, LayerDiffusionError
from ..protocol.library import Download, Work
from ..protocol.messages import (
    CancelInstall,
    Files,
    Install,
    Installed,
    Installing,
    ListFiles,
    Message,
    PauseInstall,
    RemoveFiles,
    ResumeInstall,
    ScanFiles,
    VerifyFiles,
    Welcome,
)
from ..qt import QtCore
from ..translation import tr
from .models import ModelsView
from .models_words import OUTCOMES, first_bundle, work_text


class First(Enum):
    """How far the first start is."""

    ASKED = auto()
    SEARCHING = auto()
    SEARCHED = auto()


class Models(QtCore.QObject):
    """One for each docker; `send` takes messages to the backend, `report` shows a notice, `start` connects; `is_remote`
    says whether the backend is another machine's."""

    said = QtCore.pyqtSignal(str)
    """What the docker says of the installation while the window is closed; "" when there is nothing to say."""

    def __init__(
        self, view: ModelsView, send: Callable[[Message], None], report: Callable[[Notice], None],
        start: Callable[[], None], is_remote: Callable[[], bool],
    ) -> None:  # fmt: skip
        super().__init__(view)
        self._view, self._send, self._report, self._start, self._is_remote = view, send, report, start, is_remote
        self._first: First | None = None
        self._waiting = ""
        self._work: Work | None = None
        view.installed.connect(lambda name: send(Install((name,))))
        view.verified.connect(lambda name: send(VerifyFiles((name,) if name else ())))
        view.scanned.connect(lambda folder: send(ScanFiles(folder)))
        view.removed.connect(lambda name: send(RemoveFiles((name,))))
        view.paused.connect(lambda paused: send(PauseInstall() if paused else ResumeInstall()))
        view.cancelled.connect(lambda: send(CancelInstall()))

    def open(self, is_first: bool = False) -> None:
        """Show the window with what waits to be gone on with.

        At the first start the bundle that a first layer of SDXL needs is chosen, after a search in other programs.
        """
        self._first = First.ASKED if is_first else None
        self._start()
        self._send(ListFiles())
        self._view.show()
        self._view.raise_()
        if not is_first:
            self._view.choose(self._waiting)

    def received(self, message: Message) -> None:
        """Take a message of the server."""
        if isinstance(message, Welcome):
            self._send(ListFiles())
        elif isinstance(message, Files):
            self._view.show_files(message.bundles, message.files, message.models)
            self._view.scan_folder.setVisible(not self._is_remote())
            self._show(message.download)
            if self._first is not None and message.download is None:
                self._begin(message)
            self._waiting = next(iter(message.waiting), "")
            if self._waiting:
                self.said.emit(tr("A model has not come whole; “…” goes on with it."))
        elif isinstance(message, Installing):
            self._show(message.download)
        elif isinstance(message, Installed):
            self._show(None)
            self._tell(message.error)
            if self._first is First.SEARCHING:
                self._first = First.SEARCHED
            self._send(ListFiles())

    def _begin(self, files: Files) -> None:
        """At the first start: search what other programs have, then choose what is missing."""
        if self._first is First.ASKED:
            self._first = First.SEARCHING
            self._send(ScanFiles(""))
        elif self._first is First.SEARCHED:
            self._first = None
            self._view.choose(first_bundle(files))

    def _tell(self, error: LayerDiffusionError | None) -> None:
        """Say how the work ended; an error in the docker too, because the window may be closed."""
        if error is None:
            self._view.outcome.say(tr(OUTCOMES[self._work]) if self._work in OUTCOMES else "")
        elif error.code is not ErrorCode.CANCELLED_BY_USER:
            self._view.outcome.say(str(Notice.of(error)))
            self._report(Notice.of(error))

    def _show(self, download: Download | None) -> None:
        if download is not None:
            self._work = download.work
        self._view.show_download(download)
        self.said.emit("" if download is None else work_text(download))
