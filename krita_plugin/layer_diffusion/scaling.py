"""Straight-alpha pixels scaled and multiplied by Qt, which Krita's Python has in place of an imaging library."""

from __future__ import annotations

from .qt import QtCore, QtGui

_Format = QtGui.QImage.Format


def scaled(bgra: bytes | memoryview, size: tuple[int, int], new_size: tuple[int, int]) -> bytes:
    """Return straight BGRA pixels of `size` (width, height) smoothly scaled to `new_size`, each channel by itself."""
    width, height = size
    # Said to be premultiplied, or Qt would premultiply them, and the colour under zero alpha, which the generator fills
    # in so that edges blend cleanly, would be lost.
    image = QtGui.QImage(bgra, width, height, width * 4, _Format.Format_ARGB32_Premultiplied)
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
    stride, row = image.bytesPerLine(), image.width() * channels
    view = image.constBits()
    view.setsize(image.height() * stride)
    data = bytes(view)
    return data if stride == row else b"".join(data[y * stride : y * stride + row] for y in range(image.height()))
