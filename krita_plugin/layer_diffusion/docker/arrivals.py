"""What becomes of results that came: layers of their document, or kept until there is one for them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from .. import canvas
from ..cards import Card
from ..jobs import Job, Stage
from ..kept import Shelf
from ..notices import Notice
from ..pixels import Picture
from ..protocol.request import Operation
from ..qt import QtCore
from ..session import Session
from ..translation import mark, tr
from .background import Farewell
from .results_control import Results

RETRY_MS = 150
CLOSED = Notice(mark("The document was closed; the result is kept."), mark("Open a document and press Insert."))
NOT_WRITTEN = mark("The result is kept only until Krita is closed, since it could not be written to the disk")


@functools.cache
def shelf() -> Shelf:
    """Return the one shelf of kept results."""
    return Shelf(canvas.data_folder() / "kept")


@functools.cache
def restored() -> tuple[list[Job], list[Path]]:
    """Return what `Shelf.jobs` found when this Krita started; the first window of it takes them."""
    return shelf().jobs()


class Arrivals(QtCore.QObject):
    """One for each docker."""

    def __init__(self, session: Session, results: Results) -> None:
        super().__init__(results)
        self._session = session
        self._results = results
        self._is_inserting = False
        self._farewell = Farewell(self)
        # Each on a turn of its own: history, session and document all take some milliseconds for a result.
        self._taken: list[tuple[str, tuple[Picture, ...]]] = []
        self._telling = self._timer(self._tell)
        self._trying = self._timer(self.insert)

    def _timer(self, slot):
        timer = QtCore.QTimer(self)
        timer.setSingleShot(True)
        timer.timeout.connect(slot)
        return timer

    def take(self, job_id: str, ready: tuple[Sequence[Picture], Sequence[Card]]) -> None:
        """Take what `Results.prepare` made of a job's result."""
        pictures, cards = ready
        job = self._session.jobs.get(job_id)
        if job is not None and job.unfinished and job.stage is not Stage.CANCELLING and canvas.is_open(job.document):
            self._results.add(job.document, cards)
            if job.request.operation is Operation.REBLEND and job.document == canvas.active_document():
                self._results.show_newest()
        self._taken.append((job_id, tuple(pictures)))
        self._telling.start(0)

    def _tell(self) -> None:
        self._session.arrived(*self._taken.pop(0))
        if self._taken:
            self._telling.start(0)
        self._trying.start(0)

    def insert(self) -> None:
        """Put what arrived into its documents, as far as Krita is idle; try again soon with what is left."""
        if self._is_inserting:
            return
        # Krita handles events while it renders, among them the arrival of the next result.
        self._is_inserting = True
        try:
            for job in self._session.at(Stage.ARRIVED):
                self._insert(job)
        finally:
            self._is_inserting = False
        if self._session.at(Stage.ARRIVED):
            self._trying.start(RETRY_MS)

    def insert_kept(self) -> None:
        """Put the oldest kept result into the document in front."""
        document = canvas.active_document()
        for job in self._session.at(Stage.KEPT)[:1]:
            if document is None:
                self._session.report(Notice(tr("No document is open."), tr("Create or open one, then press Insert.")))
                return
            self._session.release(job, document, job.area.inside(document.width(), document.height()))
            self.insert()

    def discard_kept(self) -> None:
        """Forget the oldest kept result."""
        for job in self._session.at(Stage.KEPT)[:1]:
            self._session.discard(job)
            shelf().remove(job.id)

    def restore(self) -> None:
        """Offer again what an earlier Krita kept."""
        jobs, damaged = restored()
        while jobs:
            self._session.restore(jobs.pop(0), CLOSED)
        if damaged:
            folder = damaged.pop().parent
            hint = tr("Generate it again; the damaged file stays in {folder}.", folder=folder)
            self._session.report(Notice(tr("A kept result is damaged and cannot be read."), hint))

    def _insert(self, job: Job) -> None:
        if not canvas.is_open(job.document):
            self._keep(job, CLOSED)
        elif (job.request.operation is Operation.REBLEND or not self._results.applies) and job.kept_because is None:
            self._session.inserted(job)  # into the history, which is enough
        elif canvas.is_idle(job.document):
            try:
                canvas.insert(
                    job.document, job.name, job.pictures, job.area, canvas.Place(job.place), job.source
                )
            except Exception as error:  # whatever it is, the result is not lost
                self._keep(job, Notice.of_any(error))
            else:
                self._farewell.take(job.pictures)
                self._session.inserted(job)
                shelf().remove(job.id)

    def _keep(self, job: Job, why: Notice) -> None:
        try:
            shelf().put(job)
        except OSError as error:
            reason = error.strerror or error
            self._session.report(Notice(f"{tr(NOT_WRITTEN)}: {reason}.", tr("Insert it before you close Krita.")))
        self._session.keep(job, why)
