"""The settings of the network that the backend needs and that Krita, started from a menu, does not know."""

from __future__ import annotations

import os

NAMES = ("http_proxy", "https_proxy", "no_proxy", "HF_ENDPOINT")
"""As Python reads them first: proxies in small letters; capitals count where those are not set."""


def handed_on(earlier: object) -> dict[str, str]:
    """Return the variables that a backend started by Krita is to have.

    Args:
        earlier: what a former run returned, as read from a file; counts for each variable that is not set now. One
            that is set to nothing, or to what must not be written to a file, is left out.
    """
    known = earlier if isinstance(earlier, dict) else {}
    found = {name: _value(name, known.get(name)) for name in NAMES}
    return {name: value for name, value in found.items() if isinstance(value, str) and value and not _is_secret(value)}


def left_out() -> list[str]:
    """Return one sentence, and what to do, for each variable that is set and holds a name or a password."""
    return [
        f"{name.upper()} holds a user name or a password and was not written down for Krita: set it for the whole "
        "login (the system's settings of environment variables), or start Krita from this terminal."
        for name in NAMES
        if _is_secret(str(_value(name)))
    ]


def _value(name: str, otherwise: object = None) -> object:
    return os.environ.get(name, os.environ.get(name.upper(), otherwise))


def _is_secret(value: str) -> bool:
    return "@" in value
