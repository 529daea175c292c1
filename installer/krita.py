"""The registry of Kritas: where each kind of installation keeps its plugins and settings, and which are here."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PLUGIN = "layer_diffusion"
SANDBOX = (
    "Its sandbox may keep plugins from starting other programs. If the backend does not start there, use Krita's "
    "AppImage or your distribution's package, or connect to a backend that you start yourself."
)


@dataclass(frozen=True)
class Profile:
    """Where one Krita of this user keeps its things.

    Attributes:
        plugins: the folder of plugins, which need not exist.
        settings: the settings file, which need not exist.
        kind: for people; several programs may share one profile.
        note: what a person must know about this kind, "" when nothing.
    """

    plugins: Path
    settings: Path
    kind: str = "Krita"
    note: str = ""


@dataclass(frozen=True)
class Place:
    """One user on one computer, as far as looking for Krita goes; made up in the tests.

    Attributes:
        system: as in `sys.platform`.
        home: the user's folder.
        root: what lies below it is looked at instead of "/".
    """

    system: str = sys.platform
    home: Path = field(default_factory=Path.home)
    variables: Mapping[str, str] = field(default_factory=lambda: os.environ)
    root: Path = Path("/")

    def variable(self, name: str, otherwise: Path) -> Path:
        """Return the folder that a variable names, or another one."""
        return Path(self.variables.get(name) or otherwise)


def find(place: Place | None = None) -> list[Profile]:
    """Return the profile of every Krita of this user; none when there is no sign of Krita."""
    place = place or Place()
    native, others = {"win32": _windows, "darwin": _mac}.get(place.system, _linux)(place)
    programs = list(dict.fromkeys(_programs(place)))
    found = []
    if programs or native.plugins.parent.is_dir():
        kind = f"Krita ({', '.join(programs)})" if programs else native.kind
        found.append(Profile(native.plugins, native.settings, kind))
    return found + others


def _linux(place: Place) -> tuple[Profile, list[Profile]]:
    data = place.variable("XDG_DATA_HOME", place.home / ".local" / "share")
    config = place.variable("XDG_CONFIG_HOME", place.home / ".config")
    native = Profile(data / "krita" / "pykrita", config / "kritarc")
    others = []
    flatpak = place.home / ".var" / "app" / "org.kde.krita"
    programs = [base / "flatpak" / "app" / "org.kde.krita" for base in (data, place.root / "var" / "lib")]
    if any(path.is_dir() for path in (flatpak, *programs)):
        plugins, settings = flatpak / "data" / "krita" / "pykrita", flatpak / "config" / "kritarc"
        others.append(Profile(plugins, settings, "Krita (Flatpak)", SANDBOX))
    snap = place.home / "snap" / "krita" / "current"
    if snap.is_dir():
        plugins, settings = snap / ".local" / "share" / "krita" / "pykrita", snap / ".config" / "kritarc"
        others.append(Profile(plugins, settings, "Krita (Snap)", SANDBOX))
    return native, others


def _windows(place: Place) -> tuple[Profile, list[Profile]]:
    roaming = place.variable("APPDATA", place.home / "AppData" / "Roaming")
    local = place.variable("LOCALAPPDATA", place.home / "AppData" / "Local")
    native = Profile(roaming / "krita" / "pykrita", local / "kritarc")
    # The Store redirects an app's view of AppData into a folder of the package.
    others = [
        Profile(cache / "Roaming" / "krita" / "pykrita", cache / "Local" / "kritarc", "Krita (Windows Store)")
        for package in sorted((local / "Packages").glob("49800Krita*"))
        for cache in [package / "LocalCache"]
    ]
    return native, others


def _mac(place: Place) -> tuple[Profile, list[Profile]]:
    library = place.home / "Library"
    support = library / "Application Support" / "krita" / "pykrita"
    return Profile(support, library / "Preferences" / "kritarc"), []


def _programs(place: Place) -> Iterator[str]:
    """Yield which installations share the native profile."""
    if place.system == "win32":
        for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432"):
            folder = place.variables.get(name)
            if folder and any(Path(folder).glob("Krita*/bin/krita.exe")):
                yield "installed"
    elif place.system == "darwin":
        if any((base / "Applications" / "krita.app").is_dir() for base in (place.root, place.home)):
            yield "installed"
    else:
        if shutil.which("krita", path=place.variables.get("PATH", "")):
            yield "installed"
        if any(_appimages(place)):
            yield "AppImage"
    if any((library / "steamapps" / "common" / "Krita").is_dir() for library in _steam_libraries(place)):
        yield "Steam"


def _appimages(place: Place) -> Iterator[Path]:
    in_home = ("", "Applications", "AppImages", "Downloads", "Desktop", "bin", ".local/bin")
    for folder in (*(place.home / name for name in in_home), place.root / "opt"):
        if folder.is_dir():
            yield from (path for path in folder.iterdir() if re.fullmatch(r"(?i)krita.*\.appimage", path.name))


def _steam_libraries(place: Place) -> Iterator[Path]:
    """Yield Steam's own folder and the libraries that it knows on other disks."""
    if place.system == "win32":
        bases = [Path(place.variables[name]) / "Steam" for name in ("PROGRAMFILES(X86)",) if name in place.variables]
    elif place.system == "darwin":
        bases = [place.home / "Library" / "Application Support" / "Steam"]
    else:
        data = place.variable("XDG_DATA_HOME", place.home / ".local" / "share")
        bases = [place.home / ".steam" / "steam", data / "Steam"]
    for base in bases:
        yield base
        try:
            text = (base / "steamapps" / "libraryfolders.vdf").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        yield from (Path(path.replace("\\\\", "\\")) for path in re.findall(r'"path"\s+"([^"]+)"', text))
