"""The environment the backend runs in: a virtual environment with pinned packages, made, checked and repaired."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import OLDEST, builds, hardware
from .errors import COMMAND, InstallerError
from .pip import DOWNLOADS, LOG, Cause, Pip, PipError, explain, scratch
from .progress import moving, size

ROOT = Path(__file__).resolve().parents[1]
MARKER = "complete.json"
POINTER = "home.json"
SIGN = "made-by-layer-diffusion"
CHECK = "import torch, diffusers, transformers, safetensors, websockets, PIL, numpy, cv2"
WHOLE = """
import csv, importlib.metadata, os, pip, sys
for distribution in importlib.metadata.distributions():
    folder = str(distribution.locate_file(""))
    for file, _, size in csv.reader(distribution.read_text("RECORD").splitlines()):
        # What Python has compiled it compiles again.
        if not file.endswith(".pyc"):
            assert size in ("", str(os.stat(os.path.join(folder, file)).st_size))
for package in sys.argv[1:]:
    name, _, pinned = package.partition("==")
    assert pinned in ("", importlib.metadata.version(name).partition("+")[0])
"""
"""Asked of the environment's Python: whether everything in it has all of its files, and pip and the packages, as of
`_pins`, are among it."""
NAMES = """
import importlib.metadata, json
print(json.dumps(sorted({distribution.metadata["Name"] for distribution in importlib.metadata.distributions()})))
"""
HERE = (Cause.DISK, Cause.ACCESS, Cause.MEMORY)
"""Causes that lie in this computer, not in what puts pip into an environment."""
ELSEWHERE = (Cause.NETWORK, Cause.MISSING, Cause.CONFLICT, Cause.PROXY, Cause.BUSY, Cause.CUT)
"""Causes for which another index may have torch."""


@dataclass(frozen=True)
class Wish:
    """What a person may choose.

    Attributes:
        torch: name of a build, or "auto" for the one that fits the computer now; None keeps what is there.
        offline: folder whose `wheels` are taken instead of the network.
    """

    torch: str | None = None
    offline: Path | None = None

    @property
    def wheels(self) -> Path | None:
        """The folder of packages, None when they come over the network."""
        return self.offline / "wheels" if self.offline else None


DEFAULT = Wish()


def default_home() -> Path:
    """Return the program's folder in the user's data folder."""
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "layer-diffusion"


def home() -> Path:
    """Return `$LAYER_DIFFUSION_HOME`, else the folder that `choose_home` was told, else the default."""
    chosen = os.environ.get("LAYER_DIFFUSION_HOME")
    if not chosen:
        try:
            chosen = json.loads((default_home() / POINTER).read_text(encoding="utf-8"))["home"]
        except (OSError, ValueError, KeyError, TypeError):
            return default_home()
    return Path(chosen).expanduser().absolute()


def choose_home(folder: Path, keep: bool = True) -> None:
    """Use another folder from now on; later runs find it by themselves if it is to be kept. Raises `OSError`."""
    folder = folder.expanduser().absolute()
    os.environ["LAYER_DIFFUSION_HOME"] = str(folder)
    if not keep:
        return
    pointer = default_home() / POINTER
    if folder == default_home():
        pointer.unlink(missing_ok=True)
    else:
        pointer.parent.mkdir(parents=True, exist_ok=True)
        write(pointer, json.dumps({"home": str(folder)}))


def folder() -> Path:
    """Return where the virtual environment is or will be."""
    return home() / "environment"


def python() -> Path:
    """Return the environment's Python, which need not exist."""
    return folder() / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def log() -> Path:
    """Return the file with everything that pip said."""
    return home() / LOG


