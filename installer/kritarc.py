"""The switch of the plugin in Krita's settings file; everything else in that file stays byte for byte."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

SECTION = "python"
SWITCH = "enable_layer_diffusion"


def enable(settings: Path) -> bool:
    """Switch the plugin on; return whether the file had to be changed. Raises `OSError`."""
    return _change(settings, enabled)


def disable(settings: Path) -> bool:
    """Take the switch out, and the file when nothing else is in it; return whether it had to be changed.

    Raises `OSError`.
    """
    changed = settings.exists() and _change(settings, without)
    if changed and not settings.is_symlink() and settings.stat().st_size == 0:
        settings.unlink()
    return changed


def is_on(settings: Path) -> bool:
    """Whether the plugin is switched on."""
    text = _read(settings)
    return bool(text) and enabled(text) == text


def has_section(settings: Path, name: str) -> bool:
    """Whether there is a section of this name."""
    return bool(_section(_lines(_read(settings)), name).start)


def _read(settings: Path) -> str:
    try:
        return settings.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _change(settings: Path, edit: Callable[[str], str]) -> bool:
    # Krita writes UTF-8, but a byte that is none must not be lost either. newline="" keeps the line ends.
    old = ""
    if settings.exists():
        with open(settings, encoding="utf-8", errors="surrogateescape", newline="") as file:
            old = file.read()
    new = edit(old)
    if new == old:
        return False
    settings.parent.mkdir(parents=True, exist_ok=True)
    part = settings.with_name(settings.name + ".part")
    with open(part, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(new)
    if settings.exists():
        shutil.copymode(settings, part)
    os.replace(part, settings.resolve())
    return True


def enabled(text: str) -> str:
    """Return the settings with the plugin switched on: one line changed or added, the section too if it is missing."""
    end = "\r\n" if "\r\n" in text else "\n"
    line = f"{SWITCH}=true{end}"
    lines = _lines(text)
    places = _section(lines)
    for index in places:
        if _is_switch(lines[index]):
            lines[index] = line
            return "".join(lines)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += end
    if places.start:
        lines.insert(places.start, line)
    else:
        lines += [*([end] if lines else []), f"[{SECTION}]{end}", line]
    return "".join(lines)


def without(text: str) -> str:
    """Return the settings without the switch, and without the section when nothing else is in it."""
    lines = _lines(text)
    places = _section(lines)
    kept = [line for line in lines[places.start : places.stop] if not _is_switch(line)]
    if len(kept) == len(places):
        return text
    head, tail = lines[: places.start], lines[places.stop :]
    if not "".join(kept).strip():
        head = head[:-1]
        if head and not head[-1].strip() and not tail:
            head = head[:-1]
    return "".join([*head, *kept, *tail])


def _is_switch(line: str) -> bool:
    return re.match(rf"\s*{SWITCH}\s*=", line) is not None


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _section(lines: list[str], name: str = SECTION) -> range:
    """Line numbers of a section's content; empty and starting at 0 when there is no such section."""
    start = next((index + 1 for index, line in enumerate(lines) if line.strip() == f"[{name}]"), 0)
    if not start:
        return range(0)
    stop = next((index for index in range(start, len(lines)) if lines[index].lstrip().startswith("[")), len(lines))
    return range(start, stop)
