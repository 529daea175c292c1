"""Areas of a document, the size to generate for them, and where a layer of the result lies in them."""

from __future__ import annotations

from dataclasses import dataclass

from .protocol.job import Box
from .protocol.limits import MAX_SIDE, MIN_SIDE
from .translation import tr


@dataclass(frozen=True)
class Area:
    """A rectangle in document pixels; x and y may be negative."""

    x: int
    y: int
    width: int
    height: int

    def centred_in(self, width: int, height: int) -> Area:
        """Return the same size in the middle of a document of `width` x `height` pixels."""
        return Area((width - self.width) // 2, (height - self.height) // 2, self.width, self.height)

    def is_within(self, width: int, height: int) -> bool:
        """Whether nothing of this area lies outside of a document of `width` x `height` pixels."""
        return self.x >= 0 and self.y >= 0 and self.x + self.width <= width and self.y + self.height <= height

    def is_in(self, other: Area) -> bool:
        """Whether nothing of this area lies outside of another; nothing of an empty one does."""
        if not self.width or not self.height:
            return True
        across = other.x <= self.x and self.x + self.width <= other.x + other.width
        return across and other.y <= self.y and self.y + self.height <= other.y + other.height

    def inside(self, width: int, height: int) -> Area:
        """Return this area, or one in the middle where this one sticks out of a document of `width` x `height`."""
        return self if self.is_within(width, height) else self.centred_in(width, height)


def request_size(width: int, height: int) -> tuple[int, int]:
    """Return the size to generate for an area: its own, or the nearest allowed one of the same shape.

    A standard page of 300 dpi is longer than the protocol's longest side; its result is enlarged when it arrives.
    Raises `ValueError` for an area so narrow that no allowed size has its shape.
    """
    if max(width, height) > min(width, height) * (MAX_SIDE // MIN_SIDE):
        raise ValueError(
            tr(
                "An area of {width} × {height} pixels is too narrow: the longer side can be at most {times} times the "
                "shorter one.", width=width, height=height, times=MAX_SIDE // MIN_SIDE,
            )  # fmt: skip
        )
    scale = min(1.0, MAX_SIDE / max(width, height))
    scale = max(scale, MIN_SIDE / min(width, height))
    sides = (round(width * scale), round(height * scale))
    return tuple(min(MAX_SIDE, max(MIN_SIDE, side)) for side in sides)  # type: ignore[return-value]


def place(box: Box, requested: tuple[int, int], area: Area) -> Area:
    """Return where a layer's box, in pixels of the request, lies in the document."""
    across, down = area.width / requested[0], area.height / requested[1]
    left, top = round(box.x * across), round(box.y * down)
    right, bottom = round((box.x + box.width) * across), round((box.y + box.height) * down)
    return Area(area.x + left, area.y + top, max(1, right - left), max(1, bottom - top))