def requirements() -> tuple[list[str], list[str]]:
    """Return what pyproject.toml asks for: packages to run, and those that the tests need besides."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["dependencies"], project["optional-dependencies"]["test"]


def ready(wish: Wish = DEFAULT, tests: bool = False) -> bool:
    """Whether the environment is complete: all the pinned packages, the wished build of torch, and a working Python."""
    return _parts(tests).items() <= _marker().items() and _stays(wish)


def ensure(wish: Wish = DEFAULT, tests: bool = False, pip: Pip | None = None) -> Path:
    """Make the environment, or what is missing of it; return its Python.

    Quick when everything is there. When pins have changed, the packages are; an environment whose making was
    interrupted, whose Python or packages are damaged or that has another build of torch is made anew. `wish.torch` is
    the name of a build, not "auto". `pip` is there for the tests. Raises `InstallerError`.
    """
    needed, for_tests = requirements()
    parts = _parts(tests)
    stays = _stays(wish)
    present = _marker() if stays else {}
    missing = [name for name, digest in parts.items() if present.get(name) != digest]
    if not missing:
        return python()
    name = wish.torch or torch_build() or builds.choose(hardware.detect()).build.name
    if "run" in missing:
        # Before what is there is taken apart.
        check_space(builds.BUILDS[name], wish)
    if not stays:
        # Packages that an interrupted pip left can pass for whole ones; only an empty environment is sure to be right.
        _create()
    kept = {name: value for name, value in present.items() if name not in missing}
    # Until all of them are there, the environment counts as incomplete.
    _mark(kept if "run" in kept else {})
    pip = pip or Pip(python(), home(), wish.wheels)
    if "run" in missing:
        # Alone and first, so that no other package can choose another build of it.
        name, index = _install_torch(pip, needed, builds.BUILDS[name], wish)
        pip.install(needed, index)
        _check_import()
    if "test" in missing:
        pip.install(for_tests)
    _mark({**kept, **parts, "torch": name, "packages": _packages()})
    return python()


def _parts(tests: bool) -> dict[str, str]:
    needed, for_tests = requirements()
    return {"run": _digest(needed), **({"test": _digest(for_tests)} if tests else {})}


def _stays(wish: Wish) -> bool:
    """Whether the environment can be built on: it was complete, has the wished build of torch, and is undamaged."""
    present = _marker()
    if not present or wish.torch not in (None, present["torch"]):
        return False
    needed = requirements()[0]
    pins = _pins(needed) if present["run"] == _digest(needed) else []
    return _works([*pins, *present.get("packages", [])])


def _install_torch(
    pip: Pip, needed: Sequence[str], build: builds.Build, wish: Wish
) -> tuple[str, str | None]:
    """The pinned release in this build; as the package index has it when the build's own index does not answer.

    Returns the name of the build that came, and the index to ask for what it needs, None for the usual one.
    """
    pin = next(requirement for requirement in needed if requirement.startswith("torch=="))
    if build.name != builds.PLAIN:
        try:
            pip.install(["--no-deps", f"{pin}+{build.name}"], builds.index(build))
            return build.name, builds.index(build) if build.own_packages else None
        except PipError as error:
            # Once something has arrived, the index is there and the trouble is another one.
            if error.began or error.cause not in ELSEWHERE:
                raise
        plain = builds.BUILDS[builds.PLAIN]
        print(f"The build {build.name} of torch is not to be had here; {pin} is taken as the package index has it:")
        print(f"{amounts(plain, wish)}.", flush=True)
        if build.name != "cpu" and not builds.plain_runs_on_cards_of(build):
            print("It computes with the processor only: the graphics card stays unused.", flush=True)
        check_space(plain, wish)
    pip.install(["--no-deps", pin])
    return builds.PLAIN, None


def _check_import() -> None:
    answer = subprocess.run(
        [python(), "-c", CHECK], cwd=folder(), capture_output=True, text=True, errors="replace", env=clean_environment()
    )
    if answer.returncode:
        words = answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"]
        hint = (
            "Install Microsoft's Visual C++ runtime (x64), then run the same command again."
            if sys.platform == "win32" and "DLL" in answer.stderr
            else f"Run `{COMMAND} install --torch plain`; if that does not help, report this sentence."
        )
        raise InstallerError(f"The packages were installed but do not load: {words[-1]}.", hint)


def clean_environment() -> dict[str, str]:
    """This process's environment without what would make the environment's Python look elsewhere."""
    foreign = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
    return {key: value for key, value in os.environ.items() if key not in foreign}


def _pins(packages: Iterable[str]) -> list[str]:
    """Requirements as `name==version` where exactly one is asked for, as `name` else."""
    # Comparing ranges would need `packaging`, which a bare Python does not have; pip has kept to them.
    return re.findall(r"^[\w.-]+(?:==[\w.]+)?", "\n".join(packages), re.MULTILINE)


def _digest(packages: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(packages)).encode()).hexdigest()


def _marker() -> dict[str, Any]:
    """What the marker says; {} when there is none, or none of this version's: builds of torch may get other names."""
    try:
        marker = json.loads((folder() / MARKER).read_text(encoding="utf-8"))
        return marker if "run" in marker and marker["torch"] in builds.BUILDS else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _mark(parts: dict[str, Any]) -> None:
    if parts:
        write(folder() / MARKER, json.dumps(parts))
    else:
        (folder() / MARKER).unlink(missing_ok=True)


