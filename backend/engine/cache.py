"""The networks of the last used model, kept between jobs, and what identifies their files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from backend.models import ModelFiles
from backend.models.families import COMPONENTS, component_file
from protocol.errors import ErrorCode, fail

from .checkpoints import BaseModel, load_base, load_decoder, load_layers, wrong_contents
from .device import Device
from .sharing import attach
from .transparency_nets import TransparentDecoder

Stamp = tuple[str, int, int]
"""Path, time of change in nanoseconds, size."""
PARTS = 5
"""Networks of a model: UNet, VAE, text encoder, sharing units, transparent decoder."""
BLOCK = 1 << 20


@dataclass(frozen=True)
class Model:
    """Everything a job needs, loaded.

    Attributes:
        base: the base model, the sharing units attached to its UNet.
        decoder: the transparent decoder.
        device: where they are.
    """

    base: BaseModel
    decoder: TransparentDecoder
    device: Device


class Cache:
    """Keeps one loaded model as long as its files stay the same."""

    def __init__(self) -> None:
        self._key: object = None
        self._model: Model | None = None

    def model(self, files: ModelFiles, mode: str, device: Device, before_part: Callable[[int], None]) -> Model:
        """The model of these files, loaded now or earlier.

        Args:
            mode: key of ``files.layers``.
            before_part: called with 0 … `PARTS` - 1 before each network is read; raises to stop.

        Raises:
            LayerDiffusionError: ``missing_file``, ``bad_checkpoint`` or ``not_finite``, naming the file.
        """
        key = (device, *(_stamp(path) for path in (*base_files(files.base), files.layers[mode], files.decoder)))
        if self._model is None or self._key != key:
            self._model = None
            base = load_base(files.base, device, before_part)
            before_part(3)
            layers = load_layers(files.layers[mode], base.unet, device.place)
            # Here and not for each job: multiplied out, the full-size units take seconds on a CPU.
            with wrong_contents(files.layers[mode].name):
                attach(base.unet, layers, merge=True)
            before_part(4)
            decoder = load_decoder(files.decoder, device.place, device.decoder)
            self._key, self._model = key, Model(base, decoder, device)
        return self._model


def base_files(base: Path) -> list[Path]:
    """The weights of a checkpoint file or diffusers folder, the UNet's first."""
    return [component_file(base, component) for component in COMPONENTS] if base.is_dir() else [base]


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        fail(ErrorCode.MISSING_FILE, f"The file {path} does not exist.")
    return str(path), status.st_mtime_ns, status.st_size


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, remembered until the file changes."""
    return _sha256(_stamp(path))


@lru_cache(64)
def _sha256(stamp: Stamp) -> str:
    digest = hashlib.sha256()
    with Path(stamp[0]).open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
