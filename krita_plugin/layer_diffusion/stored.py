"""Messages and pictures as files hold them, which an earlier version of this plugin may have written."""

from __future__ import annotations

import json
from dataclasses import MISSING, astuple, fields
from enum import Enum
from typing import Any

from .geometry import Area
from .pixels import Picture
from .protocol.job import Layer, LayerHeader
from .protocol.messages import Done, Generate, parse
from .protocol.request import Operation, Request, Source


def read_generate(text: str) -> Generate:
    """Read a `Generate` that `build` wrote; what an earlier version did not know has its default.

    Raises `ValueError`, `KeyError`, `TypeError` or `LayerDiffusionError` for anything else.
    """
    value = json.loads(text)
    value["request"] = _request(value["request"])
    message = parse(json.dumps(value))
    if not isinstance(message, Generate):
        raise ValueError(text)
    return message


def read_done(text: str) -> Done:
    """Read a `Done` that `build` wrote, as `read_generate` does."""
    value = json.loads(text)
    layer_set = value["layer_set"]
    layer_set["request"] = _request(layer_set["request"])
    layer_set["layers"] = [_completed(LayerHeader, Layer, layer) for layer in layer_set["layers"]]
    message = parse(json.dumps(value))
    if not isinstance(message, Done):
        raise ValueError(text)
    return message


def outline(picture: Picture) -> list[Any]:
    """Return everything of a picture but its pixels, for `read_outline`."""
    return [picture.name, astuple(picture.area), picture.opacity, picture.visible, picture.image]


def read_outline(value: list[Any]) -> Picture:
    """Read what `outline` returned; the pixels are left out. Raises `ValueError` or `TypeError` for anything else."""
    name, area, opacity, visible, *image = value  # the first version had no batches
    return Picture(str(name), Area(*map(int, area)), b"", float(opacity), bool(visible), *map(int, image))


def read_typed(head: dict[str, Any]) -> str | None:
    """Return the prompt that was typed, as the first line of a file has it; earlier versions did not write it."""
    typed = head.get("typed")
    return None if typed is None else str(typed)


def _request(value: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request; to blend anew was once a blend that starts from a picture."""
    request = _completed(Request, Request, value)
    sources = [picture["source"] for picture in request["inputs"]]
    if request["operation"] == Operation.BLEND.value and Source.INIT.value in sources:
        request["operation"] = Operation.REBLEND.value
    return request


def _completed(kind: type, with_defaults: type, value: dict[str, Any]) -> dict[str, Any]:
    """The fields of `kind`, those that are missing as `with_defaults` has them; what it does not know is dropped."""
    defaults = {field.name: _plain(field.default) for field in fields(with_defaults) if field.default is not MISSING}
    known = {field.name for field in fields(kind)}
    return {name: item for name, item in {**defaults, **value}.items() if name in known}


def _plain(default: Any) -> Any:
    if isinstance(default, Enum):
        return default.value
    return list(default) if isinstance(default, tuple) else default
