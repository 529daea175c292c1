"""Checks that the classes of the protocol make of their own fields."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import ErrorCode, fail


def integer(name: str, value: object, low: int, high: int) -> None:
    """Raise `invalid_request` unless this is a whole number within the range."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        fail(ErrorCode.INVALID_REQUEST, f"{name} must be a whole number from {low} to {high}, not {value!r:.40}.")


def number(name: str, value: object, low: float, high: float) -> None:
    """Raise `invalid_request` unless this is a number within the range."""
    # Not-a-number compares false with everything, so that this refuses it too.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
        fail(ErrorCode.INVALID_REQUEST, f"{name} must be a number from {low:g} to {high:g}, not {value!r:.40}.")


def text(name: str, value: object, low: int, high: int) -> None:
    """Raise `invalid_request` unless this is text of a length within the range."""
    if not isinstance(value, str) or not low <= len(value) <= high:
        length = len(value) if isinstance(value, str) else "none"
        fail(
            ErrorCode.INVALID_REQUEST,
            f"{name} must be a text of {low} to {high} characters (it has {length}).",
            "Make the text shorter." if isinstance(value, str) and len(value) > high else None,
        )
    if any(c < " " and c not in "\t\n\r" or "\ud800" <= c <= "\udfff" for c in value):
        fail(ErrorCode.INVALID_REQUEST, f"{name} holds characters that are not text.", "Type the text again.")


def choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise `invalid_request` unless this is one of the choices."""
    if value not in choices:
        fail(ErrorCode.INVALID_REQUEST, f"{name} must be one of {', '.join(choices)}, not {value!r:.40}.")


def member(name: str, value: object, kind: type) -> None:
    """Raise `invalid_request` unless this is of the kind."""
    if not isinstance(value, kind):
        fail(ErrorCode.INVALID_REQUEST, f"{name} must be a {kind.__name__}, not {value!r:.40}.")
