"""The pictures behind the built-in model: Microsoft's Fluent 3D emoji (MIT), fetched from npm by name and version."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

REGISTRY = "https://registry.npmjs.org"
PACKAGE = "@lobehub/fluent-emoji-3d"
VERSION = "1.1.0"
SHA256 = "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
SIDE = 128
MARGIN = 6
"""Pixels kept empty around an icon, so that small rotations and shifts stay inside the picture."""

OBJECTS_FILE = Path(__file__).with_name("objects.json")
TEMPLATES = (
    "{}",
    "{article} {}",
    "{article} {}, high quality",
    "{}, high quality",
    "a picture of {article} {}",
    "3d icon of {article} {}",
)


@dataclass(frozen=True)
class Thing:
    """One object of the closed list: ``code`` names the picture, ``names`` is the name, then its synonyms."""

    code: str
    names: tuple[str, ...]

    def captions(self) -> list[str]:
        """Every template with every name."""
        return [fill(template, name) for name in self.names for template in TEMPLATES]


def fill(template: str, name: str) -> str:
    """Put a name into a template, with the right article."""
    plural = name.endswith("s") and not name.endswith(("ss", "us"))
    vowel = name.startswith(("a", "e", "i", "o", "u", "hour")) and not name.startswith("uni")
    article = "" if plural else ("an" if vowel else "a")
    return " ".join(template.format(name, article=article).split())


def things() -> list[Thing]:
    """The closed list of objects, in a fixed order."""
    entries = json.loads(OBJECTS_FILE.read_text("utf-8"))
    return [Thing(e["code"], (e["name"], *e.get("synonyms", ()))) for e in entries]


def fetch(folder: Path, registry: str = REGISTRY) -> Path:
    """Download the icon package once and return the tar file; a wrong hash is an error and leaves nothing."""
    target = folder / f"fluent-emoji-3d-{VERSION}.tgz"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(f"{registry}/{PACKAGE}/-/fluent-emoji-3d-{VERSION}.tgz") as answer:
            data = answer.read()
        target.write_bytes(data)
    if hashlib.sha256(target.read_bytes()).hexdigest() != SHA256:
        target.unlink()
        raise RuntimeError(f"{target.name} is not the expected file; run again to download it anew")
    return target


def pictures(archive: Path, codes: list[str] | None = None) -> Tensor:
    """Icons as uint8 ``[N, 4, SIDE, SIDE]`` straight RGBA, colour padded under alpha; all of them if codes is None."""
    from backend.engine.padding import pad_rgb

    with tarfile.open(archive) as tar:
        members = {Path(m.name).stem: m for m in tar.getmembers() if m.name.endswith(".webp")}
        chosen = codes if codes is not None else sorted(c for c in members if not _is_flag_or_tone(c))
        out = []
        for code in chosen:
            file = tar.extractfile(members[code])
            assert file is not None
            icon = Image.open(io.BytesIO(file.read())).convert("RGBA")
            inner = SIDE - 2 * MARGIN
            premultiplied = icon.convert("RGBa").resize((inner, inner), Image.Resampling.LANCZOS).convert("RGBA")
            canvas = Image.new("RGBA", (SIDE, SIDE))
            canvas.paste(premultiplied, (MARGIN, MARGIN))
            rgba = np.asarray(canvas)
            rgb = np.clip(pad_rgb(rgba) * 255 + 0.5, 0, 255).astype(np.uint8)
            out.append(np.concatenate([rgb, rgba[..., 3:]], axis=2).transpose(2, 0, 1))
    return torch.from_numpy(np.stack(out))


def _is_flag_or_tone(code: str) -> bool:
    parts = code.split("-")
    return any(p.startswith(("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff", "1f1")) for p in parts) or parts[
        0
    ].startswith("00")
