"""Colour under alpha: the padded RGB of LayerDiffuse and the grey composite that a VAE is shown.

Padding continues an object's colour into its transparent surroundings, so that the encoder never sees the
arbitrary colour stored under alpha zero (LayerDiffuse, section 3.1; `pad_rgb` of the released code).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PYRAMID_STEP = 1.2


def pad_rgb(rgba: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Straight RGBA ``[H, W, 4]`` uint8 → padded RGB ``[H, W, 3]`` float32 in [0, 1].

    Opaque pixels keep their colour; a fully transparent picture becomes black.
    """
    pixels = rgba.astype(np.float32) / 255.0
    alpha = pixels[..., 3:]
    pyramid: list[tuple[NDArray[Any], NDArray[Any]]] = [(pixels[..., :3] * alpha, alpha)]
    while min(pyramid[-1][1].shape[:2]) > 1:
        colour, cover = pyramid[-1]
        size = (int(cover.shape[1] / PYRAMID_STEP), int(cover.shape[0] / PYRAMID_STEP))
        pyramid.append((
            cv2.resize(colour, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], 3),
            cv2.resize(cover, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], 1),
        ))
    colour, cover = pyramid[-1]
    filled = (colour.sum((0, 1)) / max(float(cover.sum()), 1e-8)).reshape(1, 1, 3).astype(np.float32)
    for colour, cover in reversed(pyramid):
        height, width = cover.shape[:2]
        filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, 3)
        filled = colour + filled * (1.0 - cover)
    return filled


def grey_composite(rgba: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Straight RGBA ``[H, W, 4]`` uint8 over exact mid-grey → RGB ``[H, W, 3]`` float32 in [0, 1]."""
    pixels = rgba.astype(np.float32) / 255.0
    return np.asarray(0.5 + (pixels[..., :3] - 0.5) * pixels[..., 3:], np.float32)
