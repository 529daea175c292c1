"""Connects the panel, the session, the network thread and the canvas."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .. import canvas
from ..backend_process import BackendProcess
from ..geometry import request_size
from ..jobs import Job, Stage
from ..kept import Shelf
from ..link import Link
from ..notices import Notice, Trouble
from ..pixels import pictures
from ..protocol.errors import LayerDiffusionError
from ..protocol.job import LayerSet
from ..protocol.limits import MAX_SEED
from ..protocol.request import Operation, Request
from ..qt import QtCore, QtWidgets
from ..session import LinkState, Session
from ..settings import Settings, SizeMode
from .panel import Panel

LOOK_MS = 400
"""Krita does not tell when the selection or the active document changes; looking costs microseconds."""
RETRY_MS = 150
SAVE_MS = 1000
START_MS = 500

CLOSED = Notice("The document was closed; the result is kept.", "Open a document and press Insert.")
NOT_WRITTEN = "The result is kept only until Krita is closed, since it could not be written to the disk"


@functools.cache
def backend() -> BackendProcess:
    """Return the one backend of this Krita, which all its windows share."""
    return BackendProcess(canvas.data_folder() / "backend.log")


@functools.cache
def shelf() -> Shelf:
    """Return the one shelf of kept results."""
    return Shelf(canvas.data_folder() / "kept")


@functools.cache
def restored() -> tuple[list[Job], list[Path]]:
    """Return what `Shelf.jobs` found when this Krita started; the first window of it takes them."""
    return shelf().jobs()


class Controller(QtCore.QObject):
    """One for each docker."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self._panel = panel
        self._models: tuple = ()
        self._fields = Settings.from_text(canvas.read_setting("fields", ""))
        self._link = Link(self._locate, self._prepare, f"Krita {canvas.version()}", secrets.token_hex(16))
        self.session = Session(self._link.send, self._changed)
        self._link.changed.connect(self.session.connection)
        self._link.received.connect(self.session.received)
        self._link.arrived.connect(self._arrived)
        self._is_inserting = False
        self._looking = self._timer(LOOK_MS, self.look, single=False)
        self._inserting = self._timer(RETRY_MS, self._insert_arrived)
        self._saving = self._timer(SAVE_MS, self._save)
        self._starting = self._timer(START_MS, self._link.start)
        self._starting.timeout.connect(self._restore)
        panel.show_settings(self._fields)
        panel.shown.connect(self._shown)
        panel.edited.connect(self._edited)
        panel.prompt.submitted.connect(self.generate)
        panel.generate.clicked.connect(lambda: self.generate())
        panel.cancel.clicked.connect(lambda: self.cancel())
        panel.cancel_all.triggered.connect(lambda: self.session.cancel_all())
        panel.error.acted.connect(self._copy_error)
        panel.error.closed.connect(self.session.dismiss)
        panel.kept.acted.connect(self.insert_kept)
        panel.kept.closed.connect(self.discard_kept)
        # The widgets are gone before Krita says that it closes, and with them this object; its parts are not.
        panel.destroyed.connect(functools.partial(_close, self._link, self._save))
        canvas.on_closing(backend().stop)
        self._changed()

    def _timer(self, interval: int, slot, single: bool = True):
        timer = QtCore.QTimer(self)
        timer.setInterval(interval)
        timer.setSingleShot(single)
        timer.timeout.connect(slot)
        return timer

    # What the person does

    def generate(self) -> None:
        """Ask for what the fields say; whatever is wrong with them is said in the error line."""
        if self._panel.seed.die.isChecked():
            self._panel.seed.show_seed(secrets.randbelow(MAX_SEED + 1), True)
        self._read_fields()
        settings = self._fields
        self._link.start()
        try:
            document = canvas.active_document()
            if document is None:
                raise Trouble("No document is open.", "Create or open one, then press Generate.")
            if not settings.prompt.strip():
                raise Trouble("The prompt is empty.", "Type what should appear, for example: a red apple.")
            area = canvas.area_of(document, settings.size_mode, settings.width, settings.height)
            width, height = request_size(area.width, area.height)
            request = Request(
                operation=Operation.OBJECT,
                model=settings.model or "builtin",
                prompt=settings.prompt,
                negative=settings.negative,
                width=width,
                height=height,
                steps=settings.steps,
                cfg=settings.cfg,
                seed=settings.seed,
                batch=settings.batch,
            )
        except Trouble as error:
            self.session.report(error.notice)
        except LayerDiffusionError as error:
            self.session.report(Notice.of(error))
        except ValueError as error:
            self.session.report(Notice(str(error), "Choose another area or size."))
        else:
            self.session.generate(request, document, area)
            self._save()

    def cancel(self) -> None:
        """Stop the oldest job; the next one goes on."""
        going = [job for job in self.session.unfinished if job.stage is not Stage.CANCELLING]
        if going:
            self.session.cancel(going[0])

    def insert_kept(self) -> None:
        """Put the oldest kept result into the document in front."""
        document = canvas.active_document()
        for job in self.session.at(Stage.KEPT)[:1]:
            if document is None:
                self.session.report(Notice("No document is open.", "Create or open one, then press Insert."))
                return
            self.session.release(job, document, job.area.inside(document.width(), document.height()))
            self._insert_arrived()

    def discard_kept(self) -> None:
        """Forget the oldest kept result."""
        for job in self.session.at(Stage.KEPT)[:1]:
            self.session.discard(job)
            shelf().remove(job.id)

    def look(self) -> None:
        """Say which size the result will have, as document and selection are now."""
        self._panel.size_note.say(self._size_text(self._fields))

    def _size_text(self, settings: Settings) -> str:
        document = canvas.active_document()
        if document is None:
            return "No document is open"
        try:
            area = canvas.area_of(document, settings.size_mode, settings.width, settings.height)
            width, height = request_size(area.width, area.height)
        except Trouble as error:
            return error.notice.message
        except ValueError as error:
            return str(error)
        if (width, height) != (area.width, area.height):
            return f"{area.width} × {area.height} px, made at {width} × {height}"
        return "" if settings.size_mode is SizeMode.OWN else f"{width} × {height} px"

    # The connection's thread calls these two

    def _locate(self):
        return backend().address()

    def _prepare(self, job_id: str, layer_set: LayerSet):
        job = self.session.jobs.get(job_id)
        return pictures(layer_set, job.area) if job else ()

    # Results

    def _arrived(self, job_id: str, ready) -> None:
        self.session.arrived(job_id, ready)
        self._insert_arrived()

    def _insert_arrived(self) -> None:
        if self._is_inserting:
            return
        # Krita handles events while it renders, among them the arrival of the next result.
        self._is_inserting = True
        try:
            for job in self.session.at(Stage.ARRIVED):
                self._insert(job)
        finally:
            self._is_inserting = False
        if self.session.at(Stage.ARRIVED):
            self._inserting.start()

    def _insert(self, job: Job) -> None:
        if not canvas.is_open(job.document):
            self._keep(job, CLOSED)
        elif canvas.is_idle(job.document):
            try:
                canvas.insert(job.document, job.name, job.pictures)
            except Trouble as error:
                self._keep(job, error.notice)
            else:
                self.session.inserted(job)
                shelf().remove(job.id)

    def _keep(self, job: Job, why: Notice) -> None:
        try:
            shelf().put(job)
        except OSError as error:
            reason = error.strerror or error
            self.session.report(Notice(f"{NOT_WRITTEN}: {reason}.", "Insert it before you close Krita."))
        self.session.keep(job, why)

    def _restore(self) -> None:
        jobs, damaged = restored()
        while jobs:
            self.session.restore(jobs.pop(0), CLOSED)
        if damaged:
            folder = damaged.pop().parent
            hint = f"Generate it again; the damaged file stays in {folder}."
            self.session.report(Notice("A kept result is damaged and cannot be read.", hint))

    # The panel

    def _shown(self) -> None:
        self._looking.start()
        self._starting.start()
        self.look()

    def _edited(self) -> None:
        self._read_fields()
        self._saving.start()
        self._show_model()
        self.look()

    def _read_fields(self) -> None:
        fields = self._panel.settings()
        # Before the models are known the field is empty, and the choice of last time stands.
        self._fields = replace(fields, model=fields.model or self._fields.model)

    def _changed(self) -> None:
        session, panel = self.session, self._panel
        if session.models != self._models:
            self._models = session.models
            panel.show_models(session.models, self._fields.model)
            self._show_model()
        unfinished = session.unfinished
        panel.show_cancel(sum(job.stage is not Stage.CANCELLING for job in unfinished))
        jobs = unfinished or session.at(Stage.ARRIVED)
        if jobs:
            words = jobs[0].text() if session.link is LinkState.READY else session.link.value
            more = f" · {len(jobs) - 1} more" if len(jobs) > 1 else ""
            panel.show_progress(words + more, jobs[0].fraction)
        else:
            panel.show_status(session.link.value)
        panel.kept.say(_kept_text(session.at(Stage.KEPT)))
        panel.error.say(str(session.notice or ""))

    def _show_model(self) -> None:
        chosen = self._panel.model.currentData()
        self._panel.show_model(next((model for model in self._models if model.id == chosen), None))

    def _copy_error(self) -> None:
        QtWidgets.QApplication.clipboard().setText(self._panel.error.label.text())

    def _save(self) -> None:
        canvas.write_setting("fields", self._fields.to_text())


def _close(link: Link, save: Callable[[], None], _panel=None) -> None:
    save()
    link.stop()


def _kept_text(jobs: list[Job]) -> str:
    if not jobs:
        return ""
    more = f" ({len(jobs) - 1} more after it.)" if len(jobs) > 1 else ""
    return f"“{jobs[0].name}”: {jobs[0].kept_because}{more}"
