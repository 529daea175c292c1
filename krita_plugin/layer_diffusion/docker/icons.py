"""Buttons with icons that are drawn in the colours of the theme."""

from __future__ import annotations

from collections.abc import Callable

from ..qt import QtCore, QtGui, QtWidgets
from .look import Role

SIDE = 16
"""Of the squares that the icons are drawn in."""
Draw = Callable[[object, object], None]
"""Draws with a painter that has a pen of the colour, which comes second."""


def die(painter, colour) -> None:
    """A die showing five."""
    painter.drawRoundedRect(QtCore.QRectF(1.5, 1.5, 13, 13), 3, 3)
    _dots(painter, colour, ((5, 5), (11, 5), (8, 8), (5, 11), (11, 11)), 1.3)


def eye(painter, colour) -> None:
    """An eye."""
    lids = QtGui.QPainterPath(QtCore.QPointF(1, 8))
    lids.quadTo(8, 1.5, 15, 8)
    lids.quadTo(8, 14.5, 1, 8)
    painter.drawPath(lids)
    _dots(painter, colour, ((8, 8),), 2.3)


def pencil(painter, _colour) -> None:
    """A pencil."""
    _lines(painter, ((2, 14), (3, 10.5), (11.5, 2), (14, 4.5), (5.5, 13), (2, 14)), ((9.5, 4), (12, 6.5)))


def download(painter, _colour) -> None:
    """An arrow into a tray."""
    _lines(painter, ((8, 1.5), (8, 10)), ((4.5, 6.5), (8, 10), (11.5, 6.5)))
    _lines(painter, ((1.5, 10.5), (1.5, 14), (14.5, 14), (14.5, 10.5)))


def server(painter, colour) -> None:
    """Two machines in a rack."""
    for top in (2, 9):
        painter.drawRoundedRect(QtCore.QRectF(1.5, top, 13, 5), 1.5, 1.5)
    _dots(painter, colour, ((4.5, 4.5), (4.5, 11.5)), 1.1)
    _lines(painter, ((8, 4.5), (12, 4.5)), ((8, 11.5), (12, 11.5)))


def cross(painter, _colour) -> None:
    """A cross."""
    _lines(painter, ((3, 3), (13, 13)), ((13, 3), (3, 13)))


def menu(painter, _colour) -> None:
    """The lines of a menu."""
    _lines(painter, *(((2.5, y), (13.5, y)) for y in (4, 8, 12)))


class IconButton(QtWidgets.QToolButton):
    """A button with one of these icons; what it does is its tooltip. While it is on, its icon is a light one."""

    def __init__(self, name: str, draw: Draw, tip: str, checkable: bool = False) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setToolTip(tip)
        self.setCheckable(checkable)
        self._draw = draw
        self._show_icon()

    def changeEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """Follow the theme."""
        if event.type() == QtCore.QEvent.Type.PaletteChange:
            self._show_icon()
        super().changeEvent(event)

    def _show_icon(self) -> None:
        palette, icon, group = QtWidgets.QApplication.palette(), QtGui.QIcon(), QtGui.QPalette.ColorGroup
        mode, state = QtGui.QIcon.Mode, QtGui.QIcon.State
        icon.addPixmap(self._picture(palette.color(group.Active, Role.ButtonText)), mode.Normal, state.Off)
        icon.addPixmap(self._picture(palette.color(group.Disabled, Role.ButtonText)), mode.Disabled, state.Off)
        lit = self._picture(palette.color(Role.HighlightedText), palette.color(Role.Highlight))
        icon.addPixmap(lit, mode.Normal, state.On)
        self.setIcon(icon)

    def _picture(self, colour, ground=None):
        picture = QtGui.QPixmap(2 * SIDE, 2 * SIDE)
        picture.fill(QtCore.Qt.GlobalColor.transparent)
        painter = QtGui.QPainter(picture)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.scale(2, 2)
        if ground is not None:
            painter.setPen(QtCore.Qt.PenStyle.NoPen)
            painter.setBrush(ground)
            painter.drawRoundedRect(QtCore.QRectF(0, 0, SIDE, SIDE), 3, 3)
            painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
        pen = QtGui.QPen(colour, 1.4)
        pen.setJoinStyle(QtCore.Qt.PenJoinStyle.RoundJoin)
        pen.setCapStyle(QtCore.Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        self._draw(painter, colour)
        painter.end()
        picture.setDevicePixelRatio(2)
        return picture


def _lines(painter, *lines) -> None:
    for line in lines:
        painter.drawPolyline(QtGui.QPolygonF([QtCore.QPointF(*point) for point in line]))


def _dots(painter, colour, centres, radius: float) -> None:
    painter.setPen(QtCore.Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    for centre in centres:
        painter.drawEllipse(QtCore.QPointF(*centre), radius, radius)
    painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
