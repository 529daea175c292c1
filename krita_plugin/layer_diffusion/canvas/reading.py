"""Layers as pictures for a request: what Krita shows of them, in 8-bit sRGB, whatever the document holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..geometry import Area
from ..notices import Busy
from ..pixels import faded, is_empty, to_bgra, to_rgba
from ..qt import QtCore, QtGui
from ..scaling import image_bytes, scaled
from .choices import VISIBLE, empty, nodes_of, parents
from .documents import SRGB, hidden, id_of, is_idle, is_layer, is_passed_through, layers_in, space_of


@dataclass(frozen=True)
class Capture:
    """What layers show in an area, as Krita gave it; any thread may work on it.

    Attributes:
        bands: images, or straight BGRA bytes, one below the other.
        size: the (width, height) of all together.
        opacity: what their alpha is still to be multiplied by, 0 to 255.
    """

    bands: tuple[Any, ...]
    size: tuple[int, int]
    opacity: int = 255

    def rgba(self, size: tuple[int, int]) -> bytes:
        """Return straight RGBA scaled to `size` (width, height). Raises `Trouble` when there is nothing to see."""
        bands = [_straight(band) if isinstance(band, QtGui.QImage) else memoryview(band) for band in self.bands]
        pixels = faded(bands[0] if len(bands) == 1 else b"".join(map(bytes, bands)), self.opacity)
        if is_empty(pixels):
            raise empty()
        return to_rgba(pixels if self.size == size else scaled(pixels, self.size, size))

    def image(self, size: tuple[int, int]):
        """Return the same as a `QImage`."""
        return image_of(self.rgba(size), size)


def capture(document, choices: Sequence[str], area: Area, rows: int = 0) -> Capture:
    """Return what choices show together in an area of the document, or only about so many rows of it.

    Masks, opacity, blending and everything within groups are as Krita shows them; colours are converted to sRGB. The
    document is not touched. Raises `Trouble` when there is nothing to choose, `Busy` when Krita is.
    """
    if not is_idle(document):
        raise Busy()
    bands, step = [area], area.height // rows if rows else 1
    if step > 1:  # single rows, since Krita would convert the whole area
        bands = [Area(area.x, y, area.width, 1) for y in range(area.y + step // 2, area.y + area.height, step)]
    if VISIBLE in choices:
        return _projection(document, bands)
    nodes = [node for choice in choices for node in nodes_of(document, choice)]
    if len(nodes) == 1 and _is_plain(document, nodes[0], area):
        read = nodes[0].projectionPixelData
        return _capture([read(*_box(band)) for band in bands], bands, nodes[0].opacity())
    return _composite(document, {id_of(node) for node in nodes}, bands)


def _capture(read: Sequence[Any], bands: Sequence[Area], opacity: int = 255) -> Capture:
    return Capture(tuple(read), (bands[0].width, sum(band.height for band in bands)), opacity)


def _box(area: Area) -> tuple[int, int, int, int]:
    return area.x, area.y, area.width, area.height


def image_of(rgba: bytes, size: tuple[int, int]):
    """Return straight RGBA pixels of `size` (width, height) as a `QImage`."""
    image = QtGui.QImage(to_bgra(rgba), *size, size[0] * 4, QtGui.QImage.Format.Format_ARGB32)
    return image.copy()  # its own pixels: a QImage of bytes does not keep them


def _is_plain(document, node, area: Area) -> bool:
    """Whether a layer's own projection, faded by its opacity, is what Krita shows of it alone."""
    return (
        space_of(node) == space_of(document) == SRGB
        and node.blendingMode() == "normal"
        and not node.inheritAlpha()
        and not is_passed_through(node)
        and not node.layerStyleToAsl()
        and not parents(node)
        and area.is_within(document.width(), document.height())
    )


def _composite(document, wanted: set[str], bands: Sequence[Area]) -> Capture:
    """What the document would show if it had no other layers, composited by Krita in a clone that nobody sees."""
    with hidden(document.clone()) as copy:
        _show_only(document.rootNode(), copy.rootNode(), wanted)
        copy.setBackgroundColor(QtGui.QColor(QtCore.Qt.GlobalColor.transparent))
        copy.refreshProjection()
        copy.waitForDone()
        return _projection(copy, bands)


def _show_only(group, twin, wanted: set[str]) -> None:
    """Hide the layers of a clone whose originals are not wanted; a clone's nodes have new ids, but the same order."""
    lowest = True
    for node, copy in zip(layers_in(group), layers_in(twin), strict=True):
        if id_of(node) not in wanted and not _holds(node, wanted):
            copy.setVisible(False)
            continue
        if lowest:
            # What it is clipped to or passed through to is hidden now, and nothing would be left of it.
            copy.setInheritAlpha(False)
            if is_passed_through(copy):
                copy.setPassThroughMode(False)
            lowest = False
        if id_of(node) not in wanted:
            _show_only(node, copy, wanted)


def _holds(group, wanted: set[str]) -> bool:
    return any(id_of(node) in wanted or _holds(node, wanted) for node in group.childNodes() if is_layer(node))


def _projection(document, bands: Sequence[Area]) -> Capture:
    """What a document shows, converted to sRGB by Krita."""
    return _capture([document.projection(*_box(band)) for band in bands], bands)


def _straight(image) -> bytes:
    """The straight BGRA of an image."""
    return image_bytes(image.convertToFormat(QtGui.QImage.Format.Format_ARGB32), 4)
