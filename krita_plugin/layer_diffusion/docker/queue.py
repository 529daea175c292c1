"""The queue: how many jobs there are, where the next one goes, and a list to move and cancel them."""

from __future__ import annotations

from collections.abc import Sequence

from ..jobs import Job, Order, Stage
from ..qt import QtCore, QtWidgets
from ..translation import mark, tr
from . import fields
from .parts import Lines

ORDERS = {
    Order.LAST: mark("at the end"),
    Order.FIRST: mark("first"),
    Order.INSTEAD: mark("instead of all others"),
}
TIPS = {
    Order.LAST: mark("The next job runs after all others."),
    Order.FIRST: mark("The next job runs before all others that wait."),
    Order.INSTEAD: mark("All other jobs are cancelled when the next one is asked for."),
}
POPUP = (280, 220)


class QueueView(QtWidgets.QWidget):
    """One line that is always there, so that nothing moves under the mouse; the list of jobs is a popup."""

    cancelled = QtCore.pyqtSignal(str)
    """Id of a job."""
    moved_first = QtCore.pyqtSignal(str)
    """Id of a job that waits."""
    cancelled_all = QtCore.pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("queue_view")
        self.order_box = fields.Box("queue_order")
        for index, (order, words) in enumerate(ORDERS.items()):
            self.order_box.addItem(tr(words), order)
            self.order_box.setItemData(index, tr(TIPS[order]), QtCore.Qt.ItemDataRole.ToolTipRole)
        self.order_box.fit(*map(tr, ORDERS.values()))
        self.order_box.currentIndexChanged.connect(lambda *_: self._explain())
        self.button = QtWidgets.QToolButton()
        self.button.setObjectName("queue")
        self.button.setToolTip(tr("The jobs that are going on and wait."))
        self.button.clicked.connect(lambda: self.popup.open_at(self.button))
        self.popup = _Jobs(self)
        line = fields.row(self.order_box, self.button, stretch=self.order_box)
        fields.grid(self, [(tr("New jobs"), line)])
        self.setContentsMargins(fields.SPACE, 0, fields.RIGHT, 4)
        self._explain()
        self.show_jobs(())

    @property
    def order(self) -> Order:
        """Where the next job goes."""
        return self.order_box.currentData()

    def show_jobs(self, jobs: Sequence[Job]) -> None:
        """Show the unfinished jobs, in the order in which they run."""
        self.button.setText(tr("Queue: {count}", count=len(jobs)))
        self.button.setEnabled(bool(jobs))
        self.popup.show_jobs(jobs)

    def _explain(self) -> None:
        self.order_box.setToolTip(tr(TIPS[self.order]))


class _Jobs(QtWidgets.QFrame):
    """The list of jobs."""

    def __init__(self, queue: QueueView) -> None:
        super().__init__(queue, QtCore.Qt.WindowType.Popup)
        self.setObjectName("queue_popup")
        self.setFrameShape(QtWidgets.QFrame.Shape.StyledPanel)
        self._queue = queue
        self._rows: dict[str, _Row] = {}
        self.cancel_all = QtWidgets.QPushButton(tr("Cancel all"))
        self.cancel_all.setObjectName("queue_cancel_all")
        self.cancel_all.clicked.connect(lambda: queue.cancelled_all.emit())
        inner = QtWidgets.QWidget()
        self._column = QtWidgets.QVBoxLayout(inner)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        self._column.addStretch(1)
        scroll = QtWidgets.QScrollArea()
        scroll.setWidget(inner)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.addWidget(scroll, 1)
        column.addWidget(self.cancel_all)
        self.resize(*POPUP)

    def open_at(self, widget) -> None:
        """Show the list above a widget, inside of the window."""
        corner = widget.mapToGlobal(QtCore.QPoint(widget.width() - self.width(), -self.height() - 2))
        room = widget.window().geometry()
        self.move(max(room.left(), corner.x()), max(room.top(), corner.y()))
        self.show()

    def show_jobs(self, jobs: Sequence[Job]) -> None:
        """Show the jobs; the list closes with the last one."""
        for gone in self._rows.keys() - {job.id for job in jobs}:
            row = self._rows.pop(gone)
            self._column.removeWidget(row)
            row.deleteLater()
        waiting = [job for job in jobs if job.stage is Stage.WAITING]
        for place, job in enumerate(jobs):
            if job.id not in self._rows:
                self._rows[job.id] = _Row(job, self._queue)
            row = self._rows[job.id]
            if self._column.indexOf(row) != place:
                self._column.insertWidget(place, row)
            row.show_job(job, place, can_be_first=job in waiting[1:])
        self.cancel_all.setEnabled(any(job.stage is not Stage.CANCELLING for job in jobs))
        if not jobs:
            self.hide()


class _Row(QtWidgets.QWidget):
    """One job: its place, its prompt, what is happening to it, and its buttons."""

    def __init__(self, job: Job, queue: QueueView) -> None:
        super().__init__()
        self.setObjectName(f"queue_{job.id}")
        self.number = QtWidgets.QLabel()
        self.number.setFixedWidth(self.fontMetrics().horizontalAdvance("00."))
        self.words = Lines("queue_words")
        self.first = self._button("queue_first", "↑", tr("Run it before all others that wait."))
        self.first.clicked.connect(lambda: queue.moved_first.emit(job.id))
        self.cancel = self._button("queue_cancel", "×", tr("Cancel this job."))
        self.cancel.clicked.connect(lambda: queue.cancelled.emit(job.id))
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.number)
        row.addWidget(self.words, 1)
        row.addWidget(self.first)
        row.addWidget(self.cancel)

    def show_job(self, job: Job, place: int, can_be_first: bool) -> None:
        """Show its state and its place in the queue, from 0."""
        self.number.setText(f"{place + 1}.")
        self.words.setText(f"{job.name}\n{job.text()}")
        self.words.setToolTip(job.request.prompt)
        self.first.setEnabled(can_be_first)
        self.cancel.setEnabled(job.stage is not Stage.CANCELLING)

    @staticmethod
    def _button(name: str, text: str, tip: str):
        button = QtWidgets.QToolButton()
        button.setObjectName(name)
        button.setText(text)
        button.setToolTip(tip)
        button.setAutoRaise(True)
        return button
