"""Which file of LayerDiffuse a file is, whatever its name: by its tensors and, where those are alike, by its sum."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from protocol.errors import ErrorCode, LayerDiffusionError, fail

from .catalogue import CATALOGUE, NAMED, Entry
from .control import Control
from .header import read_header
from .integrity import known_sha256
from .layer_files import LayerFile, classify

DAMAGED = "It is damaged: it has the size of the published file, and other content."
UNKNOWN = "Which of those that are alike cannot be told."


def identity(root: Path, path: Path, control: Control | None = None) -> tuple[str, str] | None:
    """Family and mode of a file, None when it is none of LayerDiffuse, is damaged or cannot be told from its like.

    Where its tensors tell, that is all that is read. Raises `Cancelled`.
    """
    try:
        status = path.stat()
        layer = _classified(path, status.st_mtime_ns, status.st_size)
        if layer is None:
            return None
        return (layer.families[0], layer.modes[0]) if _is_told(layer) else identify(root, path, layer, control)
    except (OSError, LayerDiffusionError):
        return None


def identify(root: Path, path: Path, layer: LayerFile, control: Control | None = None) -> tuple[str, str]:
    """Family and mode of a file with these tensors, whose sum must be right where its size is a published one.

    A sum is computed once and written into the registry of the models' folder `root`. Among files that are alike and
    have no published size, as those made by other means, the name decides.

    Raises:
        LayerDiffusionError: ``bad_checkpoint`` when it is damaged or cannot be told.
        OSError: when it cannot be read.
        Cancelled: by the control.
    """
    alike = [file for file in CATALOGUE if file.family in layer.families and file.mode in layer.modes]
    size = path.stat().st_size
    likely = [file for file in alike if file.size == size]
    entry = _by_sum(root, path, likely, control)
    if entry is None and likely:
        fail(ErrorCode.BAD_CHECKPOINT, DAMAGED, "Download it again.")
    if _is_told(layer):
        return layer.families[0], layer.modes[0]
    family, mode = (entry.family, entry.mode) if entry else NAMED.get(path.name, ("", ""))
    if family not in layer.families or mode not in layer.modes:
        fail(ErrorCode.BAD_CHECKPOINT, UNKNOWN, "Give it its usual name.")
    return family, mode


def _by_sum(root: Path, path: Path, likely: list[Entry], control: Control | None) -> Entry | None:
    """The one that has this file's SHA-256, which is only computed when there is one to compare it with."""
    sha256 = known_sha256(root, path, control) if likely else ""
    return next((file for file in likely if file.sha256 == sha256), None)


def _is_told(layer: LayerFile) -> bool:
    return len(layer.families) == len(layer.modes) == 1


@lru_cache(256)
def _classified(path: Path, _changed: int, _size: int) -> LayerFile | None:
    return classify(read_header(path))
