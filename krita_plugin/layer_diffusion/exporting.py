"""Results as files: PNG with straight alpha, and OpenRaster with all layers."""

from __future__ import annotations

import contextlib
import itertools
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from .cards import Card
from .composing import flattened
from .geometry import Area
from .parameters import infotext
from .pixels import Picture, filled_up, to_rgba
from .png import png
from .protocol.request import Role
from .qt import QtGui
from .scaling import image_bytes

MERGED = "mergedimage.png"
ORA_THUMBNAIL_SIDE = 256


def save_png(path: Path, card: Card, pictures: Sequence[Picture]) -> list[Path]:
    """Write the layers of a card, each as it is and as large as the area it was made for; return the files.

    One layer takes the path; of several each one takes its name with the role put in, and a number where one of these
    files is there already: it is the path alone that somebody has agreed to replace. Raises `OSError`.
    """
    targets = [path]
    if len(pictures) > 1:
        targets = unused(path, lambda path: [_with_role(path, role) for role in card.roles])
    for target, picture in zip(targets, pictures, strict=True):
        data = png(card.area.width, card.area.height, to_rgba(filled_up(picture, card.area)), infotext(card.layer_set))
        _write(target, lambda file, data=data: file.write(data))
    return targets


def _with_role(path: Path, role: Role) -> Path:
    return path.with_name(f"{path.stem}.{role.value}{path.suffix}")


def unused(path: Path, files: Callable[[Path], list[Path]] = lambda path: [path]) -> list[Path]:
    """Return the files of a path, or of the first one with a number in its name for which none of them is there."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in itertools.count(2))
    candidates = map(files, itertools.chain([path], numbered))
    return next(targets for targets in candidates if not any(target.exists() for target in targets))


def save_openraster(path: Path, card: Card, pictures: Sequence[Picture]) -> None:
    """Write all layers of a card into one file, in the form of https://www.openraster.org. Raises `OSError`."""
    area, text = card.area, infotext(card.layer_set)
    shown = [picture for picture in pictures if picture.visible]

    def write(file) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("mimetype", "image/openraster")  # it has to be the first one
            archive.writestr("stack.xml", _stack(area, pictures))
            for number, picture in enumerate(pictures):
                size = (picture.area.width, picture.area.height)
                archive.writestr(_layer_file(number), png(*size, to_rgba(picture.pixels), text))
            archive.writestr(MERGED, _image_png(flattened(shown, area), text))
            small = flattened(shown, area, ORA_THUMBNAIL_SIDE)
            archive.writestr("Thumbnails/thumbnail.png", _image_png(small))

    _write(path, write)


def _image_png(image, text: str = "") -> bytes:
    straight = image.convertToFormat(QtGui.QImage.Format.Format_ARGB32)
    return png(image.width(), image.height(), to_rgba(image_bytes(straight, 4)), text)


def _layer_file(number: int) -> str:
    return f"data/layer{number}.png"


def _stack(area: Area, pictures: Sequence[Picture]) -> str:
    """The layers, topmost first as the format wants them."""
    layers = "".join(
        f"<layer name={quoteattr(picture.name)} src={quoteattr(_layer_file(number))}"
        f' x="{picture.area.x - area.x}" y="{picture.area.y - area.y}" opacity="{picture.opacity:g}"'
        f' visibility="{"visible" if picture.visible else "hidden"}" composite-op="svg:src-over"/>'
        for number, picture in reversed(list(enumerate(pictures)))
    )
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><image version=\"0.0.3\" w=\"{area.width}\" h=\"{area.height}\">"
        f"<stack>{layers}</stack></image>"
    )


def _write(path: Path, write: Callable) -> None:
    """Whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb") as file:
            write(file)
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
