"""Connects the window of the backend with the process, the connection and the file that remembers another machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from .. import canvas, diagnostics
from ..backend_process import Address, BackendProcess
from ..link import Link
from ..notices import Notice, Trouble
from ..protocol.messages import Diagnose, Diagnostics, Message, Unload, Unloaded, Welcome
from ..qt import QtCore, QtWidgets
from ..remote import Remote, load, save
from ..session import LinkState, Session
from ..settings import Settings
from ..translation import tr
from .backend_view import BackendView
from .faults import faults

IDLE, SAVING = "idle_minutes", "save_memory"
YES = "yes"


class Backend(QtCore.QObject):
    """One for each docker; `process` is that of this machine, `settings` returns what the fields say."""

    def __init__(
        self, view: BackendView, process: BackendProcess, file: Path, settings: Callable[[], Settings]
    ) -> None:
        super().__init__(view)
        self._view, self._process, self._file, self._settings = view, process, file, settings
        self._remote = load(file)
        self._is_copying = False
        minutes = canvas.read_setting(IDLE, "")
        if minutes.isdecimal():
            process.idle_minutes = int(minutes)
        process.save_memory = canvas.read_setting(SAVING, "") == YES
        view.show_remote(self._remote)
        view.idle.setValue(process.idle_minutes)
        view.saving.setChecked(process.save_memory)
        view.idle_set.connect(self._set_idle)
        view.saving_set.connect(self._set_saving)
        view.log_wanted.connect(self._show_log)
        view.diagnosed.connect(self.diagnose)

    def attach(self, link: Link, session: Session) -> None:
        """Begin, with the connection and the session of the docker."""
        self._link, self._session = link, session
        link.received.connect(self._received)
        link.changed.connect(lambda *_: self._show_state())
        self._view.started.connect(link.start)
        self._view.stopped.connect(self._rest)
        self._view.unloaded.connect(lambda: link.send(Unload()))
        self._view.connected.connect(self._connect)
        self._show_state()

    @property
    def place(self) -> str:
        """Which other machine is used, and whether others can listen in; "" for this one."""
        address = self._remote.address
        if not address:
            return ""
        if self._remote.encrypted:
            return tr("{address}, encrypted", address=address)
        return tr("{address}, not encrypted", address=address)

    @property
    def is_remote(self) -> bool:
        """Whether the backend of another machine is used."""
        return bool(self._remote.address)

    def locate(self) -> Address:
        """Return where the backend listens, and start that of this machine; on the network thread."""
        return self._remote.reach() if self._remote.address else self._process.address()

    def open(self, elsewhere: bool = False) -> None:
        """Show the window, ready to be told of another machine."""
        self._view.show()
        self._view.raise_()
        if elsewhere:
            self._view.elsewhere.setChecked(True)
            self._view.address.setFocus()

    def _rest(self) -> None:
        self._link.rest()
        if not self._remote.address:
            self._process.rest()

    def _connect(self, remote: Remote) -> None:
        try:
            if remote.address:
                remote.reach()
            save(self._file, remote if remote.address else dataclasses.replace(self._remote, address=""))
        except Trouble as error:
            self._session.report(error.notice)
        except OSError as error:
            words = tr("{file} could not be written: {reason}.", file=self._file.name, reason=error.strerror or error)
            self._session.report(Notice(words, tr("The address is forgotten when Krita ends.")))
        else:
            self._session.dismiss()
        self._remote = remote
        self._link.reconnect()

    def _set_idle(self, minutes: int) -> None:
        self._process.idle_minutes = minutes
        canvas.write_setting(IDLE, str(minutes))

    def _set_saving(self, save: bool) -> None:
        self._process.save_memory = save
        canvas.write_setting(SAVING, YES if save else "")

    def _received(self, message: Message) -> None:
        if isinstance(message, Welcome):
            self._show_state()
        elif isinstance(message, Unloaded):
            self._view.state.say(tr("The models' memory is free."))
        elif isinstance(message, Diagnostics):
            self._view.show_log(message.log)
            if self._is_copying:
                self._copy(message)

    def _show_state(self) -> None:
        link = self._session.link
        where = self._remote.address or tr("This machine")
        is_resting = link in (LinkState.IDLE, LinkState.FAILED, LinkState.REPLACED)
        self._view.show_state(f"{where}: {tr(link.value)}", link is LinkState.READY, is_resting)

    def _show_log(self) -> None:
        if not self._remote.address:
            self._view.show_log(diagnostics.last_lines(self._process.log))
        elif self._session.link is LinkState.READY:
            self._link.send(Diagnose())

    def diagnose(self) -> None:
        """Copy the diagnostics, and say so in the window."""
        self._is_copying = True
        if self._session.link is LinkState.READY:
            self._link.send(Diagnose())
        else:
            self._copy(None)

    def _copy(self, told: Diagnostics | None) -> None:
        self._is_copying = False
        log = [] if self._remote.address else diagnostics.last_lines(self._process.log)
        krita, qt = canvas.version(), QtCore.QT_VERSION_STR
        text = diagnostics.text(krita, qt, self._settings(), self._session, faults().last, told, log)
        QtWidgets.QApplication.clipboard().setText(text)
        self._view.state.say(tr("The diagnostics are in the clipboard."))
