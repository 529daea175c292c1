"""The window with what concerns the backend: its state, another machine, its memory, its log."""

from __future__ import annotations

from collections.abc import Sequence

from ..qt import QtCore, QtWidgets
from ..remote import Remote
from ..translation import tr
from . import fields
from .parts import Note

SIZE = (460, 520)
MOST_MINUTES = 24 * 60
REFRESH_MS = 1500
EchoMode = QtWidgets.QLineEdit.EchoMode


class BackendView(QtWidgets.QDialog):
    """It decides nothing; each signal is something that the person wants."""

    started = QtCore.pyqtSignal()
    stopped = QtCore.pyqtSignal()
    unloaded = QtCore.pyqtSignal()
    connected = QtCore.pyqtSignal(object)
    """A `Remote` to connect to."""
    idle_set = QtCore.pyqtSignal(int)
    """Minutes."""
    saving_set = QtCore.pyqtSignal(bool)
    """Whether to save the memory of the graphics card."""
    log_wanted = QtCore.pyqtSignal()
    diagnosed = QtCore.pyqtSignal()

    def __init__(self, parent) -> None:
        super().__init__(parent)
        self.setObjectName("backend_view")
        self.setWindowTitle(tr("Backend"))
        self.resize(*SIZE)
        self.state = Note("backend_state")
        self.start = _button("backend_start", tr("Start"), self.started)
        self.stop = _button("backend_stop", tr("Stop"), self.stopped)
        self.unload = _button("backend_unload", tr("Unload models"), self.unloaded)
        self.unload.setToolTip(tr("Gives their memory back; the next picture loads what it needs."))
        self.idle = fields.whole("backend_idle", 0, MOST_MINUTES, tr("0 never unloads. It holds from the next start."))
        self.idle.setSuffix(" min")
        self.idle.valueChanged.connect(self.idle_set)
        self.saving = QtWidgets.QCheckBox(tr("Save graphics memory (slower)"))
        self.saving.setObjectName("backend_saving")
        self.saving.setToolTip(tr("For when other programs need the graphics card too. It holds from the next start."))
        self.saving.toggled.connect(self.saving_set)
        column = QtWidgets.QVBoxLayout(self)
        column.addWidget(self.state)
        column.addWidget(fields.row(self.start, self.stop, self.unload))
        column.addWidget(self._make_own())
        column.addWidget(self._make_remote())
        column.addWidget(self._make_log(), 1)
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self.log_wanted)

    def show_state(self, words: str, is_ready: bool, is_resting: bool) -> None:
        """Show the connection's state, and offer what makes sense in it."""
        self.state.say(words)
        self.start.setEnabled(is_resting)
        self.stop.setEnabled(not is_resting)
        self.unload.setEnabled(is_ready)

    def show_remote(self, remote: Remote) -> None:
        """Fill in another machine."""
        self.elsewhere.setChecked(bool(remote.address))
        self.address.setText(remote.address)
        self.token.setText(remote.token)
        self.encrypted.setChecked(remote.encrypted)
        self.certificate.setText(remote.certificate)

    def remote(self) -> Remote:
        """What is filled in; without an address while the backend of this machine is wanted."""
        address = self.address.text().strip() if self.elsewhere.isChecked() else ""
        return Remote(address, self.token.text().strip(), self.encrypted.isChecked(), self.certificate.text().strip())

    def show_log(self, lines: Sequence[str]) -> None:
        """Show the end of the log; it stays at its end while nobody scrolls."""
        text = "\n".join(lines)
        if text != self.log.toPlainText():
            bar = self.log.verticalScrollBar()
            was_at_end, place = bar.value() == bar.maximum(), bar.value()
            self.log.setPlainText(text)
            bar.setValue(bar.maximum() if was_at_end else place)

    def showEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """Follow the log while it is seen."""
        super().showEvent(event)
        self.log_wanted.emit()
        self._timer.start()

    def hideEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """Leave the log alone."""
        super().hideEvent(event)
        self._timer.stop()

    def _make_own(self):
        holder = QtWidgets.QWidget()
        fields.grid(holder, [(tr("Unload after"), self.idle), ("", self.saving)])
        return holder

    def _make_remote(self):
        self.elsewhere = QtWidgets.QGroupBox(tr("Use a backend on another machine"))
        self.elsewhere.setObjectName("backend_elsewhere")
        self.elsewhere.setCheckable(True)
        self.address = _line("backend_address", tr("name:port"))
        self.token = _line("backend_token", tr("What the token file there holds"))
        self.token.setEchoMode(EchoMode.Password)
        self.encrypted = QtWidgets.QCheckBox(tr("Encrypted (TLS)"))
        self.encrypted.setObjectName("backend_encrypted")
        self.certificate = _line("backend_certificate", tr("Only for a certificate of your own"))
        browse = QtWidgets.QToolButton()
        browse.setText("…")
        browse.setToolTip(tr("Choose a file"))
        browse.clicked.connect(lambda: self._browse())
        trusted = fields.row(self.certificate, browse, stretch=self.certificate)
        self.encrypted.toggled.connect(trusted.setEnabled)
        connect = QtWidgets.QPushButton(tr("Connect"))
        connect.setObjectName("backend_connect")
        connect.setAutoDefault(False)
        connect.clicked.connect(lambda: self.connected.emit(self.remote()))
        # Without the tick there is nothing to press below it, and the person wants this machine again.
        self.elsewhere.clicked.connect(lambda on: None if on else self.connected.emit(self.remote()))
        table = QtWidgets.QWidget()
        fields.grid(table, [
            (tr("Address"), self.address), (tr("Token"), self.token), ("", self.encrypted),
            (tr("Certificate"), trusted), ("", connect),
        ])  # fmt: skip
        QtWidgets.QVBoxLayout(self.elsewhere).addWidget(table)
        return self.elsewhere

    def _make_log(self):
        holder = QtWidgets.QWidget()
        self.log = QtWidgets.QPlainTextEdit()
        self.log.setObjectName("backend_log")
        self.log.setReadOnly(True)
        self.log.setLineWrapMode(QtWidgets.QPlainTextEdit.LineWrapMode.NoWrap)
        copy = _button("backend_diagnostics", tr("Copy diagnostics"), self.diagnosed)
        copy.setToolTip(tr("Versions, device, settings without prompts and secrets, last errors and the log."))
        column = QtWidgets.QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(QtWidgets.QLabel(tr("Log")))
        column.addWidget(self.log, 1)
        column.addWidget(copy)
        return holder

    def _browse(self) -> None:
        name, _ = QtWidgets.QFileDialog.getOpenFileName(self, tr("Certificate"), "", "PEM (*.pem *.crt *.cer)")
        if name:
            self.certificate.setText(name)


def _line(name: str, hint: str):
    field = QtWidgets.QLineEdit()
    field.setObjectName(name)
    field.setPlaceholderText(hint)
    return field


def _button(name: str, words: str, signal):
    button = QtWidgets.QPushButton(words)
    button.setObjectName(name)
    button.setAutoDefault(False)
    button.clicked.connect(lambda: signal.emit())
    return button
