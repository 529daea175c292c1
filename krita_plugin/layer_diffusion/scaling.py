"""Straight-alpha pixels scaled and multiplied by Qt, which Krita's Python has in place of an imaging library."""

from __future__ import annotations

import math

from .pixels import PIECE
from .qt import QtCore, QtGui

_Format = QtGui.QImage.Format


def scaled(bgra: bytes | memoryview, size: tuple[int, int], new_size: tuple[int, int]) -> bytes:
    """Return straight BGRA pixels of `size` (width, height) smoothly scaled to `new_size`, each channel by itself.

    It is done in bands of rows, about `PIECE` bytes each, as far as the heights have a common divisor: other threads
    wait for each call into Qt. A band is scaled with a neighbour on either side, since its edge depends on them.
    """
    (width, height), (new_width, new_height) = size, new_size
    units = math.gcd(height, new_height)
    rows, new_rows = height // units, new_height // units
    together = max(1, PIECE // (4 * max(width * rows, new_width * new_rows)))
    view, bands = memoryview(bgra), []
    for first in range(0, units, together):
        last = min(first + together, units)
        above, below = max(0, first - 1), min(last + 1, units)
        part = view[above * rows * width * 4 : below * rows * width * 4]
        band = _scaled(part, (width, (below - above) * rows), (new_width, (below - above) * new_rows))
        row = new_width * 4 * new_rows
        bands.append(band[(first - above) * row : (last - above) * row])
    return b"".join(bands)


def _scaled(bgra: memoryview, size: tuple[int, int], new_size: tuple[int, int]) -> bytes:
    width, height = size
    # Said to be premultiplied, or Qt would premultiply them, and the colour under zero alpha, which the generator fills
    # in so that edges blend cleanly, would be lost.
    image = QtGui.QImage(bytes(bgra), width, height, width * 4, _Format.Format_ARGB32_Premultiplied)
    smooth = QtCore.Qt.TransformationMode.SmoothTransformation
    return image_bytes(image.scaled(*new_size, QtCore.Qt.AspectRatioMode.IgnoreAspectRatio, smooth), 4)


def multiplied(one: bytes, other: bytes, size: tuple[int, int]) -> bytes:
    """Return the product of two planes of `size` (width, height), one byte each, 255 being one."""
    width, height = size
    planes = [
        QtGui.QImage(plane, width, height, width, _Format.Format_Grayscale8).convertToFormat(_Format.Format_RGB32)
        for plane in (one, other)
    ]
    painter = QtGui.QPainter(planes[0])
    painter.setCompositionMode(QtGui.QPainter.CompositionMode.CompositionMode_Multiply)
    painter.drawImage(0, 0, planes[1])
    painter.end()
    return image_bytes(planes[0].convertToFormat(_Format.Format_Grayscale8), 1)


def image_bytes(image, channels: int) -> bytes:
    """Return the pixels of a `QImage` of 8-bit channels without the padding of its rows to 4 bytes."""
    stride, row, height = image.bytesPerLine(), image.width() * channels, image.height()
    pointer = image.constBits()
    pointer.setsize(height * stride)
    view = memoryview(pointer)
    together = max(1, PIECE // stride) if stride == row else 1
    # One call for all would keep other threads waiting; `join` does not, when it is given bytes.
    return b"".join(bytes(view[y * stride : y * stride + (min(together, height - y) - 1) * stride + row])
                    for y in range(0, height, together))
