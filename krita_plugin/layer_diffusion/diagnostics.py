"""What helps others to find out why something does not work, as one text without prompts and secrets."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from .protocol import VERSION
from .protocol.messages import Diagnostics
from .protocol.private import without_addresses, without_home, without_quotations
from .session import Session
from .settings import Settings

MOST_LINES = 200
"""Of a log."""
LOG_BYTES = 64 * 1024


def text(
    krita: str, qt: str, settings: Settings, session: Session, faults: Iterable[Sequence[str]],
    told: Diagnostics | None, log: Sequence[str],
) -> str:  # fmt: skip
    """Put everything together.

    `krita` and `qt` are versions, `faults` the plugin's own errors, each as lines, `told` is the backend's
    answer, where there is one, and `log` is what stands in its log otherwise.
    """
    kept = {name: value for name, value in asdict(settings).items() if "prompt" not in name and name != "negative"}
    mine = {
        "Krita": krita, "Qt": qt, "Python": platform.python_version(), "system": platform.platform(),
        "protocol": VERSION, "connection": session.link.name.lower(),
        "models": ", ".join(model.id for model in session.models) or "none",
        **{name: getattr(value, "value", value) for name, value in kept.items()},
    }  # fmt: skip
    said = [_public(f"{notice.message} {notice.hint}") for notice in session.said]
    own = [line for fault in faults for line in (*map(_public, fault), "")]
    parts = [("Plugin", _listed(mine)), ("What the docker said last", said), ("Errors of the plugin", own)]
    if told is not None:
        parts += [("Backend", _listed(told.report)), ("Last errors", list(told.errors))]
    lines = told.log if told is not None else [without_home(line) for line in log]
    parts.append(("Log of the backend", list(lines)[-MOST_LINES:]))
    return "\n".join("\n".join((f"== {title}", *lines, "")) for title, lines in parts)


def _public(text: str) -> str:
    return without_home(without_addresses(without_quotations(text)))


def _listed(values: dict) -> list[str]:
    return [f"{name}: {value}" for name, value in values.items()]


def last_lines(log: Path) -> list[str]:
    """Return the end of a log file, nothing when there is none."""
    try:
        with open(log, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES))
            data = file.read()
    except OSError:
        return []
    return data.decode("utf-8", "replace").splitlines()[-MOST_LINES:]