def torch_build() -> str | None:
    """Return the name of the build of torch in the complete environment; None when it is not known."""
    return _marker().get("torch")


def _packages() -> list[str]:
    """Return the names of everything that is installed in the environment."""
    return json.loads(subprocess.check_output([python(), "-I", "-c", NAMES]))


def _works(packages: Iterable[str] = ()) -> bool:
    """Whether the environment has a Python that is new enough, with pip and these packages, all whole and as pinned."""
    question = f"{WHOLE}\nsys.exit(sys.version_info < {OLDEST})"
    try:
        # Isolated, so that packages in the folder it is called from do not count.
        asked = [python(), "-I", "-c", question, *packages]
        return subprocess.run(asked, capture_output=True).returncode == 0
    except OSError:
        return False


def is_ours() -> bool:
    """Whether the environment's folder was made by this program; what is not is never emptied or removed."""
    return (home() / SIGN).is_file() or (folder() / MARKER).is_file()


def _create() -> None:
    if importlib.util.find_spec("ensurepip") is None:
        raise InstallerError(
            "This Python cannot make virtual environments.",
            "Install its venv module (on Debian and Ubuntu: sudo apt-get install python3-venv), then run this again.",
        )
    if folder().exists() and not is_ours():
        raise InstallerError(
            f"The folder {folder()} exists and was not made by this program.",
            "Choose another folder with --home, or move that one away.",
        )
    print(f"Making an environment in {folder()} …", flush=True)
    try:
        home().mkdir(parents=True, exist_ok=True)
        write(home() / SIGN, "environment, downloads and models in this folder belong to Layer Diffusion.\n")
        # A copied program does not find the libraries that some Pythons keep beside it.
        with scratch(home() / DOWNLOADS), moving("Unpacking Python's pip"):
            venv.create(folder(), clear=True, symlinks=os.name != "nt", with_pip=True)
    except subprocess.CalledProcessError as error:
        # What puts pip there failed, in another process.
        said = (error.output or b"").decode("utf-8", "replace")
        explained = explain(said, log(), error.returncode)
        raise (explained if explained.cause in HERE else _without_pip(said)) from error
    except OSError as error:
        raise InstallerError(
            f"The environment in {folder()} could not be made ({error}).",
            "Check that the disk has space and that the folder is yours, or choose another with --home.",
        ) from error
    if not _works():
        raise _without_pip()


def _without_pip(said: str = "") -> InstallerError:
    words = said.strip().splitlines()
    return InstallerError(
        f"The Python {sys.executable} could not put pip into the environment{f' ({words[-1]})' if words else ''}.",
        "Install its venv module anew (on Debian and Ubuntu: sudo apt-get install --reinstall python3-venv), or use "
        "a Python from python.org, then run the same command again.",
    )


def free_space() -> int:
    """Return the free bytes of the disk on which the program's folder is or will be."""
    place = home()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def taken(place: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; 0 when it does not exist."""
    return sum(path.lstat().st_size for path in (place, *place.rglob("*")) if path.exists() and not path.is_dir())


def amounts(build: builds.Build, wish: Wish) -> str:
    """Return how much this build and all other packages are to fetch and to keep, for people."""
    fetched = "" if wish.offline else f"about {size(build.download)} to fetch, "
    return f"{fetched}up to {size(_space(build, wish))} on the disk"


def _space(build: builds.Build, wish: Wish) -> int:
    # pip's cache stays, so that a repair fetches nothing twice.
    return build.space + (0 if wish.offline else build.download)


def check_space(build: builds.Build, wish: Wish) -> None:
    """Raise `InstallerError` when the packages of this build do not fit, with what they replace gone."""
    reused = taken(home() / DOWNLOADS) + (0 if _stays(wish) else taken(folder()))
    room = free_space() + reused
    if room < _space(build, wish):
        raise InstallerError(
            f"The packages need {size(_space(build, wish))}, but {home()} has only {size(room)} free"
            f"{', what they replace included' if reused else ''}.",
            "Free some space, or choose another folder with --home, then run this again.",
        )


def write(path: Path, text: str) -> None:
    """Write a file so that it is either the old one or the new one, never a part. Raises `OSError`."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
