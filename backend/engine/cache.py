"""What is loaded, and what is applied to it: kept from one job to the next as far as the next can use it.

A base model stays while its file and the way memory is used stay the same. On top of it, in this order, lie the user's
LoRAs and one LayerDiffuse file; each is taken off exactly before something under it changes.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from backend.models import ModelFiles
from backend.models.families import base_files
from backend.models.modes import Mode
from protocol.errors import ErrorCode, fail

from . import loras, patches, prompts
from .checkpoints import BaseModel, load_base, load_decoder, load_encoder, load_layers, wrong_contents
from .device import HOST, Device, free
from .loras import LoraUse
from .preview import Ledger
from .sharing import Attached, SharingLayers, attach
from .transparency_nets import OffsetEncoder, TransparentDecoder

Stamp = tuple[str, int, int]
"""Path, time of change in nanoseconds, size."""
PARTS = 4
"""What a base model is read in: UNet, VAE, text encoder, and what belongs to transparency."""
TEXTS = 64
"""Encoded prompts that are kept."""
BLOCK = 1 << 24


class Loaded:
    """A base model on its device with what is applied to it.

    Attributes:
        base: the networks.
        device: where and how they run.
        previews: what previews of it cost, and what has been learned for them.
    """

    def __init__(self, base: BaseModel, device: Device) -> None:
        self.base, self.device, self.previews = base, device, Ledger()
        self._loras: tuple[LoraUse, ...] = ()
        self._under: patches.Applied | None = None
        self._over: patches.Applied | Attached | None = None
        self._mode: tuple[object, ...] = ()
        self._units: tuple[Stamp, SharingLayers] | None = None
        self._texts: OrderedDict[str, prompts.TextCondition] = OrderedDict()

    @property
    def attached(self) -> Attached | None:
        """The sharing units at work, if any."""
        return self._over if isinstance(self._over, Attached) else None

    def use_loras(self, uses: Sequence[LoraUse], files: ModelFiles) -> None:
        """Apply exactly these LoRAs to UNet and text encoders. Raises `LayerDiffusionError` of `loras.load`."""
        uses = tuple(uses)
        if uses == self._loras:
            return
        self.release()
        self._texts.clear()
        if self._under is not None:
            self._under.restore()
        self._under, self._loras = None, ()
        if uses:
            with self.device.holding(self.base.unet, *self.base.text_encoders):
                self._under = loras.apply(uses, files, self.base)
            self._loras = uses

    def use_mode(self, mode: Mode, path: Path, weight: float) -> None:
        """Put one LayerDiffuse file, and no other, onto the UNet; at weight 0 none.

        The UNet must be on the device. Raises ``missing_file``, ``bad_checkpoint`` or ``not_finite``.
        """
        wanted = (mode, _stamp(path), weight) if weight else ()
        if wanted == self._mode:
            return
        self.release()
        if not wanted:
            return
        if mode.family == "sd15":
            with wrong_contents(path.name):
                self._over = attach(self.base.unet, self._sharing(mode, path), merge=True, weight=weight)
        else:
            patch = patches.read(path, mode.name, HOST)
            self._over = patches.apply(self.base.unet, [(patch, weight)], self.device.spare)
        self._mode = wanted

    def release(self) -> None:
        """Take the LayerDiffuse file off: the base model with the user's LoRAs, bit by bit."""
        if isinstance(self._over, Attached):
            self._over.remove()
        elif self._over is not None:
            self._over.restore()
        self._over, self._mode = None, ()

    def encode(self, texts: Sequence[str], negative: bool = False) -> list[prompts.TextCondition]:
        """Conditions of prompts, kept for the next job; `negative` as in `prompts.encode`."""
        keys = [f"{negative}{text}" for text in texts]
        missing = [text for text, key in zip(texts, keys, strict=True) if key not in self._texts]
        if missing:
            with self.device.holding(*self.base.text_encoders):
                for text, condition in zip(missing, prompts.encode(missing, self.base, negative), strict=True):
                    self._texts[f"{negative}{text}"] = condition
        found = []
        for key in keys:
            self._texts.move_to_end(key)
            found.append(self._texts[key])
        while len(self._texts) > max(TEXTS, len(keys)):
            self._texts.popitem(last=False)
        return found

    def _sharing(self, mode: Mode, path: Path) -> SharingLayers:
        stamp = _stamp(path)
        if self._units is None or self._units[0] != stamp:
            self._units = None
            self._units = stamp, load_layers(path, self.base.unet, len(mode.frames))
        return self._units[1]


class Cache:
    """Keeps one base model and the transparent networks of its family as long as their files stay the same."""

    def __init__(self) -> None:
        self._loaded: tuple[object, Loaded] | None = None
        self._networks: dict[str, tuple[object, Any]] = {}

    def model(self, files: ModelFiles, device: Device, before_part: Callable[[int], None]) -> Loaded:
        """The base model of these files, loaded now or earlier.

        Args:
            before_part: called with 0, 1, 2 before each network is read; raises to stop.

        Raises:
            LayerDiffusionError: ``missing_file``, ``bad_checkpoint`` or ``not_finite``, naming the file.
        """
        key = (device, *(_stamp(path) for path in base_files(files.base)))
        if self._loaded is None or self._loaded[0] != key:
            self.drop()
            self._loaded = key, Loaded(load_base(files.base, device, before_part), device)
        return self._loaded[1]

    def decoder(self, path: Path, device: Device) -> TransparentDecoder:
        """The transparent decoder in this file. Raises as `model`."""
        return self._network("decoder", path, device, load_decoder)

    def encoder(self, path: Path, device: Device) -> OffsetEncoder:
        """The offset encoder in this file. Raises as `model`."""
        return self._network("encoder", path, device, load_encoder)

    def drop(self) -> None:
        """Forget everything that is loaded."""
        self._loaded = None
        self._networks.clear()
        free()

    def _network(self, name: str, path: Path, device: Device, load: Callable[..., Any]) -> Any:
        key = (device, _stamp(path))
        if name not in self._networks or self._networks[name][0] != key:
            self._networks.pop(name, None)
            dtype = device.decoder if name == "decoder" else torch.float32
            self._networks[name] = key, load(path, device.home, dtype).to(memory_format=device.memory_format)
        return self._networks[name][1]


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        fail(ErrorCode.MISSING_FILE, f"The file {path} does not exist.")
    return str(path), status.st_mtime_ns, status.st_size


def sha256(path: Path, check: Callable[[], None] = lambda: None) -> str:
    """Hexadecimal SHA-256 of a file, remembered until the file changes.

    `check` is called between the blocks of a file that is read, gigabytes perhaps; it raises to stop.
    """
    stamp = _stamp(path)
    if stamp not in _sums:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                check()
                digest.update(block)
        _sums[stamp] = digest.hexdigest()
    return _sums[stamp]


_sums: dict[Stamp, str] = {}
