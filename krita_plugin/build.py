"""Puts the plugin together: its own files, the protocol and the websocket library, as a folder or as a zip.

Krita's Python has no packages of its own to rely on, so everything the plugin needs lies inside its folder.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

NAME = "layer_diffusion"
WEBSOCKETS = "15.0.1"
"""The release to build with: the last one whose pure Python files run on every Python from 3.9 to 3.14."""
BESIDE = (f"{NAME}.desktop", f"{NAME}.action")
"""What lies beside the package's folder."""
BACKEND = "backend.json"
SCRATCH = f".{NAME}.part"
HERE = Path(__file__).resolve().parent
PROTOCOL = HERE.parent / "protocol"


def assemble(target_folder: Path | str, websockets_source: Path | str, backend: str = "") -> Path:
    """Write the files of `BESIDE` and the folder `layer_diffusion` into `target_folder`.

    Krita reads the list of shortcuts (`.action`) from the folder `actions` beside `pykrita`; its own importer puts it
    there. An older copy there is replaced as a whole. `websockets_source` is a wheel or an installed package folder of
    `WEBSOCKETS`. `backend` is the content of `BACKEND`, which tells the plugin where its backend is; "" for none.
    Returns the plugin's folder. Raises `ValueError` when `websockets_source` does not fit, `OSError` when a file cannot
    be written. Stopped in the middle, it leaves the folder `SCRATCH`, which the next call clears away.
    """
    target = Path(target_folder)
    scratch = target / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        # Put together beside the old copy, so that a failure leaves that one as it was.
        fresh = scratch / NAME
        shutil.copytree(HERE / NAME, fresh, ignore=shutil.ignore_patterns("__pycache__", BACKEND))
        _copy_python(PROTOCOL, fresh / "protocol")
        vendor = fresh / "_vendor"
        vendor.mkdir()
        (vendor / "__init__.py").write_text('"""Libraries that come with the plugin."""\n', encoding="utf-8")
        _unpack_websockets(Path(websockets_source), vendor)
        if backend:
            (fresh / BACKEND).write_text(backend, encoding="utf-8")
        plugin = target / NAME
        if plugin.exists():
            plugin.rename(scratch / "old")
        fresh.rename(plugin)
        for beside in BESIDE:
            shutil.copy(HERE / beside, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return plugin


def build_zip(target_zip: Path | str, websockets_source: Path | str, backend: str = "") -> Path:
    """Write the plugin as a zip for Krita's "Import Python Plugin from File"; return its path.

    Arguments and errors as in `assemble`.
    """
    target = Path(target_zip)
    with tempfile.TemporaryDirectory() as scratch:
        assemble(scratch, websockets_source, backend)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            # Krita looks for the folder's own entry and refuses a zip that holds files only.
            for path in sorted(Path(scratch).rglob("*")):
                archive.write(path, path.relative_to(scratch))
    return target


def _copy_python(source: Path, target: Path) -> None:
    for path in source.rglob("*.py"):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


def _unpack_websockets(source: Path, vendor: Path) -> None:
    if source.is_dir():
        version = _version((source / "version.py").read_text(encoding="utf-8")) if source.name == "websockets" else ""
        _check_version(source, version)
        _copy_python(source, vendor / "websockets")
        licences = [path for info in source.parent.glob(f"websockets-{version}.dist-info") for path in _licences(info)]
        for licence in licences:
            shutil.copy(licence, vendor / "websockets" / "LICENSE")
        return
    with zipfile.ZipFile(source) as wheel:
        names = wheel.namelist()
        version = _version(wheel.read("websockets/version.py").decode()) if "websockets/version.py" in names else ""
        _check_version(source, version)
        for name in names:
            if name.startswith("websockets/") and name.endswith(".py"):
                wheel.extract(name, vendor)
            elif name.startswith("websockets-") and name.endswith("/LICENSE"):
                (vendor / "websockets").mkdir(exist_ok=True)
                (vendor / "websockets" / "LICENSE").write_bytes(wheel.read(name))


def _licences(info: Path) -> Iterator[Path]:
    return info.rglob("LICENSE")


def _version(text: str) -> str:
    found = re.search(r'version = commit = "([\d.]+)"', text)
    return found[1] if found else ""


def _check_version(source: Path, version: str) -> None:
    if not version:
        raise ValueError(f"{source} is neither a wheel nor a package folder of websockets.")
    if int(version.split(".")[0]) not in (15, 16):
        raise ValueError(f"websockets {version} does not run on every Krita's Python; use {WEBSOCKETS}.")


def main() -> None:
    """`python -m krita_plugin.build ZIP --websockets WHEEL`."""
    parser = argparse.ArgumentParser(description="Build the zip that Krita imports.")
    parser.add_argument("zip", type=Path, help="the file to write")
    parser.add_argument("--websockets", type=Path, required=True, help=f"wheel or package folder, {WEBSOCKETS}")
    options = parser.parse_args()
    print(build_zip(options.zip, options.websockets))


if __name__ == "__main__":
    main()
