"""The operation selector."""

from __future__ import annotations

from ..operations import BY_ID, TASKS, Task, why_not
from ..protocol.job import ModelInfo
from ..qt import QtCore, QtGui
from ..translation import tr
from .fields import Box

Data = QtCore.Qt.ItemDataRole


class OperationSelector(Box):
    """All operations; those that the model cannot do are disabled and say why in their tooltip."""

    def __init__(self) -> None:
        super().__init__("operation")
        self.setMaxVisibleItems(len(TASKS))
        self._reasons = [""] * len(TASKS)
        for task in TASKS:
            self.addItem(tr(task.name), task.id)
        font = QtGui.QFont(self.font())
        font.setBold(True)
        self.setFont(font)
        self.show_model(None)
        self.currentIndexChanged.connect(lambda *_: self._explain())

    @property
    def task(self) -> Task:
        """What is chosen."""
        return BY_ID[self.currentData()]

    @property
    def reason(self) -> str:
        """Why the model cannot do what is chosen; "" when it can."""
        return self._reasons[self.currentIndex()]

    def choose(self, task_id: str) -> None:
        """Choose an operation by its id; an unknown one is the first."""
        self.setCurrentIndex(max(0, self.findData(task_id)))

    def choose_next(self) -> None:
        """Choose the next operation that the model can do; after the last one comes the first."""
        order = [*range(self.currentIndex() + 1, len(TASKS)), *range(self.currentIndex())]
        possible = [index for index in order if not self._reasons[index]]
        if possible:
            self.setCurrentIndex(possible[0])

    def show_model(self, model: ModelInfo | None) -> None:
        """Enable what a model can do; None stands for a model that is not known yet."""
        for index, task in enumerate(TASKS):
            reason = self._reasons[index] = why_not(task, model)
            item = self.model().item(index)
            item.setEnabled(not reason)
            item.setData(reason or tr(task.about), Data.ToolTipRole)
        self._explain()

    def _explain(self) -> None:
        self.setToolTip(self.currentData(Data.ToolTipRole) or "")
