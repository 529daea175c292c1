"""Puts the plugin into this user's Krita, or into a zip for another one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from krita_plugin.build import NAME, WEBSOCKETS, assemble, build_zip

from . import environment, krita
from .errors import InstallerError


def install(profile: krita.Profile, python: Path) -> Path:
    """Put the plugin into the profile, tell it which Python runs the backend, and switch it on; return its folder.

    Raises `InstallerError`.
    """
    try:
        plugin = assemble(profile.plugins, websockets_wheel(python))
        backend = {"python": str(python), "root": str(environment.ROOT)}
        (plugin / "backend.json").write_text(json.dumps(backend, indent=1), encoding="utf-8")
        krita.enable(profile.settings)
    except OSError as error:
        raise InstallerError(
            f"The plugin could not be put into {profile.plugins} ({error}).",
            "Close Krita, check that the folder is yours and the disk has space, then run this again.",
        ) from error
    assert plugin.name == NAME
    return plugin


def make_zip(target: Path, python: Path) -> Path:
    """Write the plugin as a zip that Krita can import; return its path. Raises `InstallerError`."""
    try:
        return build_zip(target, websockets_wheel(python))
    except OSError as error:
        raise InstallerError(f"{target} could not be written ({error}).", "Choose another file.") from error


def websockets_wheel(python: Path) -> Path:
    """Return the wheel of the websocket library that the plugin carries; fetch it the first time.

    `python` is any Python that has pip. Raises `InstallerError`.
    """
    folder = environment.home() / "downloads"
    name = f"websockets-{WEBSOCKETS}-py3-none-any.whl"
    if (folder / name).is_file():
        return folder / name
    # The release for any machine and Python, not the one with compiled parts for this machine.
    anywhere = ["--platform", "any", "--python-version", "3.9", "--implementation", "py", "--abi", "none"]
    only_this = ["--no-deps", "--only-binary=:all:", *anywhere, f"websockets=={WEBSOCKETS}"]
    # pip's messages go where they do not mix with what this program prints for others to read.
    command = [str(python), "-m", "pip", "download", "--dest", str(folder), *only_this]
    if subprocess.run(command, stdout=sys.stderr).returncode or not (folder / name).is_file():
        raise InstallerError(
            f"The package websockets {WEBSOCKETS} could not be fetched.",
            "Check the network connection, then run this again.",
        )
    return folder / name
