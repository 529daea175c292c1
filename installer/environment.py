"""The environment the backend runs in: a virtual environment with pinned packages, made, checked and repaired."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import InstallerError

ROOT = Path(__file__).resolve().parents[1]
MARKER = "complete.json"
OLDEST = (3, 11)
"""Oldest Python that the backend runs on."""
NEEDED_SPACE = 2 * 1024**3
"""Bytes that the packages take on a machine without a graphics card, with some room for unpacking."""

Run = Callable[[Sequence[str]], None]


def home() -> Path:
    """Return `$LAYER_DIFFUSION_HOME`, or the program's folder in the user's data folder."""
    chosen = os.environ.get("LAYER_DIFFUSION_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "layer-diffusion"


def folder() -> Path:
    """Return where the virtual environment is or will be."""
    return home() / "environment"


def python() -> Path:
    """Return the environment's Python, which need not exist."""
    return folder() / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def requirements() -> tuple[list[str], list[str]]:
    """Return what pyproject.toml asks for: packages to run, and those that the tests need besides."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["dependencies"], project["optional-dependencies"]["test"]


def ensure(tests: bool = False, run: Run | None = None) -> Path:
    """Make the environment, or what is missing of it; return its Python.

    Quick when everything is there. An environment whose making was interrupted, whose Python has gone or whose packages
    have changed is repaired. `run` executes one command and raises `InstallerError`; it is there for the tests.
    """
    needed, for_tests = requirements()
    parts = {"run": _digest(needed)}
    if tests:
        parts["test"] = _digest(for_tests)
    present = _marker()
    if not _works():
        present = {}
        _create()
    missing = [name for name, digest in parts.items() if present.get(name) != digest]
    if not missing:
        return python()
    # Until all of them are there, the environment counts as incomplete.
    (folder() / MARKER).unlink(missing_ok=True)
    pip = run or _run
    if "run" in missing:
        _check_space()
        torch = [requirement for requirement in needed if requirement.startswith("torch==")]
        # Alone and first, so that no other package can choose another build of it.
        pip([str(python()), "-m", "pip", "install", *torch])
        pip([str(python()), "-m", "pip", "install", *needed])
    if "test" in missing:
        pip([str(python()), "-m", "pip", "install", *for_tests])
    kept = {name: digest for name, digest in present.items() if name not in missing}
    _write(folder() / MARKER, json.dumps({**kept, **parts}))
    return python()


def _digest(packages: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(packages)).encode()).hexdigest()


def _marker() -> dict[str, str]:
    try:
        marker = json.loads((folder() / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def _works() -> bool:
    """Whether the environment has a Python that is new enough, with pip: half-made and moved ones have not."""
    question = f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"
    try:
        return subprocess.run([python(), "-c", question], capture_output=True).returncode == 0
    except OSError:
        return False


def _create() -> None:
    if importlib.util.find_spec("ensurepip") is None:
        raise InstallerError(
            "This Python cannot make virtual environments.",
            "Install its venv module (on Debian and Ubuntu: sudo apt-get install python3-venv), then run this again.",
        )
    print(f"Making an environment in {folder()} …", flush=True)
    try:
        home().mkdir(parents=True, exist_ok=True)
        venv.create(folder(), clear=True, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InstallerError(
            f"The environment in {folder()} could not be made ({error}).",
            "Check that the disk has space and that the folder is yours, or choose another with LAYER_DIFFUSION_HOME.",
        ) from error


def _check_space() -> None:
    free = shutil.disk_usage(folder()).free
    if free < NEEDED_SPACE:
        raise InstallerError(
            f"The packages need {NEEDED_SPACE / 1e9:.0f} GB, but {folder()} has only {free / 1e9:.1f} GB free.",
            "Free some space, or choose another folder with LAYER_DIFFUSION_HOME, then run this again.",
        )


def _run(command: Sequence[str]) -> None:
    print("$", " ".join(command[1:]), flush=True)
    if subprocess.run(command).returncode:
        raise InstallerError(
            "The packages could not be installed.",
            "Read pip's message above; after a network failure just run this again, it goes on where it stopped.",
        )


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
