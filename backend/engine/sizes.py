"""From the size that a person asks for to one that the model likes, and back, without distortion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LATENT_CELL = 8
"""Pixels per latent position."""
MULTIPLE = 64
"""The SD1.5 UNet halves its latent three times: 8 · 8 pixels."""
FULL_SIZE_SIDE = 512
"""Models trained at this side or above also work at other shapes and at twice the side. Smaller ones know one square
only: elsewhere they fall apart into repetitions."""
MOST_AREA = 4
"""Times the native area that is generated at most."""
TWO_PASSES_FROM = 1.5
"""Times the native area above which a picture is made in two passes. Models repeat what they are told to draw where a
picture is much larger than those they know: two heads, an apple on an apple."""
UNPREMULTIPLY_FLOOR = 1e-3
"""Weight of the plain resampled colour, which takes over where alpha vanishes."""


@dataclass(frozen=True)
class Working:
    """The size a picture is generated at.

    Attributes:
        width, height: of the generated picture, multiples of 8.
        box: left, top, right, bottom of the requested picture in it; fractions of a pixel are meant. What lies outside
            the generated picture is empty.
    """

    width: int
    height: int
    box: tuple[float, float, float, float]


def is_small(native_side: int) -> bool:
    """Whether a model was trained below full size."""
    return native_side < FULL_SIZE_SIDE


def working_size(width: int, height: int, native_side: int, whole: bool = False) -> Working:
    """The working size of a request: an area that the model was made for, never distorted.

    Full-size models keep the request's aspect: areas below the native one are scaled up to it, areas above four times
    the native one are scaled down, and the sides are filled up evenly to a multiple of 64. A request that is such a
    multiple and within the range is left alone.
    Small models make their own square. An object alone is fitted into the middle of the request, with emptiness beside
    it; where a layer must cover the `whole` request (background, blend, a picture to start from), the square covers it
    and what is too much is cut.
    """
    if is_small(native_side):
        scale = native_side / (max if whole else min)(width, height)
        left, top = ((native_side - side * scale) / 2 for side in (width, height))
        return Working(native_side, native_side, (left, top, left + width * scale, top + height * scale))
    native, area = native_side**2, width * height
    return _filled_up(width, height, (min(max(area, native), native * MOST_AREA) / area) ** 0.5)


def first_size(working: Working, native_side: int) -> Working | None:
    """The working size of a first pass, of the native area; None where the model draws the whole at once.

    Composition comes from the first pass, and the second draws its enlarged picture anew in part.
    """
    left, top, right, bottom = working.box
    width, height = right - left, bottom - top
    if is_small(native_side) or width * height <= TWO_PASSES_FROM * native_side**2:
        return None
    return _filled_up(width, height, native_side / (width * height) ** 0.5)


def carried(rgba: NDArray[np.float32], working: Working, other: Working) -> NDArray[np.float32]:
    """What lies in the box of one working size as the picture that fills the box of the other, in whole pixels."""
    left, top, right, bottom = (round(side) for side in other.box)
    return to_request(rgba, working, right - left, bottom - top)


def _filled_up(width: float, height: float, scale: float) -> Working:
    """A scaled area in the middle of sides that are multiples of 64."""
    inner = (width * scale, height * scale)
    outer = [int(-(-round(side, 6) // MULTIPLE)) * MULTIPLE for side in inner]
    left, top = ((whole - part) / 2 for whole, part in zip(outer, inner, strict=True))
    if scale == 1:
        left, top = left // 1, top // 1
    return Working(outer[0], outer[1], (left, top, left + inner[0], top + inner[1]))


def to_request(rgba: NDArray[np.float32], working: Working, width: int, height: int) -> NDArray[np.float32]:
    """Cut the box out of a straight RGBA picture ``[H, W, 4]`` and bring it to ``[height, width, 4]``.

    Resampling weighs colour by alpha (Lanczos), so that no colour bleeds in from where there is nothing; under alpha
    zero the colour is the resampled colour found there.
    """
    rgba, box = _with_margin(rgba, working)
    left, top, right, bottom = box
    if (right - left, bottom - top) == (width, height):
        return rgba[int(top):int(bottom), int(left):int(right)]

    def resample(channel: NDArray[np.float32]) -> NDArray[np.float32]:
        image = Image.fromarray(np.ascontiguousarray(channel))
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box=box))

    alpha = resample(rgba[..., 3]).clip(0, 1)
    channels = []
    for index in range(3):
        covered, plain = resample(rgba[..., index] * rgba[..., 3]), resample(rgba[..., index])
        channels.append((covered + UNPREMULTIPLY_FLOOR * plain) / (alpha + UNPREMULTIPLY_FLOOR))
    return np.stack([*channels, alpha], 2).astype(np.float32).clip(0, 1)


def _with_margin(
    rgba: NDArray[np.float32], working: Working
) -> tuple[NDArray[np.float32], tuple[float, float, float, float]]:
    """The picture with as much emptiness around it as the box needs, and the box in there; colours go on outwards."""
    left, top, right, bottom = working.box
    beyond = (max(-left, right - working.width), max(-top, bottom - working.height))
    x, y = (max(0, math.ceil(round(side, 6))) for side in beyond)
    if x == y == 0:
        return rgba, working.box
    wide = np.pad(rgba, ((y, y), (x, x), (0, 0)), mode="edge")
    wide[..., 3] = 0
    wide[y : y + working.height, x : x + working.width, 3] = rgba[..., 3]
    return wide, (left + x, top + y, right + x, bottom + y)
