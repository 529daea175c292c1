"""The pictures behind the built-in model: Microsoft's Fluent 3D emoji (MIT), fetched from npm by name and version."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tarfile
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from backend.builtin import translucent

REGISTRY = "https://registry.npmjs.org"
PACKAGE = "@lobehub/fluent-emoji-3d"
VERSION = "1.1.0"
SHA256 = "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
PATIENCE = 60
"""Seconds that a registry may say nothing."""
SIDE = 128
MARGIN = 6
"""Pixels kept empty around an icon, so that small rotations and shifts stay inside the picture."""

LIST_FILE = Path(__file__).with_name("list.json")
OBJECTS_FILE = Path(__file__).with_name("objects.json")
"""The list that the shipped weights were trained on; `export` writes it beside them."""
DRAWN = "drawn:"
"""Begins the code of an object that is drawn by `translucent`, not an icon."""
HOLD_OUT_EVERY = 16
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
    """One object of the closed list.

    Attributes:
        code: code points of the icon, or ``drawn:`` and the name in `translucent.TRANSLUCENT`.
        names: the name, then its synonyms.
        opacity: factor on the icon's alpha, for ghosts and ice.
    """

    code: str
    names: tuple[str, ...]
    opacity: float = 1.0

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
    entries = json.loads(LIST_FILE.read_text("utf-8"))
    return [Thing(e["code"], (e["name"], *e.get("synonyms", ())), e.get("opacity", 1.0)) for e in entries]


def fetch(folder: Path, registry: str = REGISTRY) -> Path:
    """Download the icon package once and return the tar file; a wrong hash is an error and leaves nothing."""
    target = folder / f"fluent-emoji-3d-{VERSION}.tgz"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        address = f"{registry}/{PACKAGE}/-/fluent-emoji-3d-{VERSION}.tgz"
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            data = answer.read()
        target.write_bytes(data)
    if hashlib.sha256(target.read_bytes()).hexdigest() != SHA256:
        target.unlink()
        raise RuntimeError(f"{target.name} is not the expected file; run again to download it anew")
    return target


def fetch_for(parser: argparse.ArgumentParser, folder: Path, registry: str) -> Path:
    """`fetch` for a command line: what keeps it from that ends the program with a sentence and status 2."""
    try:
        return fetch(folder, registry)
    except (OSError, HTTPException, RuntimeError, ValueError) as error:  # ValueError: no address
        parser.error(
            f"the icons cannot be fetched into {folder}: {error}. --work names another folder, --registry another npm "
            "registry"
        )


def positive(text: str) -> int:
    """A whole number above zero, as argparse wants it."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def portraits(archive: Path, chosen: list[Thing], seed: int = 0) -> Tensor:
    """One picture of each object, as `pictures`; what is drawn looks different with every seed."""
    codes = [thing.code for thing in chosen if not thing.code.startswith(DRAWN)]
    icons = iter(pictures(archive, codes) if codes else ())
    out = []
    for index, thing in enumerate(chosen):
        if thing.code.startswith(DRAWN):
            drawn = translucent.draw(thing.code.removeprefix(DRAWN), 1000 * seed + index, SIDE)
            out.append(torch.from_numpy(drawn).permute(2, 0, 1))
        else:
            icon = next(icons).clone()
            icon[3] = (icon[3] * thing.opacity).round().to(torch.uint8)
            out.append(icon)
    return torch.stack(out)


def other_icons(archive: Path, held_out: bool) -> Tensor:
    """Icons that are not in the closed list, as `pictures`: those kept for measuring, or all others."""
    listed = {thing.code for thing in things()}
    with tarfile.open(archive) as tar:
        codes = sorted({Path(m.name).stem for m in tar.getmembers() if m.name.endswith(".webp")} - listed)
    codes = [code for code in codes if not _is_flag_or_tone(code)]
    kept = codes[::HOLD_OUT_EVERY]
    return pictures(archive, kept if held_out else [code for code in codes if code not in set(kept)])


def pictures(archive: Path, codes: list[str]) -> Tensor:
    """Icons as uint8 ``[N, 4, SIDE, SIDE]`` straight RGBA, colour padded under alpha."""
    from backend.engine.padding import pad_rgb

    with tarfile.open(archive) as tar:
        members = {Path(m.name).stem: m for m in tar.getmembers() if m.name.endswith(".webp")}
        out = []
        for code in codes:
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
