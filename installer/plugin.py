"""Puts the plugin into every Krita, or into a zip for another one, and takes it out again."""

from __future__ import annotations

import contextlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from krita_plugin.build import BACKEND, HERE, NAME, PROTOCOL, SCRATCH, WEBSOCKETS, assemble, build_zip

from . import environment, krita, kritarc, network
from .errors import InstallerError
from .pip import DOWNLOADS, Pip

ACTION = f"{NAME}.action"


def install(profile: krita.Profile, python: Path, wheels: Path | None = None) -> Path:
    """Put the plugin into the profile, tell it which Python runs the backend, and switch it on; return its folder.

    `wheels` is a folder of packages to use instead of the network. Raises `InstallerError`.
    """
    wheel = websockets_wheel(python, wheels)
    try:
        plugin = assemble(profile.plugins, wheel, _connection(python, backend(profile)))
        _actions(profile).parent.mkdir(exist_ok=True)
        (profile.plugins / ACTION).replace(_actions(profile))
        kritarc.enable(profile.settings)
    except OSError as error:
        raise InstallerError(
            f"The plugin could not be put into {profile.plugins} ({error}).",
            "Close Krita, check that the folder is yours and the disk has space, then run this again.",
        ) from error
    return plugin


def _actions(profile: krita.Profile) -> Path:
    """The file from which Krita's shortcut editor knows the plugin's actions."""
    return profile.plugins.parent / "actions" / ACTION


def _connection(python: Path | None, earlier: dict[str, Any]) -> str:
    """What the plugin is to know of its backend, for `BACKEND`; `earlier` is what it knew before."""
    variables = network.handed_on(earlier.get("environment"))
    backend = {"root": str(environment.ROOT), "home": str(environment.home()), "environment": variables}
    if python is not None:
        backend["python"] = str(python)
    return json.dumps(backend, indent=1)


@contextlib.contextmanager
def withdrawn() -> Iterator[None]:
    """Meanwhile no Krita can start the backend of this folder: its packages are being changed.

    After an error it stays so, until the installer has run to its end.
    """
    plugins = [(profile.plugins / NAME, backend(profile)) for profile in krita.find() if is_ours(profile)]
    try:
        for plugin, earlier in plugins:
            environment.write(plugin / BACKEND, _connection(None, earlier))
        yield
        for plugin, earlier in plugins:
            environment.write(plugin / BACKEND, _connection(environment.python(), earlier))
    except OSError as error:
        raise InstallerError(f"Krita's folder of plugins cannot be written ({error}).", "Close Krita.") from error


def is_ours(profile: krita.Profile) -> bool:
    """Whether this installation put the plugin there; one imported from a zip, or by another one, is not."""
    known = backend(profile)
    return known.get("home") == str(environment.home()) or known.get("python") == str(environment.python())


def backend(profile: krita.Profile) -> dict[str, Any]:
    """Return what the plugin in this profile knows of its backend; {} when nothing.

    `python`, `root` and `home` are paths, `environment` is an object of variables for the backend.
    """
    try:
        known = json.loads((profile.plugins / NAME / BACKEND).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def remove(profile: krita.Profile) -> bool:
    """Take plugin and switch out of a profile, if they are ours; return whether they were. Raises `InstallerError`."""
    ours = is_ours(profile)
    scratch = profile.plugins / SCRATCH
    # Also where the first installation was stopped before the plugin was there.
    if not (ours or scratch.is_dir()):
        return False
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        if ours:
            kritarc.disable(profile.settings)
            for path in (profile.plugins / f"{NAME}.desktop", profile.plugins / ACTION, _actions(profile)):
                path.unlink(missing_ok=True)
            # Last, because it holds the sign that all of this is ours.
            shutil.rmtree(profile.plugins / NAME)
        for folder in (profile.plugins, _actions(profile).parent, profile.plugins.parent):
            # What is in use is not empty.
            with contextlib.suppress(OSError):
                folder.rmdir()
    except OSError as error:
        raise InstallerError(
            f"The plugin in {profile.plugins} could not be removed ({error}).", "Close Krita, then run this again."
        ) from error
    return ours


def differs(profile: krita.Profile) -> bool:
    """Whether the plugin in the profile is another version than this project's."""
    installed = profile.plugins / NAME
    for source, copy in ((HERE / NAME, installed), (PROTOCOL, installed / "protocol")):
        for path in source.rglob("*.py"):
            try:
                if (copy / path.relative_to(source)).read_bytes() != path.read_bytes():
                    return True
            except OSError:
                return True
    return False


def status(profile: krita.Profile) -> Iterator[tuple[bool, str]]:
    """Yield what can be said about the plugin in this profile, and whether it is as it should be."""
    plugin = profile.plugins / NAME
    if not (plugin / "__init__.py").is_file():
        yield False, "is not installed"
        return
    yield True, f"is installed in {plugin}"
    known = backend(profile)
    if known and "python" not in known:
        yield False, "waits for an installation that did not finish"
    else:
        found = Path(known.get("python", "-")).is_file() and (Path(known.get("root", "-")) / "backend").is_dir()
        yield found, "knows its backend" if found else "does not know where its backend is"
    old = differs(profile)
    yield not old, "is of another version than this backend" if old else "is of this backend's version"
    on = kritarc.is_on(profile.settings)
    yield on, "is switched on" if on else "is switched off in Krita"


def make_zip(target: Path, python: Path, wheels: Path | None = None, connected: bool = False) -> Path:
    """Write the plugin as a zip that Krita can import; return its path. Raises `InstallerError`.

    Args:
        connected: whether the zip is for this computer and tells the plugin that `python` runs the backend.
    """
    part = target.with_name(target.name + ".part")
    try:
        build_zip(part, websockets_wheel(python, wheels), _connection(python, {}) if connected else "").replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InstallerError(f"{target} could not be written ({error}).", "Choose another file.") from error
    return target


def websockets_wheel(python: Path, wheels: Path | None = None) -> Path:
    """Return the wheel of the websocket library that the plugin carries; fetch it the first time.

    `python` is any Python that has pip; `wheels` as in `install`. Raises `InstallerError`.
    """
    folder = environment.home() / DOWNLOADS
    name = f"websockets-{WEBSOCKETS}-py3-none-any.whl"
    if not is_whole(folder / name):
        (folder / name).unlink(missing_ok=True)
        fetch_websockets(Pip(python, environment.home(), wheels), folder)
    return folder / name


def is_whole(wheel: Path) -> bool:
    """Whether all of a wheel is there, as its own sums say: what stopped in the middle may have left a part."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def fetch_websockets(pip: Pip, folder: Path) -> None:
    """Fetch that wheel into a folder. Raises `InstallerError`."""
    # The release for any machine and Python, not the one with compiled parts for this machine.
    anywhere = ["--platform", "any", "--python-version", "3.9", "--implementation", "py", "--abi", "none"]
    pip.download([f"websockets=={WEBSOCKETS}"], folder, ["--no-deps", *anywhere])
