"""Which models are on this machine, and the files that one of them consists of."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.job import ModelInfo
from protocol.limits import MAX_MODELS, MAX_NAME
from protocol.request import Operation

from .families import read_config, require_base

REPOSITORY = "LayerDiffusion/layerdiffusion-v1"
LAYER_FILES = {"transparent_attn": "layer_sd15_transparent_attn.safetensors"}
DECODER_FILE = "layer_sd15_vae_transparent_decoder.safetensors"
ENCODER_FILE = "layer_sd15_vae_transparent_encoder.safetensors"
BUILTIN = "builtin"
BUILTIN_FOLDER = Path(__file__).parents[1] / "builtin"
BUILTIN_NOTE = "a small model for trying things out; install SDXL or SD1.5 for real work"
SUFFIXES = (".safetensors", ".ckpt", ".pt")
"""Pickled checkpoints count as present, so that `resolve` can say why they are not used."""
SIDES = {"sd15": 512, "sdxl": 1024}
"""Family → side of the pictures that its checkpoints were made for."""
LATENT_CELL = 8
"""Pixels per latent position."""


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model.

    Attributes:
        base: checkpoint file in LDM naming, or diffusers folder.
        layers: ``{"transparent_attn": …}``, the released layer files by mode.
        decoder: transparent decoder.
        encoder: transparent (offset) encoder, None when it is not installed.
        info: what the person sees.
    """

    base: Path
    layers: Mapping[str, Path]
    decoder: Path
    encoder: Path | None
    info: ModelInfo


def folder() -> Path:
    """The models' folder: ``$LAYER_DIFFUSION_MODELS``, else ``layer-diffusion/models`` in the user's data folder.

    ``checkpoints/`` in it holds base models, ``layers/`` the files of LayerDiffuse. It need not exist.
    """
    chosen = os.environ.get("LAYER_DIFFUSION_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "layer-diffusion" / "models"


def installed() -> list[ModelInfo]:
    """Every model that can be chosen, the built-in one first; reads headers only.

    Files in ``checkpoints/`` that are no usable base model are left out; `resolve` says why.
    """
    models = []
    for model_id, base in _bases().items():
        try:
            models.append(_info(model_id, base))
        except LayerDiffusionError:
            continue
    return models[:MAX_MODELS]


def resolve(model_id: str) -> ModelFiles:
    """The files of an installed model.

    Raises:
        LayerDiffusionError: ``unknown_model``; ``bad_checkpoint`` when the base is of a wrong kind or damaged;
            ``missing_file`` naming the layer file, where it comes from and where it belongs.
    """
    base = _bases().get(model_id)
    if base is None:
        fail(
            ErrorCode.UNKNOWN_MODEL, f"There is no model {model_id!r:.100}.",
            f"Choose one of: {', '.join(m.id for m in installed()) or 'none is installed'}. "
            f"Checkpoints belong into {folder() / 'checkpoints'}.",
        )
    return _files(_info(model_id, base), base)


def resolve_path(path: Path) -> ModelFiles:
    """The files of a checkpoint or diffusers folder anywhere; its layer files may lie beside it or be installed.

    Raises: as `resolve`, and ``missing_file`` when there is nothing at the path.
    """
    if not path.exists():
        fail(ErrorCode.MISSING_FILE, f"There is nothing at {path}.", "Check the path, or give an installed model's id.")
    return _files(_info(_name(path), path), path)


def _bases() -> dict[str, Path]:
    """Model id → checkpoint or folder, whether or not it is usable."""
    bases = {}
    if (BUILTIN_FOLDER / "weights" / "model").is_dir():
        bases[BUILTIN] = BUILTIN_FOLDER / "weights" / "model"
    for path in _entries(folder() / "checkpoints"):
        # os.path asks no more than a yes or no: what cannot be looked into must not hide the other models.
        if os.path.isfile(path / "unet" / "config.json") or (
            path.suffix.lower() in SUFFIXES and os.path.isfile(path)
        ):
            bases[path.name if _name(path) in bases else _name(path)] = path
    return bases


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _name(path: Path) -> str:
    path = path.resolve() if not path.name else path
    return (path.name if path.is_dir() else path.stem).encode("utf-8", "replace").decode()[:MAX_NAME]


def _info(model_id: str, base: Path) -> ModelInfo:
    family = require_base(base)
    side = SIDES[family]
    if base.is_dir():
        sample = read_config(base / "unet").get("sample_size")
        side = sample * LATENT_CELL if isinstance(sample, int) else side
    operations = (Operation.OBJECT,)
    if model_id == BUILTIN:
        return ModelInfo(BUILTIN, "Built-in", family, side, operations, BUILTIN_NOTE, _objects())
    return ModelInfo(model_id, model_id, family, side, operations, "")


def _objects() -> tuple[str, ...]:
    """Names of the things that the built-in model was trained on."""
    return tuple(thing["name"] for thing in json.loads((BUILTIN_FOLDER / "objects.json").read_text("utf-8")))


def _files(info: ModelInfo, base: Path) -> ModelFiles:
    places = (base.parent, folder() / "layers")
    encoder = next((place / ENCODER_FILE for place in places if (place / ENCODER_FILE).is_file()), None)
    layers = {mode: _layer_file(name, places) for mode, name in LAYER_FILES.items()}
    return ModelFiles(base, layers, _layer_file(DECODER_FILE, places), encoder, info)


def _layer_file(name: str, places: tuple[Path, Path]) -> Path:
    for place in places:
        if (place / name).is_file():
            return place / name
    fail(
        ErrorCode.MISSING_FILE, f"The file {name} of LayerDiffuse is not installed.",
        f"Download it from the Hugging Face repository {REPOSITORY} and put it into {places[-1]}.",
    )
