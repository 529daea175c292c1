"""Which models are on this machine, and the files that one of them consists of."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.job import ModelInfo
from protocol.limits import MAX_MODELS, MAX_NAME, MAX_NOTE, MAX_REASON
from protocol.request import Injection, Operation

from . import registry
from .catalogue import BASE, CATALOGUE, DECODER, ENCODER, FOLDERS, LAYERS, entry
from .families import read_config, require_base
from .identity import identity
from .loras import find_lora, installed_loras
from .modes import MODES, OPERATIONS, stages
from .registry import LORA, Known
from .suitability import suitability

CHECKPOINTS, LORAS = FOLDERS[BASE], "loras"
"""Folders in the models' folder, as `LAYERS`."""
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
        layers: mode → layer file of the model's family, those that are installed.
        decoder, encoder: transparent decoder and transparent (offset) encoder of the family, None when not installed.
        info: what the person sees.
        loras: name → file.
    """

    base: Path
    layers: Mapping[str, Path]
    decoder: Path | None
    encoder: Path | None
    info: ModelInfo
    loras: Mapping[str, Path] = field(default_factory=dict)

    def layer(self, mode: str) -> Path:
        """The layer file of a mode (`modes.MODES`).

        Raises:
            LayerDiffusionError: ``missing_file`` naming the file, where it comes from and where it belongs;
                ``bad_checkpoint`` when what lies there is not that file or only a part of it;
                ``unsupported_operation`` when it is the built-in model, which has all that there is for it.
        """
        return self._need(mode, self.layers.get(mode))

    def transparent_decoder(self) -> Path:
        """The transparent decoder. Raises as `layer`."""
        return self._need(DECODER, self.decoder)

    def transparent_encoder(self) -> Path:
        """The transparent encoder. Raises as `layer`."""
        return self._need(ENCODER, self.encoder)

    def lora(self, name: str) -> Path:
        """The LoRA that a prompt calls by this name. Raises ``missing_file`` with similar names."""
        return find_lora(name, self.loras, folder() / LORAS)

    def _need(self, mode: str, path: Path | None) -> Path:
        if path is not None:
            return path
        if self.info.id == BUILTIN:
            fail(ErrorCode.UNSUPPORTED_OPERATION, f"The built-in model has no part {mode!r} and cannot do this.")
        file = entry(self.info.family, mode)
        if (folder() / LAYERS / file.name).is_file():
            fail(
                ErrorCode.BAD_CHECKPOINT, f"The file {file.name} is damaged, or is not what its name says.",
                _how_to_get(file.stem, file.repository),
            )
        fail(
            ErrorCode.MISSING_FILE, f"The file {file.name} of LayerDiffuse is not installed.",
            _how_to_get(file.stem, file.repository),
        )


def folder() -> Path:
    """The models' folder: ``$LAYER_DIFFUSION_MODELS``, else ``layer-diffusion/models`` in the user's data folder.

    In an environment that the installer put elsewhere it lies beside that, because the person chose that disk.

    ``checkpoints/`` in it holds base models, ``layers/`` the files of LayerDiffuse, ``loras/`` the user's LoRAs. It
    need not exist.
    """
    chosen = os.environ.get("LAYER_DIFFUSION_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    if (Path(sys.prefix) / "complete.json").is_file():
        return Path(sys.prefix).parent / "models"
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "layer-diffusion" / "models"


def installed() -> list[ModelInfo]:
    """Every model that can be chosen, the built-in one first, those of other programs last; reads headers only.

    Files in ``checkpoints/`` that are no usable base model are left out; `unusable` says why.
    """
    models, others = [], registry.elsewhere(folder())
    for model_id, base in _bases(others).items():
        try:
            models.append(_files(model_id, base, others, {}).info)
        except LayerDiffusionError:
            continue
    return models[:MAX_MODELS]


def lora_names() -> list[str]:
    """Names of the LoRAs on this machine, sorted."""
    return sorted(_loras(registry.elsewhere(folder())))


def places() -> dict[str, Path]:
    """Model id → file or folder, of every base model on this machine, whether or not it can be used."""
    return _bases(registry.elsewhere(folder()))


def unusable() -> dict[str, LayerDiffusionError]:
    """Model id → why it cannot be used, of everything among the base models that `installed` leaves out."""
    reasons, others = {}, registry.elsewhere(folder())
    for model_id, base in _bases(others).items():
        try:
            _files(model_id, base, others, {})
        except LayerDiffusionError as error:
            reasons[model_id] = error
    return reasons


def resolve(model_id: str) -> ModelFiles:
    """The files of an installed model. Layer files may be missing: `ModelFiles.layer` says which.

    Raises:
        LayerDiffusionError: ``unknown_model``; ``bad_checkpoint`` when the base is of a wrong kind or damaged.
    """
    others = registry.elsewhere(folder())
    base = _bases(others).get(model_id)
    if base is None:
        fail(
            ErrorCode.UNKNOWN_MODEL, f"There is no model {model_id!r:.100}.",
            f"Choose one of: {', '.join(m.id for m in installed()) or 'none is installed'}. "
            f"Checkpoints belong into {folder() / CHECKPOINTS}.",
        )
    return _files(model_id, base, others, _loras(others))


def resolve_path(path: Path) -> ModelFiles:
    """The files of a checkpoint or diffusers folder anywhere; its layer files may lie beside it or be installed.

    Raises: as `resolve`, and ``missing_file`` when there is nothing at the path.
    """
    if not path.exists():
        fail(ErrorCode.MISSING_FILE, f"There is nothing at {path}.", "Check the path, or give an installed model's id.")
    others = registry.elsewhere(folder())
    return _files(_name(path), path, others, _loras(others))


def _bases(others: Collection[Known]) -> dict[str, Path]:
    """Model id → checkpoint or folder, whether or not it is usable."""
    bases = {}
    if (BUILTIN_FOLDER / "weights" / "model").is_dir():
        bases[BUILTIN] = BUILTIN_FOLDER / "weights" / "model"
    for path in _entries(folder() / CHECKPOINTS):
        # os.path asks no more than a yes or no: what cannot be looked into must not hide the other models.
        if os.path.isfile(path / "unet" / "config.json") or (
            path.suffix.lower() in SUFFIXES and os.path.isfile(path)
        ):
            bases[path.name if _name(path) in bases else _name(path)] = path
    for path in (Path(other.path) for other in others if other.mode == BASE):
        # Programs have copies of the same file under the same name; the nearest is enough.
        bases.setdefault(_name_elsewhere(path), path)
    return bases


def _loras(others: Collection[Known]) -> dict[str, Path]:
    """LoRAs by their file's name, as `installed_loras`, with those of other programs."""
    paths = (Path(other.path) for other in others if other.mode == LORA)
    return {path.stem: path for path in paths} | installed_loras(folder() / LORAS)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _name(path: Path) -> str:
    path = path.resolve() if not path.name else path
    return (path.name if path.is_dir() else path.stem).encode("utf-8", "replace").decode()[:MAX_NAME]


