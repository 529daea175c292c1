"""Straight-alpha pixels scaled and multiplied by Qt, which Krita's Python has in place of an imaging library."""

from __future__ import annotations

from .qt import QtCore, QtGui

_Format = QtGui.QImage.Format


def scaled(bgra: bytes, size: tuple[int, int], new_size: tuple[int, int]) -> bytes:
    """Return straight BGRA pixels of `size` (width, height) smoothly scaled to `new_size`.

    Colour and alpha are scaled apart: Qt premultiplies an image that has both, and the colour under zero alpha, which
    the generator fills in so that edges blend cleanly, would be lost.
    """
    width, height = size
    colour = QtGui.QImage(bgra, width, height, width * 4, _Format.Format_RGB32)
    alpha = QtGui.QImage(bgra[3::4], width, height, width, _Format.Format_Grayscale8)
    pixels = bytearray(image_bytes(_smooth(colour, new_size).convertToFormat(_Format.Format_RGB32), 4))
    pixels[3::4] = image_bytes(_smooth(alpha, new_size).convertToFormat(_Format.Format_Grayscale8), 1)
    return bytes(pixels)


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


def _smooth(image, size: tuple[int, int]):
    return image.scaled(
        *size, QtCore.Qt.AspectRatioMode.IgnoreAspectRatio, QtCore.Qt.TransformationMode.SmoothTransformation
    )


def image_bytes(image, channels: int) -> bytes:
    """Return the pixels of a `QImage` of 8-bit channels without the padding of its rows to 4 bytes."""
    stride, row = image.bytesPerLine(), image.width() * channels
    view = image.constBits()
    view.setsize(image.height() * stride)
    data = bytes(view)
    return data if stride == row else b"".join(data[y * stride : y * stride + row] for y in range(image.height()))
