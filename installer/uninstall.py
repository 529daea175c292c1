"""Removes what the installer made, and nothing else."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from . import environment, krita, lock, offline, plugin
from .errors import InstallerError


def uninstall(with_models: bool = False) -> tuple[list[Path], list[Path]]:
    """Remove plugins, environment and downloads, and the models if asked; return what was removed and what is kept.

    Stopped in the middle, it goes on with the next run. Raises `InstallerError`.
    """
    removed = []
    for profile in krita.find():
        if plugin.is_ours(profile):
            plugin.remove(profile)
            removed.append(profile.plugins / plugin.NAME)
    home = environment.home()
    models = offline.models_folder()
    made = [home / "downloads", environment.log()]
    if environment.is_ours():
        made.append(environment.folder())
    if with_models:
        made.append(models)
    # The marker goes first: what is left of a half-removed environment must not look complete.
    _remove(environment.folder() / environment.MARKER)
    removed += [path for path in made if _remove(path)]
    for path in (home / environment.SIGN, home / lock.NAME, environment.default_home() / environment.POINTER):
        _remove(path)
    for folder in {home, environment.default_home()}:
        with contextlib.suppress(OSError):
            folder.rmdir()
    kept = [path for path in (models, home) if path.exists()]
    return removed, kept[:1]


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
