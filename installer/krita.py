"""Krita's folders, and the switch that turns a plugin on."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PLUGIN = "layer_diffusion"
SECTION = "python"
SWITCH = f"enable_{PLUGIN}"


@dataclass(frozen=True)
class Profile:
    """Where one user's Krita keeps its things: the folder of plugins, and its settings file."""

    plugins: Path
    settings: Path


def find() -> Profile | None:
    """Return the profile of this user's Krita, None when there is no sign of Krita."""
    profile = _profile()
    return profile if _program_exists() or profile.plugins.parent.is_dir() else None


def _profile() -> Profile:
    if sys.platform == "win32":
        roaming = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
        local = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        return Profile(roaming / "krita" / "pykrita", local / "kritarc")
    if sys.platform == "darwin":
        library = Path.home() / "Library"
        return Profile(library / "Application Support" / "krita" / "pykrita", library / "Preferences" / "kritarc")
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Profile(data / "krita" / "pykrita", config / "kritarc")


def _program_exists() -> bool:
    places = {
        "win32": [Path(os.environ.get("PROGRAMFILES", "C:/Program Files")) / "Krita (x64)"],
        "darwin": [Path("/Applications/krita.app")],
    }
    return shutil.which("krita") is not None or any(place.exists() for place in places.get(sys.platform, []))


def enable(settings: Path) -> bool:
    """Switch the plugin on in Krita's settings file and leave everything else in it as it is.

    Returns whether the file had to be changed. Raises `OSError`.
    """
    # Krita writes UTF-8, but a byte that is none must not be lost either. newline="" keeps the line ends.
    old = ""
    if settings.exists():
        with open(settings, encoding="utf-8", errors="surrogateescape", newline="") as file:
            old = file.read()
    new = enabled(old)
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
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    places = _section(lines)
    for index in places:
        if re.match(rf"\s*{SWITCH}\s*=", lines[index]):
            lines[index] = line
            return "".join(lines)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += end
    if places.start:
        lines.insert(places.start, line)
    else:
        lines += [*([end] if lines else []), f"[{SECTION}]{end}", line]
    return "".join(lines)


def _section(lines: list[str]) -> range:
    """Line numbers of the section's content; empty and starting at 0 when there is no such section."""
    start = next((index + 1 for index, line in enumerate(lines) if line.strip() == f"[{SECTION}]"), 0)
    if not start:
        return range(0)
    stop = next((index for index in range(start, len(lines)) if lines[index].lstrip().startswith("[")), len(lines))
    return range(start, stop)


def status(profile: Profile) -> Iterator[tuple[bool, str]]:
    """Yield what can be said about the plugin in this profile, and whether it is as it should be."""
    plugin = profile.plugins / PLUGIN
    if not (plugin / "__init__.py").is_file():
        yield False, "is not installed"
        return
    yield True, f"is installed in {plugin}"
    try:
        backend = json.loads((plugin / "backend.json").read_text(encoding="utf-8"))
        found = Path(backend["python"]).is_file() and (Path(backend["root"]) / "backend").is_dir()
    except (OSError, ValueError, KeyError, TypeError):
        found = False
    yield found, "knows its backend" if found else "does not know where its backend is"
    try:
        text = profile.settings.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        text = ""
    on = bool(text) and enabled(text) == text
    yield on, "is switched on" if on else "is switched off in Krita"
