"""Looks at everything the program needs and says, for each thing that is not right, what to do."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from protocol.errors import LayerDiffusionError

from . import models
from .client import ROOT, Client, running_backend

SETUP = "Run `python3 -m installer setup` in the project's folder."
PLUGIN = "Run `python3 -m installer plugin` in the project's folder, then start Krita again."


class Level(StrEnum):
    """How a finding is to be taken."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "BAD"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: where, what was found, and what to do about it ("" when nothing)."""

    level: Level
    topic: str
    text: str
    advice: str = ""


def examine() -> Iterator[Finding]:
    """Look at versions, device, models, connection and Krita, one after the other."""
    yield from versions()
    yield from device()
    yield from installed_models()
    yield connection()
    yield from krita()


def show(findings: Iterator[Finding]) -> int:
    """Print the findings as they come; return 1 when one of them is bad, else 0."""
    bad = False
    for finding in findings:
        print(f"{finding.level:<5} {finding.topic:<22} {finding.text}", flush=True)
        if finding.advice:
            print(f"{'':<28} → {finding.advice}", flush=True)
        bad |= finding.level is Level.BAD
    return int(bad)


def versions() -> Iterator[Finding]:
    """Python, and each package of pyproject.toml against what it asks for."""
    yield Finding(Level.GOOD, "python", f"{platform.python_version()} ({sys.executable})")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for requirement in project["dependencies"]:
        name, wanted = _split(requirement)
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(Level.BAD, name, f"is not installed, {wanted} is needed", SETUP)
            continue
        pinned = wanted.removeprefix("==") if wanted.startswith("==") else None
        if pinned and version.partition("+")[0] != pinned:
            yield Finding(Level.BAD, name, f"is {version}, {pinned} is needed", SETUP)
        else:
            yield Finding(Level.GOOD, name, version)


def _split(requirement: str) -> tuple[str, str]:
    found = re.fullmatch(r"([\w.-]+)(.*)", requirement)
    assert found is not None
    return found[1], found[2]


def device() -> Iterator[Finding]:
    """Where the networks will run."""
    try:
        import torch

        from .engine.device import choose

        place = choose("sdxl").place
    except ImportError as error:
        yield Finding(Level.BAD, "device", f"torch does not load: {error}", SETUP)
        return
    if place.type == "cpu":
        text = f"processor, {torch.get_num_threads()} threads"
        yield Finding(Level.NOTE, "device", text, "Fine for the built-in model; larger ones want a graphics card.")
    else:
        name = torch.cuda.get_device_name() if place.type == "cuda" else platform.processor()
        yield Finding(Level.GOOD, "device", f"{place.type}: {name}")


def installed_models() -> Iterator[Finding]:
    """Every model, and every file in the checkpoints' folder that cannot be used, with the reason."""
    yield Finding(Level.GOOD, "models", f"are looked for in {models.folder()}")
    known = models.installed()
    if not known:
        advice = f"Put an SD1.5 checkpoint into {models.folder() / 'checkpoints'}, or get the project again."
        yield Finding(Level.BAD, "models", "none is installed, not even the built-in one", advice)
    for info in known:
        try:
            models.resolve(info.id)
        except LayerDiffusionError as error:
            yield Finding(Level.BAD, "model", f"{info.id}: {error.message}", error.hint)
            continue
        text = f"{info.id}: {info.family}, {info.native_side} pixels"
        if info.operations:
            yield Finding(Level.GOOD, "model", text + (f" ({info.note})" if info.note else ""))
        else:
            yield Finding(Level.BAD, "model", f"{text}, has no file of LayerDiffuse and can make nothing", info.note)
    checkpoints = models.folder() / "checkpoints"
    for path in sorted(checkpoints.iterdir()) if checkpoints.is_dir() else []:
        if {path.name, path.stem} & {info.id for info in known}:
            continue
        try:
            models.resolve_path(path)
        except LayerDiffusionError as error:
            yield Finding(Level.BAD, "checkpoint", f"{path.name}: {error.message}", error.hint)


def connection() -> Finding:
    """Start a backend on a free port and greet it as Krita would."""
    start = time.perf_counter()
    try:
        with running_backend() as address, Client(address):
            seconds = time.perf_counter() - start
            text = f"{address.host}:{address.port} answered {seconds:.1f} s after its start"
            return Finding(Level.GOOD, "websocket", text)
    except LayerDiffusionError as error:
        return Finding(Level.BAD, "websocket", error.message, error.hint)


def krita() -> Iterator[Finding]:
    """Is Krita here, and does it have the plugin, switched on and pointing at a backend that exists?"""
    from installer.krita import find, status

    profile = find()
    if profile is None:
        advice = f"Install Krita 5.1 or newer from krita.org or your distribution. {PLUGIN}"
        yield Finding(Level.NOTE, "krita", "was not found on this machine", advice)
        return
    yield Finding(Level.GOOD, "krita", f"keeps its plugins in {profile.plugins}")
    for good, text in status(profile):
        yield Finding(Level.GOOD if good else Level.BAD, "plugin", text, "" if good else PLUGIN)
