"""The seed."""

from __future__ import annotations

from ..protocol.limits import MAX_SEED
from ..qt import QtCore, QtGui, QtWidgets
from ..translation import tr
from .icons import IconButton, die

MARGINS, SPACING = 12, 4
"""Pixels that styles leave free around a line's text, both sides together, and those between the widgets."""


class SeedRow(QtWidgets.QWidget):
    """The seed and a die: pressed, every picture gets a new seed, and the empty field says the last one."""

    changed = QtCore.pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self._last = 0
        self.field = QtWidgets.QLineEdit()
        self.field.setObjectName("seed")
        self.field.setToolTip(tr("The same seed and settings give the same picture."))
        self.field.setMaxLength(len(str(MAX_SEED)))
        digits = QtCore.QRegularExpression("[0-9]*")
        self.field.setValidator(QtGui.QRegularExpressionValidator(digits, self.field))
        self.field.textEdited.connect(self._typed)
        tip = tr("A new seed for every picture; pressed again, the last one stays.")
        self.die = IconButton("seed_random", die, tip, checkable=True)
        self.die.toggled.connect(self._toggled)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        row.addWidget(self.field, 1)
        row.addWidget(self.die)

    def minimumSizeHint(self):  # noqa: N802 - Qt's name
        """As wide as the longest that it can say."""
        longest = self.field.fontMetrics().horizontalAdvance(_random(MAX_SEED)) + MARGINS
        beside = super().minimumSizeHint()
        return QtCore.QSize(longest + SPACING + self.die.sizeHint().width(), beside.height())

    def seed(self) -> int:
        """Return the seed in the field or else the last one, within its range."""
        return min(int(self.field.text() or self._last), MAX_SEED)

    def show_seed(self, seed: int, is_random: bool) -> None:
        """Show a seed and whether the next picture gets another."""
        self._last = seed
        self.field.setText("" if is_random else str(seed))
        self.field.setPlaceholderText(_random(seed))
        self.die.setChecked(is_random)

    def _typed(self) -> None:
        self.die.setChecked(not self.field.text())
        self.changed.emit()

    def _toggled(self, is_random: bool) -> None:
        if is_random or not self.field.text():
            self.show_seed(self.seed(), is_random)
        self.changed.emit()


def _random(last: int) -> str:
    return tr("Random, last {seed}", seed=last) if last else tr("Random")
