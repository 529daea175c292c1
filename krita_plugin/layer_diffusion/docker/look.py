"""Colours and pictures drawn from the current palette, so that they fit every theme of Krita."""

from __future__ import annotations

import math

from ..qt import QtCore, QtGui

Role = QtGui.QPalette.ColorRole


def mixed(one, other, share: float):
    """Return the colour between two, with `share` (0 to 1) of the first."""
    channels = (
        round(a * share + b * (1 - share)) for a, b in zip(one.getRgb()[:3], other.getRgb()[:3], strict=True)
    )
    return QtGui.QColor(*channels)


def muted(palette):
    """Return the colour of side notes: readable, but quieter than the text."""
    return mixed(palette.color(Role.WindowText), palette.color(Role.Window), 0.68)


def faint(palette):
    """Return the colour of what is seen only when it is looked for."""
    return mixed(palette.color(Role.WindowText), palette.color(Role.Window), 0.35)


def warning(palette):
    """Return (text, background, border) of an error: red on the window's own colour, dark or light."""
    window = palette.color(Role.Window)
    dark = window.lightness() < 128
    red = QtGui.QColor(255, 110, 100) if dark else QtGui.QColor(176, 20, 20)
    return mixed(red, palette.color(Role.WindowText), 0.35), mixed(red, window, 0.12), mixed(red, window, 0.45)


def draw_star(picture, centre, radius: float) -> None:
    """Draw a star with a dark edge, to be seen on every picture, into a pixmap."""
    points = QtGui.QPolygonF()
    for corner in range(10):
        angle, length = math.pi * (corner / 5 - 0.5), radius if corner % 2 == 0 else radius * 0.45
        points.append(centre + QtCore.QPointF(math.cos(angle) * length, math.sin(angle) * length))
    painter = QtGui.QPainter(picture)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.setPen(QtGui.QPen(QtGui.QColor(70, 50, 0), 1.2))
    painter.setBrush(QtGui.QColor(255, 200, 40))
    painter.drawPolygon(points)
    painter.end()


def draw_warning(picture, centre, radius: float) -> None:
    """Draw a triangle with an exclamation mark, in the colours of `draw_star`, into a pixmap."""
    corners = (QtCore.QPointF(0, -radius), QtCore.QPointF(radius, 0.8 * radius), QtCore.QPointF(-radius, 0.8 * radius))
    painter = QtGui.QPainter(picture)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.translate(centre)
    dark = QtGui.QColor(70, 50, 0)
    painter.setPen(QtGui.QPen(dark, 1.2, join=QtCore.Qt.PenJoinStyle.RoundJoin))
    painter.setBrush(QtGui.QColor(255, 200, 40))
    painter.drawPolygon(QtGui.QPolygonF(corners))
    painter.setPen(QtGui.QPen(dark, 1.6))
    painter.drawLine(QtCore.QPointF(0, -0.4 * radius), QtCore.QPointF(0, 0.2 * radius))
    painter.drawPoint(QtCore.QPointF(0, 0.55 * radius))
    painter.end()


def on_checkerboard(image, palette, side: int, ratio: float = 1.0):
    """Draw a `QImage` into a square of `side` pixels over a checkerboard; None gives an empty frame.

    `ratio` is the screen's number of pixels for each of Qt's.
    """
    picture = QtGui.QPixmap(round(side * ratio), round(side * ratio))
    picture.setDevicePixelRatio(ratio)
    picture.fill(QtCore.Qt.GlobalColor.transparent)
    painter = QtGui.QPainter(picture)
    if image is None or image.isNull():
        painter.setPen(faint(palette))
        painter.drawRect(0, 0, side - 1, side - 1)
    else:
        size = image.size().scaled(side, side, QtCore.Qt.AspectRatioMode.KeepAspectRatio)
        area = QtCore.QRect(QtCore.QPoint((side - size.width()) // 2, (side - size.height()) // 2), size)
        cell = 6
        for row in range(area.top(), area.bottom() + 1, cell):
            for column in range(area.left(), area.right() + 1, cell):
                odd = ((row - area.top()) + (column - area.left())) // cell % 2
                tile = QtCore.QRect(column, row, cell, cell).intersected(area)
                painter.fillRect(tile, QtGui.QColor(150, 150, 150) if odd else QtGui.QColor(200, 200, 200))
        painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(area, image)
    painter.end()
    return picture
