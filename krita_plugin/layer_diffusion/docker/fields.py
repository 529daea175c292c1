"""Widgets tied to the settings of the same name: what is needed to read, show and watch one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..qt import QtCore, QtWidgets
from ..translation import tr

Policy = QtWidgets.QSizePolicy.Policy
Direction = QtWidgets.QBoxLayout.Direction
SPACE = 6
"""Pixels between parts and to their left."""
RIGHT = 8
"""Pixels to their right, in which the scroll bar lies."""
LABEL_SPACE = 2
"""Pixels between a label and what is below it."""
BOX_MARGIN = 2
"""Pixels that styles leave free on either side of a combo box's text."""


@dataclass(frozen=True)
class Field:
    """How to read a setting from its widget, how to show one, and the signal of a change."""

    read: Callable[[], Any]
    show: Callable[[Any], None]
    changed: Any


def number(widget) -> Field:
    """A spin box."""
    return Field(widget.value, widget.setValue, widget.valueChanged)


def line(widget) -> Field:
    """A line of text."""
    return Field(widget.text, widget.setText, widget.textChanged)


def text(widget) -> Field:
    """A text of several lines."""
    return Field(widget.toPlainText, widget.setPlainText, widget.textChanged)


def fold(section) -> Field:
    """A `Section`, unfolded or not."""
    return Field(section.head.isChecked, section.head.setChecked, section.toggled)


def check(box) -> Field:
    """A check box."""
    return Field(box.isChecked, box.setChecked, box.toggled)


def choice(box, kind: type[Enum]) -> Field:
    """A combo box made by `choices`."""
    return Field(
        lambda: kind(box.currentData()), lambda value: box.setCurrentIndex(box.findData(value.value)),
        box.currentIndexChanged,
    )  # fmt: skip


class Box(QtWidgets.QComboBox):
    """A combo box as narrow as need be, with “…” where its text does not fit; those that it must `fit` do."""

    def __init__(self, name: str, tip: str = "") -> None:
        super().__init__()
        self.setObjectName(name)
        self.setToolTip(tip)
        self.setSizePolicy(Policy.Expanding, Policy.Fixed)
        self._fitting: tuple[str, ...] = ()

    def fit(self, *texts: str) -> None:
        """Be wide enough for each of the texts."""
        self._fitting = texts
        self.updateGeometry()

    def minimumSizeHint(self):  # noqa: N802 - Qt's name
        """As wide as what must fit."""
        height = super().minimumSizeHint().height()
        if not self._fitting:
            return QtCore.QSize(0, height)
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        widest = max(self.fontMetrics().horizontalAdvance(text) for text in self._fitting)
        contents = QtCore.QSize(widest + 2 * BOX_MARGIN, height)
        kind = QtWidgets.QStyle.ContentsType.CT_ComboBox
        return QtCore.QSize(self.style().sizeFromContents(kind, option, contents, self).width(), height)

    def paintEvent(self, _event) -> None:  # noqa: N802
        style, kind = self.style(), QtWidgets.QStyle.ComplexControl.CC_ComboBox
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        text = style.subControlRect(kind, option, QtWidgets.QStyle.SubControl.SC_ComboBoxEditField, self)
        end = QtCore.Qt.TextElideMode.ElideRight
        option.currentText = self.fontMetrics().elidedText(option.currentText, end, text.width() - 2 * BOX_MARGIN)
        painter = QtWidgets.QStylePainter(self)
        painter.drawComplexControl(kind, option)
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_ComboBoxLabel, option)


def choices(name: str, names: dict[Any, str], tip: str) -> Box:
    """Make a combo box of an enum's members and what they are called, which is marked for translation."""
    box = Box(name, tip)
    for member, words in names.items():
        box.addItem(tr(words), member.value)
    box.fit(*map(tr, names.values()))
    return box


def whole(name: str, low: int, high: int, tip: str):
    """Make a spin box of integers."""
    box = QtWidgets.QSpinBox()
    box.setObjectName(name)
    box.setRange(low, high)
    box.setToolTip(tip)
    return box


def decimal(name: str, high: float, step: float, tip: str):
    """Make a spin box of 0 to `high`."""
    box = QtWidgets.QDoubleSpinBox()
    box.setObjectName(name)
    box.setRange(0, high)
    box.setDecimals(1 if step >= 0.1 else 2)
    box.setSingleStep(step)
    box.setToolTip(tip)
    return box


class Row(QtWidgets.QWidget):
    """A widget beside its label, or below it where there is no room beside it; it comes and goes with the widget."""

    def __init__(self, words: str, widget) -> None:
        super().__init__()
        self._line = QtWidgets.QBoxLayout(Direction.LeftToRight, self)
        self._line.setSpacing(0)
        self._label = QtWidgets.QLabel(words) if words else None
        if self._label is not None:
            self._label.setBuddy(widget)
            self._line.addWidget(self._label)
        self._line.addWidget(widget, 1)
        self._arrange()
        widget.installEventFilter(self)
        self.setHidden(widget.isHidden())

    def minimumSizeHint(self):  # noqa: N802 - Qt's name
        """As wide as it is with the label above, whether that is there now or not."""
        return QtCore.QSize(max(self._label_width(), self._least()), self._line.minimumSize().height())

    def event(self, event) -> bool:
        """Look for the room anew when it changes, or what is needed: with the font of the docker, which comes late."""
        done = super().event(event)
        kind = QtCore.QEvent.Type
        if event.type() in (kind.Resize, kind.LayoutRequest, kind.FontChange, kind.Polish):
            self._arrange()
        return done

    def eventFilter(self, watched, event) -> bool:  # noqa: N802 - Qt's name
        """Follow the widget."""
        if event.type() in (QtCore.QEvent.Type.ShowToParent, QtCore.QEvent.Type.HideToParent):
            self.setHidden(watched.isHidden())
        return super().eventFilter(watched, event)

    def _arrange(self) -> None:
        column = self._label_width()
        is_beside = column + self._least() <= self.width()
        direction = Direction.LeftToRight if is_beside else Direction.TopToBottom
        if self._line.direction() != direction:
            self._line.setDirection(direction)
            self._line.setSpacing(0 if is_beside else LABEL_SPACE)
        self._line.setContentsMargins(column if is_beside and self._label is None else 0, 0, 0, 0)
        if self._label is not None:
            self._label.setMinimumWidth(column)

    def _least(self) -> int:
        return self._line.itemAt(self._line.count() - 1).minimumSize().width()

    def _label_width(self) -> int:
        """Return the width of the column of labels, which is the same in the whole docker."""
        longest = (tr("Foreground"), tr("Background"), tr("Decoding"), tr("Strength"), tr("New jobs"))
        return max(self.fontMetrics().horizontalAdvance(words) for words in longest) + 10


def grid(holder, rows: list) -> None:
    """Lay out (label, widget) pairs below each other."""
    column = QtWidgets.QVBoxLayout(holder)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(SPACE)
    for words, widget in rows:
        column.addWidget(Row(words, widget))


def row(*widgets, stretch=None):
    """Put widgets beside each other."""
    holder = QtWidgets.QWidget()
    line = QtWidgets.QHBoxLayout(holder)
    line.setContentsMargins(0, 0, 0, 0)
    line.setSpacing(4)
    for widget in widgets:
        line.addWidget(widget, 1 if widget is stretch else 0)
    return holder
