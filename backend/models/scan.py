"""Finds models that are on this machine already, so that they are used where they lie, without copying.

A file is what its tensors say it is; where those are alike (`layer_files`), its SHA-256 decides. A file of
LayerDiffuse that is as large as a published one must have its sum, too. Nothing outside the models' folder is changed:
what was found is written into the registry there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import constants

from installer.krita import Place, find
from protocol.errors import LayerDiffusionError

from . import registry
from .catalogue import BASE
from .control import Control
from .families import FAMILIES, describe_file, describe_folder
from .header import CONVERT, PICKLE_SUFFIXES, read_header
from .identity import identify
from .layer_files import LayerFile, classify
from .registry import LORA, Known
from .suitability import suitability

DEPTH = 6
"""Folders below a place that are looked into."""
PROGRAMS = (
    "ComfyUI", "comfyui", "ComfyUI_windows_portable/ComfyUI", "stable-diffusion-webui", "stable-diffusion-webui-forge",
    "webui_forge", "webui_forge_cu*/webui", "sd-webui-forge", "sd.webui/webui", "StabilityMatrix/Models",
)
"""Usual folders of ComfyUI, Automatic1111 and Forge, in the home folder, its Documents and Downloads, and at the top of
a drive; those of two parts are archives for Windows, unpacked."""
TOPS = ("C:/", "D:/", "E:/")
"""Drives of Windows."""
PICKLED_FOLDERS = ("checkpoints", "stable-diffusion")
"""Folders of checkpoints, in small letters, where every pickled file is worth a word; elsewhere a ``.ckpt`` is."""


@dataclass(frozen=True)
class Found:
    """One file, or one folder of diffusers.

    Attributes:
        path: where it lies.
        what: what it is, for people.
        known: how it is used; None when it is not.
        note: what to expect of it, or to do with it; "" when there is nothing to say.
    """

    path: Path
    what: str
    known: Known | None = None
    note: str = ""


def usual_places(place: Place | None = None) -> list[Path]:
    """Where other programs keep models of this user on this machine, or on a made-up one; those that exist."""
    place = place or Place()
    top = [place.root / name for name in (TOPS if place.system == "win32" else ("opt",))]
    roots = [place.home, place.home / "Documents", place.home / "Downloads", *top]
    places = [path for root in roots for program in PROGRAMS for path in sorted(root.glob(program))]
    for data in (profile.plugins.parent for profile in find(place)):
        places += [data / "ai_diffusion" / "server", *_chosen_server(data / "ai_diffusion" / "settings.json")]
    places.append(Path(constants.HF_HUB_CACHE))
    existing = dict.fromkeys(path for path in places if path.is_dir())
    return [*existing, *(extra for path in existing for extra in _extra_paths(path) if extra.is_dir())]


def scan(
    root: Path, places: Iterable[Path] | None = None, control: Control | None = None,
    report: Callable[[int], None] | None = None,
) -> Iterator[Found]:
    """Look through folders and remember in the registry what can be used; what is no model is passed over.

    Args:
        root: the models' folder; files in it are passed over.
        places: folders, by default the `usual_places`.
        control: pauses and cancels.
        report: hears how many files and folders have been looked into.

    Raises:
        Cancelled: what was found so far stays known.
        OSError: when the registry cannot be written.
    """
    seen = {os.path.realpath(root)}
    paths = (path for place in (usual_places() if places is None else places) for path in _files(place, seen))
    for count, path in enumerate(paths, 1):
        if control:
            control.check()
        found = examine(root, path, control)
        if report:
            report(count)
        if found:
            if found.known:
                registry.remember(root, [found.known])
            yield found


def examine(root: Path, path: Path, control: Control | None = None) -> Found | None:
    """What a file or folder is, and how it can be used; None when it is nothing that a person would look for here."""
    if path.suffix.lower() in PICKLE_SUFFIXES and not path.is_dir():
        return Found(path, "a pickled checkpoint", None, CONVERT)
    try:
        if path.is_dir():
            return _base(path, describe_folder(path))
        header = read_header(path)
        layer = classify(header)
        if layer:
            return _layer(root, path, layer, control)
        kind, known = describe_file(header), registry.look(path)
    except (LayerDiffusionError, OSError) as error:
        return Found(path, "not readable", None, str(error))
    if kind == "a LoRA":
        return Found(path, kind, replace(known, mode=LORA))
    return _base(path, kind) if kind in FAMILIES or "checkpoint" in kind else None


def _base(path: Path, kind: str) -> Found:
    """A base model that can be used, or one of another kind."""
    if kind not in FAMILIES:
        return Found(path, kind)
    return Found(path, FAMILIES[kind], replace(registry.look(path), family=kind, mode=BASE), suitability(path))


def _layer(root: Path, path: Path, layer: LayerFile, control: Control | None) -> Found:
    what = "a file of LayerDiffuse"
    try:
        family, mode = identify(root, path, layer, control)
    except LayerDiffusionError as error:
        return Found(path, what, None, str(error))
    known = replace(registry.look(path), family=family, mode=mode)
    return Found(path, f"{what}: {mode} for {FAMILIES[family]}", known)


def _files(place: Path, seen: set[str]) -> Iterator[Path]:
    """Model files, and folders of diffusers, in a folder and below; each once however many links lead to it."""
    top = len(place.parts)
    for parent, folders, names in os.walk(place, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen or len(Path(parent).parts) - top > DEPTH:
            folders.clear()
            continue
        seen.add(real)
        if os.path.isfile(Path(parent, "unet", "config.json")):
            folders.clear()
            yield Path(parent)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        pickled = PICKLE_SUFFIXES if Path(parent).name.lower() in PICKLED_FOLDERS else (".ckpt",)
        for name in sorted(names):
            path = Path(parent, name)
            target = os.path.realpath(path)
            if path.suffix.lower() in (".safetensors", *pickled) and target not in seen:
                seen.add(target)
                yield path


def _chosen_server(settings: Path) -> list[Path]:
    """The folder that was chosen for the server of krita-ai-diffusion."""
    try:
        chosen = json.loads(settings.read_text("utf-8")).get("server_path")
    except (OSError, ValueError, AttributeError):
        return []
    return [Path(chosen)] if isinstance(chosen, str) and chosen else []


def _extra_paths(place: Path) -> list[Path]:
    """The folders that ComfyUI was told to look into as well."""
    try:
        text = (place / "extra_model_paths.yaml").read_text("utf-8", "replace")
    except OSError:
        return []
    found = re.findall(r"^\s*base_path:\s*[\"']?([^\"'#\n]+)", text, re.M)
    return [(place / os.path.expanduser(path.strip())) for path in found]
