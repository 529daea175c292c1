"""Dataclasses as values of JSON and back, by their type hints."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from enum import Enum
from typing import Annotated, Any, Union

from .errors import ErrorCode, LayerDiffusionError, fail


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def decode(hint: Any, value: Any, where: str) -> Any:
    """Return what JSON holds as what a type hint says.

    Args:
        hint: a dataclass, whose fields are exactly those of the object; an enum, a tuple, a dict with texts as keys, a
            plain type, `LayerDiffusionError`; one of these or None; a text annotated with the pattern that it has.
        value: as `json.loads` returns it.
        where: names the place in error messages.

    Raises `LayerDiffusionError`: `bad_message`, and what the dataclasses raise.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        text = decode(args[0], value, where)
        if not args[1].fullmatch(text):
            fail(ErrorCode.BAD_MESSAGE, f"{where} has a form that is not allowed.")
        return text
    if origin in (Union, types.UnionType):
        return None if value is None else decode(args[0], value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(decode(args[0], item, where) for item in value)
    if origin is dict and isinstance(value, dict):
        return {key: decode(args[1], item, f"{where}.{key:.40}") for key, item in value.items()}
    if hint is LayerDiffusionError:
        return LayerDiffusionError.from_dict(value)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        hints = _hints(typing.cast(type, hint))
        for name in value.keys() ^ hints.keys():
            fail(ErrorCode.BAD_MESSAGE, f"{where} has {'no' if name in hints else 'an unknown'} field {name!r:.60}.")
        return typing.cast(type, hint)(**{name: decode(hints[name], value[name], f"{where}.{name}") for name in hints})
    if isinstance(hint, type) and issubclass(hint, Enum) and isinstance(value, str):
        if value not in {member.value for member in hint}:
            fail(ErrorCode.BAD_MESSAGE, f"{where} cannot be {value!r:.60}.")
        return hint(value)
    # Type for type: true is not 1. A float may be written as an integer, as JSON has one kind of number.
    if type(value) is hint or (hint is float and type(value) is int):
        if isinstance(value, float) and not math.isfinite(value):
            fail(ErrorCode.BAD_MESSAGE, f"{where} is not a finite number.")
        return value
    fail(ErrorCode.BAD_MESSAGE, f"{where} has a value of the wrong type.")


def encode(value: Any) -> Any:
    """Return a value as `json.dumps` takes it and `decode` reads it back."""
    if isinstance(value, LayerDiffusionError):
        return value.to_dict()
    if dataclasses.is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    return value.value if isinstance(value, Enum) else value
