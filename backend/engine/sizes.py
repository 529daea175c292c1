"""From the size that a person asks for to one that the model likes, and back, without distortion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LATENT_CELL = 8
LARGEST_MULTIPLE = 64
"""The SD1.5 UNet halves its latent three times: 8 · 8 pixels."""
FULL_SIZE_SIDE = 512
"""Models trained at this side or above also work at twice the side; smaller ones fall apart into repetitions."""
UNPREMULTIPLY_FLOOR = 1e-3
"""Weight of the plain resampled colour, which takes over where alpha vanishes."""


@dataclass(frozen=True)
class Working:
    """The size a picture is generated at.

    Attributes:
        width, height: of the generated picture, multiples of 8.
        box: left, top, right, bottom of the part that is the requested picture; fractions of a pixel are meant.
    """

    width: int
    height: int
    box: tuple[float, float, float, float]


def working_size(width: int, height: int, native_side: int) -> Working:
    """The working size of a request: its aspect, an area that the model was made for, padded evenly on all sides.

    Areas below the native one are scaled up to it; areas above four times the native one (for small models: above the
    native one) are scaled down. The sides are then filled up to a multiple of an eighth of the native side, at most
    64. A request that is such a multiple and within the range is left alone.
    """
    native, area = native_side**2, width * height
    largest = native * 4 if native_side >= FULL_SIZE_SIDE else native
    scale = (min(max(area, native), largest) / area) ** 0.5
    multiple = min(max(native_side // 8 // LATENT_CELL * LATENT_CELL, LATENT_CELL), LARGEST_MULTIPLE)
    inner = (width * scale, height * scale)
    outer = [int(-(-round(side, 6) // multiple)) * multiple for side in inner]
    left, top = ((whole - part) / 2 for whole, part in zip(outer, inner, strict=True))
    if scale == 1:
        left, top = left // 1, top // 1
    return Working(outer[0], outer[1], (left, top, left + inner[0], top + inner[1]))


def to_request(rgba: NDArray[np.float32], working: Working, width: int, height: int) -> NDArray[np.float32]:
    """Cut the box out of a straight RGBA picture ``[H, W, 4]`` and bring it to ``[height, width, 4]``.

    Resampling weighs colour by alpha (Lanczos), so that no colour bleeds in from where there is nothing; under alpha
    zero the colour is the resampled colour found there.
    """
    left, top, right, bottom = working.box
    if (right - left, bottom - top) == (width, height):
        return rgba[int(top):int(bottom), int(left):int(right)]

    def resample(channel: NDArray[np.float32]) -> NDArray[np.float32]:
        image = Image.fromarray(np.ascontiguousarray(channel))
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box=working.box))

    alpha = resample(rgba[..., 3]).clip(0, 1)
    channels = []
    for index in range(3):
        covered, plain = resample(rgba[..., index] * rgba[..., 3]), resample(rgba[..., index])
        channels.append((covered + UNPREMULTIPLY_FLOOR * plain) / (alpha + UNPREMULTIPLY_FLOOR))
    return np.stack([*channels, alpha], 2).astype(np.float32).clip(0, 1)
