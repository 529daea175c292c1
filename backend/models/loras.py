"""The user's LoRAs: where they lie, and which one a name in a prompt means."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from protocol.errors import ErrorCode, LayerDiffusionError, fail

from .header import read_metadata

SUFFIXES = (".safetensors", ".ckpt", ".pt")
"""Pickled files count as present, so that reading one says why it is not used."""
NAMES_SHOWN = 5


def installed_loras(place: Path) -> dict[str, Path]:
    """File name without suffix → path, for every LoRA in a folder and the folders in it; it need not exist."""
    found: dict[str, Path] = {}
    for parent, folders, names in os.walk(place):
        folders.sort()
        for path in (Path(parent, name) for name in sorted(names)):
            if path.suffix.lower() in SUFFIXES:
                found.setdefault(path.stem, path)
    return found


def find_lora(name: str, loras: Mapping[str, Path], place: Path) -> Path:
    """The file that a prompt means by a name: of a file, or the one that the LoRA's trainer gave it.

    Args:
        loras: as from `installed_loras`.
        place: their folder, for the error.

    Raises:
        LayerDiffusionError: ``missing_file`` with the most similar names.
    """
    if name in loras:
        return loras[name]
    given = {own: path for path in reversed([*loras.values()]) if (own := _name_given(path))}
    if name in given:
        return given[name]
    near = difflib.get_close_matches(name, [*loras, *given], NAMES_SHOWN, 0.5)
    fail(
        ErrorCode.MISSING_FILE, f"There is no LoRA {name!r:.100}.",
        f"Similar names: {', '.join(near)}." if near else f"LoRAs belong into {place}.",
    )


def _name_given(path: Path) -> str:
    """``ss_output_name`` of kohya's trainer, "" where there is none."""
    try:
        status = path.stat()
        return _name_in(path, status.st_mtime_ns, status.st_size)
    except (OSError, LayerDiffusionError):
        return ""


@lru_cache(4096)
def _name_in(path: Path, _changed: int, _size: int) -> str:
    return read_metadata(path).get("ss_output_name", "")
