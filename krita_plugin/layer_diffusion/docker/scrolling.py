"""The part of the docker that scrolls."""

from __future__ import annotations

from ..qt import QtCore, QtWidgets
from . import fields, look

Policy = QtCore.Qt.ScrollBarPolicy
LINES = 6
"""Of text, of which the height is there in the lowest docker: enough for a prompt."""


class FieldsArea(QtWidgets.QScrollArea):
    """Scrolls what is in it up and down. The bar lies in the margin, so that edges are in line with and without it."""

    def __init__(self, inner) -> None:
        super().__init__()
        self.setObjectName("fields")
        self.setWidget(inner)
        self.setWidgetResizable(True)
        self.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self.setVerticalScrollBar(_Bar())
        self.setVerticalScrollBarPolicy(Policy.ScrollBarAlwaysOn)
        self.setHorizontalScrollBarPolicy(Policy.ScrollBarAlwaysOff)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Maximum)
        self.setMinimumHeight(LINES * self.fontMetrics().lineSpacing())
        self.follow_theme()

    def sizeHint(self):  # noqa: N802 - Qt's name
        """As much as is in it."""
        inner, hint = self.widget(), self.widget().sizeHint()
        height = inner.heightForWidth(self.viewport().width()) if inner.hasHeightForWidth() else hint.height()
        return QtCore.QSize(hint.width() + fields.RIGHT, height)

    def resizeEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """At another width it has another height."""
        super().resizeEvent(event)
        self.updateGeometry()

    def eventFilter(self, watched, event) -> bool:  # noqa: N802 - Qt's name
        """Follow what comes and goes in it; Qt watches it for the bar."""
        if event.type() == QtCore.QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def follow_theme(self) -> None:
        """Take the colours of the theme; Qt tells no widget of another palette that has a style sheet."""
        colour = look.faint(QtWidgets.QApplication.palette()).name()
        sheet = (
            f"QScrollBar {{ background: transparent; width: {fields.RIGHT}px; }}"
            f" QScrollBar::handle {{ background: {colour}; border-radius: 3px; margin: 1px; min-height: 24px; }}"
            " QScrollBar::add-line, QScrollBar::sub-line { height: 0; }"
            " QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }"
        )
        if self.verticalScrollBar().styleSheet() != sheet:
            self.verticalScrollBar().setStyleSheet(sheet)


class _Bar(QtWidgets.QScrollBar):
    """Seen only where there is something to scroll."""

    def paintEvent(self, event) -> None:  # noqa: N802 - Qt's name
        if self.maximum() > self.minimum():
            super().paintEvent(event)
