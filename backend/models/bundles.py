"""What a person installs: files of the catalogue bundled by what they are good for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protocol.errors import ErrorCode, fail

from .catalogue import BASES, CATALOGUE, DECODER, ENCODER, Entry, entry

SDXL_OBJECT = ("transparent_attn", DECODER, ENCODER)
SDXL_SCENES = ("fg2ble", "bg2ble", "fgble2bg", "bgble2fg")
SD15_MODES = ("transparent_attn", "joint", "fg2bg", "bg2fg", DECODER, ENCODER)


@dataclass(frozen=True)
class Bundle:
    """Files that are installed together.

    Attributes:
        name: as on the command line.
        purpose: what a person gets, without a full stop.
        files: of the catalogue.
    """

    name: str
    purpose: str
    files: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


def _layers(family: str, *modes: str) -> tuple[Entry, ...]:
    return tuple(entry(family, mode) for mode in modes)


def _base(name: str) -> Entry:
    return next(base for base in BASES if base.stem == name)


BUNDLES = (
    Bundle(
        "sdxl", "SDXL, everything: a checkpoint and all operations",
        (_base("juggernautXL_version6Rundiffusion"), *_layers("sdxl", *SDXL_OBJECT, *SDXL_SCENES)),
    ),
    Bundle(
        "sdxl-object", "SDXL, small: a checkpoint and transparent objects",
        (_base("juggernautXL_version6Rundiffusion"), *_layers("sdxl", *SDXL_OBJECT)),
    ),
    Bundle("sdxl-layers", "SDXL layers: all operations, for checkpoints that you have",
           _layers("sdxl", *SDXL_OBJECT, *SDXL_SCENES)),
    Bundle("sdxl-convolution", "SDXL, the other way to transparent objects (injection into the convolutions)",
           _layers("sdxl", "transparent_conv", DECODER, ENCODER)),
    Bundle(
        "sd15", "Stable Diffusion 1.5, everything: a checkpoint and all operations",
        (_base("realisticVisionV51_v51VAE"), *_layers("sd15", *SD15_MODES)),
    ),
    Bundle("sd15-layers", "Stable Diffusion 1.5 layers: all operations, for checkpoints that you have",
           _layers("sd15", *SD15_MODES)),
)
"""The bundles in the order in which they are offered."""


def find(names: Iterable[str]) -> tuple[Entry, ...]:
    """The files that names of bundles and of files mean, each once, in the order given.

    Args:
        names: of bundles, or of files with or without ``.safetensors``.

    Raises:
        LayerDiffusionError: ``unknown_model`` for a name that is neither.
    """
    known = {bundle.name: bundle.files for bundle in BUNDLES}
    for file in (*CATALOGUE, *BASES):
        known[file.name] = known[file.stem] = (file,)
    found: dict[Entry, None] = {}
    for name in names:
        if name not in known:
            fail(
                ErrorCode.UNKNOWN_MODEL, f"The catalogue has neither a bundle nor a file {name!r:.100}.",
                f"The bundles are: {', '.join(bundle.name for bundle in BUNDLES)}.",
            )
        found.update(dict.fromkeys(known[name]))
    return tuple(found)
