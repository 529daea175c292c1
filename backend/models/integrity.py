"""Whether a file is the one that the catalogue means: by size, SHA-256 and what its tensors say."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from protocol.errors import LayerDiffusionError

from . import registry
from .catalogue import BASE, VAE, Entry
from .control import Control
from .families import FAMILIES, describe_file
from .header import read_header
from .layer_files import classify

BLOCK = 1 << 20
"""Bytes hashed at a time."""
VAE_KINDS = ("a VAE without the rest of its model", "a UNet or VAE without the rest of its model")


def fault(file: Entry, path: Path, control: Control | None = None, sha256: str = "") -> str:
    """What is wrong with the file at a path, as the rest of a sentence that its name begins; "" when nothing is.

    Args:
        file: what it should be. Where the catalogue knows no sum, size and tensors are all that is checked.
        control: cancels the reading of a long file.
        sha256: of the file, where it is known already.
    """
    try:
        size = path.stat().st_size
        if file.size is not None and size != file.size:
            return f"has {size} bytes instead of {file.size}"
        header = read_header(path)
        if file.sha256 and not (sha256 or sha256_of(path, control)).startswith(file.sha256):
            return "has other content than the file of the catalogue (its SHA-256 differs)"
    except LayerDiffusionError as error:
        return f"is damaged ({error.message.removesuffix('.')})"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "" if file.sha256 else _other_kind(file, header)


def _other_kind(file: Entry, header: dict) -> str:
    """What the tensors say where no sum does, as `fault`."""
    kind = describe_file(header)
    if file.mode == BASE:
        return "" if kind == file.family else f"is {FAMILIES.get(kind, kind)}"
    if file.mode == VAE:
        return "" if kind in VAE_KINDS else f"is {FAMILIES.get(kind, kind)}"
    found = classify(header)
    fits = found and file.family in found.families and file.mode in found.modes
    return "" if fits else "is another file than the layer file of this name"


def sha256_of(path: Path, control: Control | None = None) -> str:
    """SHA-256 of a file in hexadecimal. Raises ``OSError`` and `Cancelled`."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            if control:
                control.check()
    return digest.hexdigest()


def known_sha256(root: Path, path: Path, control: Control | None = None) -> str:
    """`sha256_of` that is computed once for as long as the file stays as it is; written down in the registry."""
    now = registry.look(path)
    old = registry.known(root).get(os.path.abspath(path))
    if old and old.sha256:
        return old.sha256
    sha256 = sha256_of(path, control)
    registry.remember(root, [replace(now, sha256=sha256)])
    return sha256
