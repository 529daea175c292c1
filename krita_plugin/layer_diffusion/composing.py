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
_Format = QtGui.QImage.Format


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
    result.fill(0)
    painter = QtGui.QPainter(result)
    for picture in pictures:
        where, (width, height) = picture.area, (picture.area.width, picture.area.height)
        one = QtGui.QImage(picture.pixels, width, height, width * 4, _Format.Format_ARGB32)
        if scale < 1:
            width, height = max(1, round(width * scale)), max(1, round(height * scale))
            one = one.scaled(
                width, height, QtCore.Qt.AspectRatioMode.IgnoreAspectRatio,
                QtCore.Qt.TransformationMode.SmoothTransformation,
            )  # fmt: skip
        painter.setOpacity(picture.opacity)
        painter.drawImage(round((where.x - area.x) * scale), round((where.y - area.y) * scale), one)
    painter.end()
    return result


def seen(pictures: Sequence[Picture], longest: int = 0):
    """Return what is seen of pictures, bottom first, as `flattened` does, and the area that it covers."""
    shown = [picture for picture in pictures if picture.visible] or pictures
    area = around(shown)
    return flattened(shown, area, longest), area


def thumbnail(pictures: Sequence[Picture]) -> Thumbnail:
    """Return what is seen of pictures, bottom first, small."""
    image = seen(pictures, THUMBNAIL_SIDE)[0].convertToFormat(_Format.Format_ARGB32)
    return image.width(), image.height(), image_bytes(image, 4)
