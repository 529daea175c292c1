"""From the protocol's RGBA to the BGRA that Krita's 8-bit layers hold, at the size the document needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .geometry import Area, place
from .protocol.job import LayerSet

EDGE = 8
"""Pixels left around what is seen of a layer: where it is scaled or blurred, the colour beside its edge counts."""
PIECE = 1 << 18
"""Bytes that are worked on at a time, a multiple of 4: no other thread runs meanwhile, the GUI's neither."""


@dataclass(frozen=True)
class Picture:
    """A layer that is ready for Krita: straight BGRA, 8 bits each, area.width * area.height * 4 bytes.

    `image` is the number in the batch; pictures of one image belong together.
    """

    name: str
    area: Area
    pixels: bytes
    opacity: float
    visible: bool
    image: int = 0


def to_bgra(rgba: bytes | memoryview) -> bytes:
    """Swap red and blue of straight RGBA; alpha and the colour under it stay."""
    return b"".join(_swapped(piece) for piece in _pieces(rgba))


def to_rgba(bgra: bytes | memoryview) -> bytes:
    """Swap red and blue of straight BGRA; alpha and the colour under it stay."""
    return to_bgra(bgra)


def _swapped(pixels: bytes) -> bytes:
    result = bytearray(pixels)
    result[0::4], result[2::4] = pixels[2::4], pixels[0::4]
    return bytes(result)  # joining what cannot change lets other threads run


def alpha_of(pixels: bytes) -> bytes:
    """Return the alpha of pixels of four bytes."""
    return b"".join(piece[3::4] for piece in _pieces(pixels))


def is_empty(pixels: bytes | memoryview) -> bool:
    """Whether pixels of four bytes are transparent everywhere."""
    return not any(piece[3::4].strip(b"\0") for piece in _pieces(pixels))


def _pieces(pixels: bytes | memoryview) -> Iterator[bytes]:
    return (bytes(pixels[start : start + PIECE]) for start in range(0, len(pixels), PIECE))


def faded(pixels: bytes | memoryview, opacity: int) -> bytes | memoryview:
    """Return straight pixels whose alpha is multiplied by `opacity`, 0 to 255, rounded."""
    if opacity == 255:
        return pixels
    table = bytes((alpha * opacity + 127) // 255 for alpha in range(256))
    return b"".join(_faded(piece, table) for piece in _pieces(pixels))


def _faded(pixels: bytes, table: bytes) -> bytes:
    result = bytearray(pixels)
    result[3::4] = pixels[3::4].translate(table)
    return bytes(result)


def pictures(layer_set: LayerSet, area: Area) -> tuple[Picture, ...]:
    """Return the layers of a result, bottom first and trimmed, as they go into `area` of a document."""
    requested = (layer_set.request.width, layer_set.request.height)
    ready = []
    for layer in layer_set.layers:
        where = place(layer.box, requested, area)
        pixels = to_bgra(layer.pixels)
        if (where.width, where.height) != (layer.box.width, layer.box.height):
            from .scaling import scaled  # here, because it needs Qt and the rest of this module does not

            pixels = scaled(pixels, (layer.box.width, layer.box.height), (where.width, where.height))
        ready.append(trimmed(Picture(layer.name, where, pixels, layer.opacity, layer.visible, layer.image)))
    return tuple(ready)


def trimmed(picture: Picture) -> Picture:
    """Return a picture without the transparent border around what is to be seen, but for `EDGE` pixels of it.

    One that is transparent everywhere stays as it is.
    """
    area, alpha = picture.area, alpha_of(picture.pixels)
    if not alpha.strip(b"\0"):
        return picture
    top = (len(alpha) - len(alpha.lstrip(b"\0"))) // area.width
    bottom = (len(alpha.rstrip(b"\0")) - 1) // area.width + 1
    columns = [alpha[x :: area.width] for x in range(area.width)]
    left = next(x for x, column in enumerate(columns) if column.strip(b"\0"))
    right = next(x for x in range(area.width, 0, -1) if columns[x - 1].strip(b"\0"))
    left, top = max(0, left - EDGE), max(0, top - EDGE)
    right, bottom = min(area.width, right + EDGE), min(area.height, bottom + EDGE)
    inner = Area(area.x + left, area.y + top, right - left, bottom - top)
    return replace(picture, area=inner, pixels=_cut(picture.pixels, area, inner, 4))


def clipped(ready: Sequence[Picture], area: Area, softness: bytes) -> tuple[Picture, ...]:
    """Return pictures that lie in an area with their alpha multiplied by `softness`, one byte for each pixel of it."""
    from .scaling import multiplied  # as above

    result = []
    for picture in ready:
        pixels = bytearray(picture.pixels)
        mask = _cut(softness, area, picture.area, 1)
        pixels[3::4] = multiplied(picture.pixels[3::4], mask, (picture.area.width, picture.area.height))
        result.append(replace(picture, pixels=bytes(pixels)))
    return tuple(result)


def _cut(pixels: bytes, area: Area, inner: Area, channels: int) -> bytes:
    """The pixels of an area that lie in an inner one."""
    left, width = (inner.x - area.x) * channels, inner.width * channels
    starts = (y * area.width * channels + left for y in range(inner.y - area.y, inner.y - area.y + inner.height))
    return b"".join(pixels[start : start + width] for start in starts)


def filled_up(picture: Picture, area: Area) -> bytes:
    """Return what of a picture lies in an area, as large as that area and transparent around it."""
    inner, row = picture.area, picture.area.width * 4
    left, right = max(inner.x, area.x), min(inner.x + inner.width, area.x + area.width)
    result = bytearray(area.width * area.height * 4)
    for y in range(max(inner.y, area.y), min(inner.y + inner.height, area.y + area.height) if left < right else 0):
        source, target = (y - inner.y) * row + (left - inner.x) * 4, ((y - area.y) * area.width + left - area.x) * 4
        length = (right - left) * 4
        result[target : target + length] = picture.pixels[source : source + length]
    return bytes(result)


def moved(ready: Sequence[Picture], made_for: Area, area: Area) -> tuple[Picture, ...]:
    """Return pictures made for one area as they lie in another one of the same size."""
    across, down = area.x - made_for.x, area.y - made_for.y
    return tuple(
        replace(picture, area=replace(picture.area, x=picture.area.x + across, y=picture.area.y + down))
        for picture in ready
    )
