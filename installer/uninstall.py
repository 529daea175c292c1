"""Removes what the installer made, and nothing else."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from backend.models.catalogue import BASES, CATALOGUE, LAYERS, LOCKS, PART
from backend.models.registry import NAME as REGISTRY
from backend.models.wanted import NAME as WANTED

from . import environment, krita, kritarc, lock, offline, plugin
from .errors import InstallerError
from .pip import DOWNLOADS


def uninstall(with_models: bool = False) -> tuple[list[Path], list[Path]]:
    """Remove plugins, environment and downloads, and the models if asked; return what was removed and what is kept.

    Stopped in the middle, it goes on with the next run. Raises `InstallerError`.
    """
    home = environment.home()
    profiles = krita.find()
    with lock.only_one(home):
        removed = list(_made(home, profiles))
        if with_models:
            removed += _models(offline.models_folder())
    # Not before the lock is given back: Windows removes no file that is open.
    for path in (home / environment.SIGN, home / lock.NAME, environment.default_home() / environment.POINTER):
        _remove(path)
    for folder in (home, environment.default_home()):
        _remove_if_empty(folder)
    # Kept results and styles are the person's.
    works = [profile.plugins.parent / plugin.NAME for profile in profiles]
    return removed, [path for path in (*_left(home), *works) if path.exists()]


def foreign() -> list[Path]:
    """Return the plugins that another installation put into a Krita, or the person, who imported a zip."""
    plugins = [profile.plugins / plugin.NAME for profile in krita.find() if not plugin.is_ours(profile)]
    return [path for path in plugins if path.exists()]


def remembered() -> list[Path]:
    """Return Krita's settings files in which the docker has left what it remembers, its last prompts among it."""
    return [profile.settings for profile in krita.find() if kritarc.has_section(profile.settings, plugin.NAME)]


def _left(home: Path) -> Iterator[Path]:
    """Yield the models' folder, and what lies in the program's folder beside it."""
    models = offline.models_folder()
    yield models
    for path in sorted(home.iterdir()) if home.is_dir() else ():
        if not (path.is_relative_to(models) or models.is_relative_to(path)):
            yield path


def _made(home: Path, profiles: list[krita.Profile]) -> Iterator[Path]:
    """Remove the plugins, the environment and its downloads."""
    for profile in profiles:
        if plugin.remove(profile):
            yield profile.plugins / plugin.NAME
    made = [home / DOWNLOADS, environment.log()]
    if environment.is_ours():
        made.append(environment.folder())
    # The marker goes first: what is left of a half-removed environment must not look complete.
    _remove(environment.folder() / environment.MARKER)
    yield from (path for path in made if _remove(path))


def _models(folder: Path) -> Iterator[Path]:
    """Remove the files of the catalogue; what the person or another program put beside them stays.

    In a chosen folder, which other programs may use too, these are only the layers: nobody else has a folder for them.
    """
    is_own = folder == environment.home() / "models"
    files = [file for file in (*CATALOGUE, *BASES) if is_own or file.folder == LAYERS]
    for file in files:
        path = folder / file.folder / file.name
        yield from (one for one in (path, path.with_name(path.name + PART)) if _remove(one))
    for path in (folder / REGISTRY, folder / WANTED, *folder.glob(f"*/{LOCKS}")):
        _remove(path)
    for inner in {file.folder for file in files}:
        _remove_if_empty(folder / inner)
    _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _remove(path: Path) -> bool:
    """Remove a file or a folder; return whether there was one. Links are removed, not what they lead to."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.exists() or path.is_symlink():
            path.unlink()
        else:
            return False
    except OSError as error:
        raise InstallerError(
            f"{path} could not be removed ({error.strerror or error}).", "Close Krita, then run this again."
        ) from error
    return True