def _name_elsewhere(path: Path) -> str:
    """As `_name`; of a folder in the hub's cache (``models--owner--name/snapshots/commit``) the repository's name."""
    return path.parts[-3].split("--")[-1] if path.parent.name == "snapshots" else _name(path)


def _files(model_id: str, base: Path, others: Collection[Known], loras: Mapping[str, Path]) -> ModelFiles:
    family, side = require_base(base), None
    if base.is_dir():
        side = read_config(base / "unet").get("sample_size")
    builtin = model_id == BUILTIN
    found = _layer_files(family, (base.parent,) if builtin else (base.parent, folder() / LAYERS))
    for other in () if builtin else others:
        if other.family == family and other.mode not in (BASE, LORA):
            found.setdefault(other.mode, Path(other.path))
    info = ModelInfo(
        model_id, "Built-in" if builtin else model_id, family,
        side * LATENT_CELL if isinstance(side, int) else SIDES[family],
        tuple(operation for operation in OPERATIONS[family] if not _lacks(family, operation, found)),
        BUILTIN_NOTE if builtin else _note(family, found, _suitability(base)), _objects() if builtin else (),
        {operation.value: lack for operation in OPERATIONS[family] if (lack := _lacks(family, operation, found))},
    )
    decoder, encoder = (found.pop(part, None) for part in (DECODER, ENCODER))
    return ModelFiles(base, found, decoder, encoder, info, loras)


def _objects() -> tuple[str, ...]:
    """Names of the things and places that the built-in model was trained on."""
    return tuple(thing["name"] for thing in json.loads((BUILTIN_FOLDER / "objects.json").read_text("utf-8")))


def _layer_files(family: str, places: Collection[Path]) -> dict[str, Path]:
    """Mode, `DECODER` or `ENCODER` → the file for it, from the first place that has one.

    Files that are called as in the catalogue come first, in its order; in ``layers/`` all others are looked into, too.
    """
    found: dict[str, Path] = {}
    for place in places:
        files = dict.fromkeys(place / file.name for file in CATALOGUE)
        if place == folder() / LAYERS:
            files |= dict.fromkeys(_entries(place))
        for path in files:
            known = identity(folder(), path) if path.suffix.lower() == ".safetensors" else None
            if known and known[0] == family:
                found.setdefault(known[1], path)
    return found


def _suitability(base: Path) -> str:
    return _suitability_as(base, base.stat().st_mtime_ns)


@lru_cache(1024)
def _suitability_as(base: Path, _changed: int) -> str:
    return suitability(base)


def _lacks(family: str, operation: Operation, found: Collection[str]) -> str:
    """What is missing for an operation in the first of the ways that a request can choose; "" when one can be gone."""
    lacks = []
    for injection in Injection:
        for given in operation.needs:
            way = stages(family, operation, injection, given)
            wanted = [mode.name for mode in way if not mode.alone] + [DECODER] * any(mode.transparent for mode in way)
            lacks.append([entry(family, name).name for name in wanted if name not in found])
    if not all(lacks):
        return ""
    return f"Not installed: {', '.join(lacks[0])}"[:MAX_REASON]


def _note(family: str, found: Collection[str], suitability: str) -> str:
    """What to expect of a model, and what a person can install to get more out of it."""
    wanted = [*(name for own, name in MODES if own == family), DECODER, ENCODER]
    missing = [entry(family, mode) for mode in wanted if mode not in found]
    if not missing:
        return suitability
    names = ", ".join(file.name for file in missing)
    how = _how_to_get(f"{family}-layers", missing[0].repository)
    note = " ".join(filter(None, (suitability, f"Not installed: {names}.", how)))
    if len(note) > MAX_NOTE:
        note = " ".join(filter(None, (suitability, f"{len(missing)} of its files are not installed.")))
    return note


def _how_to_get(name: str, repository: str) -> str:
    """What to do for a file of LayerDiffuse, by its name or that of its bundle."""
    return (
        f"Run python -m backend models install {name}, or download from the Hugging Face repository {repository} "
        f"into {folder() / LAYERS}."
    )
