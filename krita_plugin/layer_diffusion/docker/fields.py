"""Widgets tied to the settings of the same name: what is needed to read, show and watch one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..qt import QtCore, QtWidgets
from ..translation import tr

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
    """A combo box as narrow as need be, with “…” where its text does not fit."""

    def __init__(self, name: str, tip: str = "") -> None:
        super().__init__()
        self.setObjectName(name)
        self.setToolTip(tip)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)

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


def grid(holder, rows: list) -> None:
    """Lay out (label, widget) pairs below each other; every label column is as wide as the widest of all of them."""
    table = QtWidgets.QGridLayout(holder)
    table.setContentsMargins(0, 0, 0, 0)
    table.setHorizontalSpacing(8)
    table.setVerticalSpacing(6)
    table.setColumnStretch(1, 1)
    table.setColumnMinimumWidth(0, label_width(holder))
    for index, (words, widget) in enumerate(rows):
        if words:
            label = QtWidgets.QLabel(words)
            label.setBuddy(widget)
            table.addWidget(label, index, 0)
        table.addWidget(widget, index, 1)


def label_width(widget) -> int:
    """Return the width of the column of labels, which is the same in all tables of the docker."""
    longest = (tr("Foreground"), tr("Background"), tr("Decoding"), tr("Strength"))
    return max(widget.fontMetrics().horizontalAdvance(words) for words in longest) + 2


def row(*widgets, stretch=None):
    """Put widgets beside each other."""
    holder = QtWidgets.QWidget()
    line = QtWidgets.QHBoxLayout(holder)
    line.setContentsMargins(0, 0, 0, 0)
    line.setSpacing(4)
    for widget in widgets:
        line.addWidget(widget, 1 if widget is stretch else 0)
    return holder


def labelled(words: str, widget):
    """Put a widget beside its label, in line with the tables."""
    holder = QtWidgets.QWidget()
    grid(holder, [(words, widget)])
    return holder
