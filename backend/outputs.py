"""Layer sets as files: OpenRaster (the freedesktop.org format that Krita opens), PNG, folders and contact sheets.

Every file is written beside its place and then moved there, so that a name never stands for half a file.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.job import Layer, LayerSet

BLENDINGS = {"normal": "svg:src-over"}
"""Blending modes as OpenRaster spells them."""
THUMBNAIL_SIDE = 256
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
SUFFIXES = (".ora", ".png")

CELL = 192
"""Side of a picture in a contact sheet, in pixels."""
LABEL = 22
SQUARE = 12
LIGHT, DARK, INK = (255, 255, 255), (214, 214, 214), (40, 40, 40)
ISOLATED = {"opacity": "1", "composite-op": "svg:src-over", "isolation": "isolate"}
"""How a group is blended in OpenRaster."""
NOT_XML = {0xFFFE: None, 0xFFFF: None}


def write(layer_set: LayerSet, path: Path) -> list[Path]:
    """Write a result in the form that the suffix of `path` asks for; return the files.

    ``.ora`` holds all layers. ``.png`` shows the target area, one file for each layer: numbered when there are several
    images, with the role when an image has several layers. A folder (no suffix) gets both and `made-with.json`. Files
    that are there already are replaced.

    Raises `LayerDiffusionError`: as `check_target`; ``disk_full``.
    """
    check_target(path)
    if path.suffix.lower() == ".ora":
        write_openraster(layer_set, path)
        return [path]
    if path.suffix.lower() == ".png":
        return _write_pngs(layer_set, path)
    with _explained(path):
        path.mkdir(exist_ok=True)
    write_openraster(layer_set, path / "layers.ora")
    _write(path / "made-with.json", lambda file: file.write(_made_with(layer_set).encode()))
    return [path / "layers.ora", *_write_pngs(layer_set, path / "layer.png"), path / "made-with.json"]


def check_target(path: Path) -> None:
    """Refuse, before anything costly is done, a path that `write` cannot write to.

    Raises `LayerDiffusionError` ``invalid_request``.
    """
    if path.is_dir() and path.suffix.lower() not in SUFFIXES:
        return
    if path.suffix and path.suffix.lower() not in SUFFIXES:
        fail(
            ErrorCode.INVALID_REQUEST,
            f"The output cannot be a file of the kind {path.suffix}.",
            "End it in .ora (layers) or .png, or name a folder.",
        )
    if not path.parent.is_dir():
        fail(ErrorCode.INVALID_REQUEST, f"There is no folder {path.parent}.", "Make it first, or choose another one.")
    if path.is_dir() or (path.exists() and not path.suffix):
        kind = "a folder" if path.is_dir() else "no folder"
        fail(ErrorCode.INVALID_REQUEST, f"The output {path} exists and is {kind}.", "Choose another name.")


def write_png(layer: Layer, path: Path, made_with: str = "") -> None:
    """Write the pixels of one layer, straight alpha, bit for bit, colour under zero alpha included.

    `made_with` becomes the text chunk "layer_diffusion". Raises `LayerDiffusionError` ``disk_full``, or
    ``invalid_request`` when the file cannot be written for another reason.
    """
    image = _image(layer)
    _write(path, lambda file: file.write(_png(image, made_with)))


def write_openraster(layer_set: LayerSet, path: Path) -> None:
    """Write all layers as OpenRaster 0.0.3, with merged image and thumbnail. Raises as `write_png`.

    The images of a batch are alternatives: the first one is shown, and each that has several layers is a group.
    """
    merged = merge(layer_set)
    thumbnail = merged.copy()
    thumbnail.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    sources = [f"data/layer{index:03d}.png" for index in range(len(layer_set.layers))]

    def fill(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            # First and uncompressed, so that the bytes at a fixed place tell the file's type.
            archive.writestr("mimetype", "image/openraster", zipfile.ZIP_STORED)
            archive.writestr("stack.xml", _stack(layer_set, sources))
            for layer, source in zip(layer_set.layers, sources, strict=True):
                archive.writestr(source, _png(_image(layer)), zipfile.ZIP_STORED)
            archive.writestr("mergedimage.png", _png(merged), zipfile.ZIP_STORED)
            archive.writestr("Thumbnails/thumbnail.png", _png(thumbnail), zipfile.ZIP_STORED)
            archive.writestr("made-with.json", _made_with(layer_set))

    _write(path, fill)


def merge(layer_set: LayerSet) -> Image.Image:
    """What the visible layers look like together: straight RGBA of the size of the request."""
    shown = [layer for layer in layer_set.layers if layer.visible and layer.image == layer_set.layers[0].image]
    if len(shown) == 1 and shown[0].opacity == 1:
        return on_canvas(layer_set, shown[0])
    merged = _canvas(layer_set)
    for layer in shown:
        picture = on_canvas(layer_set, layer)
        if layer.opacity < 1:
            picture.putalpha(picture.getchannel("A").point([round(alpha * layer.opacity) for alpha in range(256)]))
        merged.alpha_composite(picture)
    return merged


def contact_sheet(layer_sets: Sequence[LayerSet], path: Path) -> None:
    """Write one picture (.png or .jpg) of all layers over a checkerboard, each with the prompt it was made with.

    The layers of an image stand in one line.

    Raises as `write_png`.
    """
    cells = [(layer, layer_set) for layer_set in layer_sets for layer in layer_set.layers]
    if not cells:
        fail(ErrorCode.INVALID_REQUEST, "A contact sheet needs at least one picture.", "Generate something first.")
    together = max(len(image) for layer_set in layer_sets for image in _images(layer_set))
    columns = together * math.ceil(math.sqrt(len(cells) * 4 / 3) / together)
    sheet = Image.new("RGB", (columns * CELL, math.ceil(len(cells) / columns) * (CELL + LABEL)), LIGHT)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for index, (layer, layer_set) in enumerate(cells):
        x, y = index % columns * CELL, index // columns * (CELL + LABEL)
        cell = _checkerboard(CELL, CELL)
        picture = on_canvas(layer_set, layer)
        scale = CELL / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
        cell.alpha_composite(picture, ((CELL - size[0]) // 2, (CELL - size[1]) // 2))
        sheet.paste(cell.convert("RGB"), (x, y))
        label = _shortened(_label(layer_set, layer), font)
        draw.text((x + CELL // 2, y + CELL + LABEL // 2), label, INK, font, anchor="mm")
    kind = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    _write(path, lambda file: sheet.save(file, kind, **({"quality": 90} if kind == "JPEG" else {})))


def _label(layer_set: LayerSet, layer: Layer) -> str:
    prompt = " ".join((layer_set.request.prompt_of(layer.role) or layer_set.request.prompt).split())
    return f"{layer.role.value}: {prompt}" if _has_roles(layer_set) else prompt


def _has_roles(layer_set: LayerSet) -> bool:
    """Whether an image has several layers, each of another role."""
    return len({layer.role for layer in layer_set.layers}) > 1


def _images(layer_set: LayerSet) -> list[list[int]]:
    """The indices of the layers of each image."""
    numbers = dict.fromkeys(layer.image for layer in layer_set.layers)
    return [[i for i, layer in enumerate(layer_set.layers) if layer.image == number] for number in numbers]


def _shortened(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    if font.getbbox(text)[2] <= CELL - 8:
        return text
    while text and font.getbbox(text + "…")[2] > CELL - 8:
        text = text[:-1]
    return text + "…"


def _checkerboard(width: int, height: int) -> Image.Image:
    board = Image.new("RGBA", (width, height), LIGHT)
    draw = ImageDraw.Draw(board)
    for y in range(0, height, SQUARE):
        for x in range(y // SQUARE % 2 * SQUARE, width, 2 * SQUARE):
            draw.rectangle((x, y, x + SQUARE - 1, y + SQUARE - 1), DARK)
    return board


def _image(layer: Layer) -> Image.Image:
    return Image.frombytes("RGBA", (layer.box.width, layer.box.height), layer.pixels)


def _canvas(layer_set: LayerSet) -> Image.Image:
    return Image.new("RGBA", (layer_set.request.width, layer_set.request.height))


def on_canvas(layer_set: LayerSet, layer: Layer) -> Image.Image:
    """The layer at its place in the target area, cut off at the area's edges."""
    canvas = _canvas(layer_set)
    canvas.paste(_image(layer), (layer.box.x, layer.box.y))
    return canvas


