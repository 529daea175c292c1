"""Looks at everything the program needs and says, for each thing that is not right, what to do."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from installer import builds, environment, hardware
from installer.errors import COMMAND
from installer.krita import find
from installer.plugin import status
from protocol.errors import LayerDiffusionError
from protocol.request import Operation

from . import models
from .client import ROOT, Client, running_backend
from .models.header import read_header

SETUP = f"Run `{COMMAND} install` in the project's folder."
AUTO = f"Run `{COMMAND} install --torch auto` in the project's folder."
PLUGIN = f"Run `{COMMAND} plugin` in the project's folder, then start Krita again."
HALF = ("*.part", "*.incomplete")
"""Names of files that are still being downloaded, by this program and by the hub's own client."""


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


def examine(port: int = 0) -> Iterator[Finding]:
    """Look at Python, versions, device, models, connection and Krita, one after the other.

    `port` is where the backend is tried; 0 takes any free one.
    """
    yield python()
    yield from versions()
    yield from device()
    yield from installed_models()
    yield from half_downloaded()
    yield connection(port)
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


def python() -> Finding:
    """Is this the Python of the environment that the installer made, and did the installer finish?"""
    text = f"{platform.python_version()} ({sys.executable})"
    theirs = environment.folder()
    if not environment.python().exists():
        return Finding(Level.GOOD, "python", text)
    if not environment.ready():
        return Finding(Level.BAD, "python", f"the installation in {theirs} did not finish or is out of date", SETUP)
    if Path(sys.prefix).resolve() != theirs.resolve():
        advice = f"Run `{environment.python()} -m backend doctor`: that is the Python that Krita starts."
        return Finding(Level.NOTE, "python", f"{text} is not the one that was installed", advice)
    return Finding(Level.GOOD, "python", text)


def versions() -> Iterator[Finding]:
    """Each package of pyproject.toml against what it asks for."""
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
    """Where the networks will run, and whether that is the best that this computer has."""
    machine = hardware.detect()
    try:
        import torch

        from .engine.device import choose

        place = choose("sdxl").place
    except (ImportError, OSError) as error:
        # Windows says with an OSError that a library is missing.
        yield Finding(Level.BAD, "device", f"torch does not load: {error}", SETUP)
        yield from graphics(machine, None, [], False)
        return
    if place.type == "cpu":
        text = f"processor, {torch.get_num_threads()} threads"
        yield Finding(Level.NOTE, "device", text, "Fine for the built-in model; larger ones want a graphics card.")
    else:
        named = {"cuda": torch.cuda.get_device_name, "xpu": torch.xpu.get_device_name}
        name = named.get(place.type, platform.processor)()
        yield Finding(Level.GOOD, "device", f"{place.type}: {name}")
    kind = "CUDA" if torch.version.cuda else "ROCm" if torch.version.hip else "XPU" if torch.version.xpu else ""
    yield from graphics(machine, kind, torch.cuda.get_arch_list(), place.type != "cpu")


def graphics(machine: hardware.Machine, kind: str | None, codes: Sequence[str], used: bool) -> Iterator[Finding]:
    """Each graphics card against its driver and the build of torch.

    Args:
        kind: what torch is built for: "CUDA", "ROCm", "XPU", or "" for the processor only; None where it does not
            load, and only drivers can be looked at.
        codes: the NVIDIA cards that it holds code for, as torch names them ("sm_90").
        used: whether torch reaches a graphics card.
    """
    kinds = {hardware.Vendor.NVIDIA: "CUDA", hardware.Vendor.AMD: "ROCm", hardware.Vendor.INTEL: "XPU"}
    for gpu in machine.gpus:
        choice = builds.choose(hardware.Machine(machine.system, machine.processor, (gpu,)))
        if choice.build.name in ("cpu", builds.PLAIN):
            yield Finding(Level.NOTE, "graphics", choice.reason, choice.advice)
        elif kind is None:
            continue
        elif kind != kinds[gpu.vendor]:
            text = f"{gpu.name} could be used, but torch is built for {kind or 'the processor only'}"
            yield Finding(Level.BAD, "graphics", text, AUTO)
        elif kind == "CUDA" and gpu.capability and not _has_code(gpu.capability, codes):
            yield Finding(Level.BAD, "graphics", f"{gpu.name}: this build of torch has no code for it", AUTO)
        elif not used:
            advice = "Restart the computer after a change of driver; if that does not help, install the driver again."
            yield Finding(Level.BAD, "graphics", f"{gpu.name}: torch does not reach it", advice)
        else:
            yield Finding(Level.GOOD, "graphics", choice.reason)


def _has_code(capability: tuple[int, int], codes: Sequence[str]) -> bool:
    """Code for a card runs on later ones of the same major number; compute_… code is compiled for any later one."""
    for code in codes:
        name, _, number = code.partition("_")
        numbers = re.match(r"(\d+)(\d)", number)
        if numbers is None:
            continue
        made_for = int(numbers[1]), int(numbers[2])
        if made_for <= capability and (name == "compute" or made_for[0] == capability[0]):
            return True
    return False


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
        if set(info.operations) - {Operation.REBLEND}:  # which the base model of SD1.5 does alone
            yield Finding(Level.GOOD, "model", text + (f" ({info.note})" if info.note else ""))
        else:
            yield Finding(Level.BAD, "model", f"{text}, has no file of LayerDiffuse and can make no layers", info.note)
    checkpoints = models.folder() / "checkpoints"
    for path in sorted(checkpoints.iterdir()) if checkpoints.is_dir() else []:
        if {path.name, path.stem} & {info.id for info in known}:
            continue
        try:
            models.resolve_path(path)
        except LayerDiffusionError as error:
            yield Finding(Level.BAD, "checkpoint", f"{path.name}: {error.message}", error.hint)


def half_downloaded() -> Iterator[Finding]:
    """Files whose download stopped in the middle, under a name that says so or under that of the whole file."""
    folders = (models.folder() / name for name in ("layers", "loras"))
    for path in sorted(path for folder in folders for path in folder.rglob("*.safetensors")):
        try:
            read_header(path)
        except LayerDiffusionError as error:
            yield Finding(Level.BAD, "download", error.message, error.hint)
    for path in sorted(path for name in HALF for path in models.folder().rglob(name)):
        text = f"{path.name} is only a part: its download has not finished"
        advice = f"Install it again, which goes on where it stopped; or remove {path}."
        yield Finding(Level.BAD, "download", text, advice)


def connection(port: int = 0) -> Finding:
    """Start a backend on this port, 0 for any free one, and greet it as Krita would."""
    start = time.perf_counter()
    try:
        with running_backend(["--port", str(port)]) as address, Client(address):
            seconds = time.perf_counter() - start
            text = f"{address.host}:{address.port} answered {seconds:.1f} s after its start"
            return Finding(Level.GOOD, "websocket", text)
    except LayerDiffusionError as error:
        return Finding(Level.BAD, "websocket", error.message, error.hint)


def krita() -> Iterator[Finding]:
    """Which Kritas are here, and do they have the plugin, switched on and pointing at a backend that exists?"""
    profiles = find()
    if not profiles:
        advice = f"Install Krita 5.1 or newer from krita.org or your distribution. {PLUGIN}"
        yield Finding(Level.NOTE, "krita", "was not found on this machine", advice)
        return
    for profile in profiles:
        text = f"{profile.kind} keeps its plugins in {profile.plugins}"
        yield Finding(Level.NOTE if profile.note else Level.GOOD, "krita", text, profile.note)
        for good, text in status(profile):
            yield Finding(Level.GOOD if good else Level.BAD, "plugin", text, "" if good else PLUGIN)
