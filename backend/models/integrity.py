"""Whether a file is the one that the catalogue means: by size and SHA-256."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from protocol.errors import LayerDiffusionError

from . import registry
from .catalogue import Entry
from .control import Control
from .header import read_header

BLOCK = 1 << 20
"""Bytes hashed at a time."""


def fault(file: Entry, path: Path, control: Control | None = None, sha256: str = "") -> str:
    """What is wrong with the file at a path, as the rest of a sentence that its name begins; "" when nothing is.

    Args:
        file: what it should be.
        control: cancels the reading of a long file.
        sha256: of the file, where it is known already.
    """
    try:
        size = path.stat().st_size
        if size != file.size:
            return f"has {size} bytes instead of {file.size}"
        # Tells more of what is no model at all than a sum does.
        read_header(path)
        if (sha256 or sha256_of(path, control)) != file.sha256:
            return "has other content than the file of the catalogue (its SHA-256 differs)"
    except LayerDiffusionError as error:
        return f"is damaged ({error.message.removesuffix('.')})"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


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
