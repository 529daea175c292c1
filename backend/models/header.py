"""The header of a safetensors file: names, types and shapes of its tensors, without reading the tensors.

Format: 8 bytes little-endian length n, n bytes of JSON ``{name: {dtype, shape, data_offsets}}``, then the data
(the safetensors README is the specification).
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from protocol.errors import ErrorCode, fail

MAX_HEADER = 100_000_000
"""Longest header that the safetensors library itself accepts, in bytes."""
PICKLE_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""A zip as torch.save writes it since 1.6, and pickle protocols 2 to 5."""
BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}
CONVERT = (
    "Use the .safetensors version of this model; files of this kind can run programs when opened and are never loaded. "
    "Without such a version convert it: in Automatic1111 or Forge with the Checkpoint Merger (no interpolation, format "
    "safetensors), in ComfyUI with the nodes Load Checkpoint and Save Checkpoint."
)
CONVERT_FOLDER = (
    "Files of this kind can run programs when opened and are never loaded. Download the model with its .safetensors "
    "files; without such files load the folder in diffusers and save it with save_pretrained, which writes them."
)
DOWNLOAD_AGAIN = "Delete the file and download it again; compare its size with the one on the download page."


@dataclass(frozen=True)
class TensorInfo:
    """Type (a key of `BYTES`) and shape of one tensor of a file."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Names, types and shapes of a safetensors file's tensors.

    Raises:
        LayerDiffusionError: ``missing_file`` when there is no such file, ``bad_checkpoint`` when it is a pickle, cut
            off or otherwise no safetensors file; the message names the file.
    """
    entries, data = _read_json(path)
    entries.pop("__metadata__", None)
    try:
        header = {name: TensorInfo(str(e["dtype"]), tuple(map(int, e["shape"]))) for name, e in entries.items()}
        ends = [(name, *map(int, e["data_offsets"])) for name, e in entries.items()]
    except (ValueError, TypeError, KeyError, AttributeError):
        _damaged(path, "its header is not readable")
    for name, begin, end in ends:
        info = header[name]
        if info.dtype in BYTES and end - begin != math.prod(info.shape) * BYTES[info.dtype]:
            _damaged(path, f"the size of {name} is not that of its shape")
    needed = max((end for *_, end in ends), default=0)
    if needed != data:
        _damaged(path, f"it has {data} bytes of values, its header announces {needed}")
    return header


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file's maker wrote into its header beside the tensors. Raises as `read_header`."""
    metadata = _read_json(path)[0].get("__metadata__")
    return {str(key): str(value) for key, value in metadata.items()} if isinstance(metadata, dict) else {}


def _read_json(path: Path) -> tuple[dict[str, Any], int]:
    """The header as it stands, and the number of bytes that follow it."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        fail(ErrorCode.BAD_CHECKPOINT, f"{path.name} is a pickled file, expected a .safetensors file.", CONVERT)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            if start.startswith(PICKLE_STARTS) and struct.unpack("<Q", start.ljust(8, b"\0"))[0] > size:
                fail(ErrorCode.BAD_CHECKPOINT, f"{path.name} is a pickled file with a wrong name.", CONVERT)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
            if length > MAX_HEADER or 8 + length > size:
                _damaged(path, f"it has {size} bytes, fewer than its header announces")
            text = file.read(length)
    except FileNotFoundError:
        fail(ErrorCode.MISSING_FILE, f"The file {path} does not exist.")
    except OSError as error:
        fail(ErrorCode.MISSING_FILE, f"The file {path} cannot be read: {error.strerror}.", "Check its permissions.")
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict):
        _damaged(path, "its header is not readable")
    return entries, size - 8 - length


def _damaged(path: Path, found: str) -> NoReturn:
    fail(ErrorCode.BAD_CHECKPOINT, f"{path.name} is no complete safetensors file: {found}.", DOWNLOAD_AGAIN)
