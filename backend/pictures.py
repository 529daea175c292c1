"""Pictures to start from: files and layers of earlier results as straight RGBA, 8 bits each, rows top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.job import LayerSet
from protocol.limits import MAX_SIDE
from protocol.request import Role

from .outputs import on_canvas

FORMATS = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True)
class Picture:
    """A picture of `width` x `height` pixels, `pixels` having width * height * 4 bytes."""

    width: int
    height: int
    pixels: bytes


def read(path: Path) -> Picture:
    """Read a PNG, JPEG or WebP file, turned upright. Raises `invalid_request` for anything else and over `MAX_SIDE`."""
    try:
        with Image.open(path, formats=FORMATS) as file:
            # Before the pixels are unpacked: a small file may hold a picture that fills the memory.
            if max(file.size) > MAX_SIDE:
                fail(
                    ErrorCode.INVALID_REQUEST,
                    f"{path} has {file.width} x {file.height} pixels, more than {MAX_SIDE} on a side.",
                    "Make the picture smaller.",
                )
            return _picture(ImageOps.exif_transpose(file).convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is no PNG, JPEG or WebP picture, or a damaged one"
        raise LayerDiffusionError(
            ErrorCode.INVALID_REQUEST, f"{path} could not be read: {reason}.", "Check the path, or save it as PNG."
        ) from error


def of_role(layer_set: LayerSet, role: Role) -> Picture:
    """The layer of this role in the first image of a result, over the whole target area."""
    for layer in layer_set.layers:
        if layer.role is role and layer.image == 0:
            return _picture(on_canvas(layer_set, layer))
    fail(ErrorCode.INVALID_REQUEST, f"The result has no layer that is a {role.value}.", "Start from another picture.")


def _picture(image: Image.Image) -> Picture:
    return Picture(*image.size, image.tobytes())
