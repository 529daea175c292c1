"""Pictures as one image: what is seen of a result."""

from __future__ import annotations

from collections.abc import Sequence

from .cards import Thumbnail
from .geometry import Area
from .pixels import Picture
from .qt import QtCore, QtGui
from .scaling import image_bytes

THUMBNAIL_SIDE = 192
"""Twice the side that is shown, for screens that have more pixels."""
ROWS = 4
"""Rows of a picture for each row of a smaller one: as many as the eye can tell."""
BAND = 128
"""Rows that are drawn at a time."""
_Format = QtGui.QImage.Format
_Mode = QtGui.QPainter.CompositionMode


def around(pictures: Sequence[Picture]) -> Area:
    """Return the smallest area that holds all of these pictures, of which there is at least one."""
    left = min(picture.area.x for picture in pictures)
    top = min(picture.area.y for picture in pictures)
    right = max(picture.area.x + picture.area.width for picture in pictures)
    bottom = max(picture.area.y + picture.area.height for picture in pictures)
    return Area(left, top, right - left, bottom - top)


def flattened(pictures: Sequence[Picture], area: Area, longest: int = 0):
    """Return the pictures, bottom first, one over the other in an area, as a premultiplied `QImage`.

    Its longer side has at most `longest` pixels, unless that is 0.
    """
    scale = min(1.0, longest / max(area.width, area.height)) if longest else 1.0
    size = QtCore.QSize(max(1, round(area.width * scale)), max(1, round(area.height * scale)))
    result = QtGui.QImage(size, _Format.Format_ARGB32_Premultiplied)
    painter = QtGui.QPainter(result)
    # In pieces, as below: Qt does not let other threads run Python meanwhile, and the GUI would stand still.
    painter.setCompositionMode(_Mode.CompositionMode_Source)
    for row in range(0, size.height(), BAND):
        painter.fillRect(0, row, size.width(), BAND, QtCore.Qt.GlobalColor.transparent)
    painter.setCompositionMode(_Mode.CompositionMode_SourceOver)
    for picture in pictures:
        left, top = round((picture.area.x - area.x) * scale), round((picture.area.y - area.y) * scale)
        painter.setOpacity(picture.opacity)
        if scale < 1:
            painter.drawImage(left, top, _small(picture, scale))
            continue
        for row in range(0, picture.area.height, BAND):
            painter.drawImage(left, top + row, _rows(picture, row, 1), 0, 0, picture.area.width, BAND)
    painter.end()
    return result


def _small(picture: Picture, scale: float):
    """A picture as an image, smaller, of some of its rows only."""
    width, height = (max(1, round(side * scale)) for side in (picture.area.width, picture.area.height))
    return _rows(picture, 0, max(1, picture.area.height // (ROWS * height))).scaled(
        width, height, QtCore.Qt.AspectRatioMode.IgnoreAspectRatio,
        QtCore.Qt.TransformationMode.SmoothTransformation,
    )  # fmt: skip


def _rows(picture: Picture, first: int, step: int):
    """Every `step`-th row of a picture from the first one wanted, as an image that shares its pixels."""
    width, height = picture.area.width, picture.area.height
    pixels = memoryview(picture.pixels)[first * width * 4 :]
    return QtGui.QImage(pixels, width, -(-(height - first) // step), width * 4 * step, _Format.Format_ARGB32)


def seen(pictures: Sequence[Picture], longest: int = 0):
    """Return what is seen of pictures, bottom first, as `flattened` does, and the area that it covers."""
    shown = [picture for picture in pictures if picture.visible] or pictures
    area = around(shown)
    return flattened(shown, area, longest), area


def thumbnail(pictures: Sequence[Picture]) -> Thumbnail:
    """Return what is seen of pictures, bottom first, small."""
    image = seen(pictures, THUMBNAIL_SIDE)[0].convertToFormat(_Format.Format_ARGB32)
    return image.width(), image.height(), image_bytes(image, 4)