def _write_pngs(layer_set: LayerSet, path: Path) -> list[Path]:
    several, has_roles = len(_images(layer_set)) > 1, _has_roles(layer_set)
    paths = []
    for layer in layer_set.layers:
        parts = [path.stem, *([str(layer.image + 1)] if several else []), *([layer.role.value] if has_roles else [])]
        paths.append(path.with_stem("-".join(parts)))
    for layer, target in zip(layer_set.layers, paths, strict=True):
        image = on_canvas(layer_set, layer)
        _write(target, lambda file, image=image: file.write(_png(image, _made_with(layer_set))))
    return paths


def _png(image: Image.Image, made_with: str = "") -> bytes:
    info = PngImagePlugin.PngInfo()
    if made_with:
        info.add_itxt("layer_diffusion", made_with)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def _made_with(layer_set: LayerSet) -> str:
    """Everything that is needed to make the result again, as JSON."""
    return json.dumps({"request": asdict(layer_set.request), "made_with": layer_set.made_with}, indent=1)


def _stack(layer_set: LayerSet, sources: Sequence[str]) -> bytes:
    size = {"w": str(layer_set.request.width), "h": str(layer_set.request.height)}
    image = ET.Element("image", {"version": "0.0.3", **size, "xres": "72", "yres": "72"})
    root = ET.SubElement(image, "stack")
    images = _images(layer_set)
    # OpenRaster lists the topmost layer first.
    for number, indices in reversed(list(enumerate(images))):
        stack, shown = root, number == 0
        if len(images) > 1 and len(indices) > 1:
            group = {"name": f"Image {number + 1}", "visibility": _visibility(shown), **ISOLATED}
            stack, shown = ET.SubElement(root, "stack", group), True
        for index in reversed(indices):
            ET.SubElement(stack, "layer", _attributes(layer_set.layers[index], sources[index], shown))
    return ET.tostring(image, encoding="UTF-8", xml_declaration=True)


def _attributes(layer: Layer, source: str, shown: bool) -> dict[str, str]:
    return {
        "name": layer.name.translate(NOT_XML),
        "src": source,
        "x": str(layer.box.x),
        "y": str(layer.box.y),
        "opacity": f"{layer.opacity:.6g}",
        "visibility": _visibility(layer.visible and shown),
        "composite-op": BLENDINGS[layer.blending],
    }


def _visibility(visible: bool) -> str:
    return "visible" if visible else "hidden"


def _write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Fill a file beside `path`, make sure that it is on the disk, and move it to its place."""
    part = path.with_name(path.name + ".part")
    with _explained(path):
        try:
            with open(part, "wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an error of the file system into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise LayerDiffusionError(
                ErrorCode.DISK_FULL,
                f"{path} could not be written because the disk is full.",
                "Free some space, or choose another folder, and try again.",
            ) from error
        raise LayerDiffusionError(
            ErrorCode.INVALID_REQUEST,
            f"{path} could not be written: {error.strerror or error}.",
            "Choose another place, or give yourself the right to write there.",
        ) from error
