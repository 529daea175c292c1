"""The builds of torch, and which of them fits a computer.

The table holds for torch 2.13: CUDA 12.6 and 13.0, ROCm 7.2, Intel XPU, processor. When the pin in pyproject.toml moves
on, compare it with PyTorch's own release compatibility matrix.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from .errors import COMMAND, InstallerError
from .hardware import Gpu, Machine, Vendor

GIB = 1024**3
INDEX = "https://download.pytorch.org/whl"
"""Where PyTorch publishes its builds; LAYER_DIFFUSION_TORCH_INDEX names a mirror with the same folders."""
PLAIN = "plain"
LINUX = sys.platform not in ("win32", "darwin")


@dataclass(frozen=True)
class Build:
    """One build of torch.

    Attributes:
        name: the folder of the index, which is the local part of the version too ("2.13.0+cu130").
        title: for people.
        download: bytes that torch and everything else together have to be fetched; an estimate on the high side.
        space: bytes that it takes when unpacked, what the packing needs meanwhile included, without what was fetched;
            the same.
        own_packages: whether it needs packages that only its own index has.
    """

    name: str
    title: str
    download: int
    space: int
    own_packages: bool = False


BUILDS = {
    build.name: build
    for build in (
        Build("cpu", "processor only", GIB // 2, 2 * GIB),
        Build("cu130", "NVIDIA, CUDA 13.0", 3 * GIB, 9 * GIB),
        Build("cu126", "NVIDIA, CUDA 12.6", 3 * GIB, 9 * GIB),
        Build("rocm7.2", "AMD, ROCm 7.2", 6 * GIB, 20 * GIB, own_packages=True),
        Build("xpu", "Intel Arc", 3 * GIB, 9 * GIB, own_packages=True),
        # With Metal on a Mac, for the processor on Windows, with CUDA on Linux.
        Build(PLAIN, "as the package index has it", *((3 * GIB, 9 * GIB) if LINUX else (GIB // 2, 2 * GIB))),
    )
}

CUDA = {"cu130": ((7, 5), (12, 9)), "cu126": ((5, 0), (9, 0))}
"""The lowest and the highest compute capability that a build has code for."""
_UNKNOWN_CARD: tuple[int, int] = (7, 5)
ARC = ("0x56", "0xe2")
"""How the PCI numbers of Intel's Arc cards begin (Alchemist, Battlemage); older graphics cannot run torch."""
ROCM = frozenset(
    f"gfx{name}"
    for name in "900 906 908 90a 942 950 1030 1100 1101 1102 1103 1150 1151 1200 1201".split()
)
"""What torch's build for ROCm 7.2 has code for (its release script, .ci/docker/manywheel/build.sh)."""


@dataclass(frozen=True)
class Choice:
    """A build, why it was chosen, and what could be better ("" when nothing)."""

    build: Build
    reason: str
    advice: str = ""


def index(build: Build) -> str:
    """Return the address of the index that has this build."""
    return f"{(os.environ.get('LAYER_DIFFUSION_TORCH_INDEX') or INDEX).rstrip('/')}/{build.name}"


def choose(machine: Machine) -> Choice:
    """Return the build that makes the most of this computer. Raises `InstallerError` when there is none at all."""
    if machine.system == "darwin":
        if machine.processor != "arm64":
            raise InstallerError(
                "PyTorch has no builds for Macs with an Intel processor any more.",
                "Run the backend on another computer; see `serve` in the README.",
            )
        return Choice(BUILDS[PLAIN], "a Mac with Apple silicon: computes with Metal")
    choices = [_for_gpu(gpu, machine) for gpu in machine.gpus]
    usable = [choice for choice in choices if choice.build.name not in ("cpu", PLAIN)]
    if usable:
        return usable[0]
    processor = BUILDS["cpu" if machine.system == "linux" else PLAIN]
    advices = [choice for choice in choices if choice.advice]
    if advices:
        return Choice(processor, advices[0].reason, advices[0].advice)
    return Choice(processor, "no graphics card that torch can use: computes with the processor")


def _for_gpu(gpu: Gpu, machine: Machine) -> Choice:
    if gpu.vendor is Vendor.NVIDIA:
        return _for_nvidia(gpu, machine)
    processor = BUILDS["cpu"]
    if gpu.vendor is Vendor.AMD:
        if machine.system != "linux":
            return Choice(processor, f"{gpu.name}: torch has no build for AMD on Windows", "On Linux it can be used.")
        if not gpu.works:
            return Choice(
                processor, f"{gpu.name}: /dev/kfd is missing", "Load the amdgpu driver with its compute part, then "
                f"run `{COMMAND} install --torch auto`.",
            )
        if gpu.architecture and gpu.architecture not in ROCM:
            return Choice(
                processor, f"{gpu.name}: torch has no code for {gpu.architecture}",
                "If ROCm works with it in the guise of a related card (HSA_OVERRIDE_GFX_VERSION), run "
                f"`{COMMAND} install --torch rocm7.2`.",
            )
        return Choice(BUILDS["rocm7.2"], f"{gpu.name} with the amdgpu driver")
    number = gpu.name.partition(" ")[2]
    if machine.processor == "x86_64" and ("Arc" in gpu.name or number.startswith(ARC)):
        if not gpu.works:
            return Choice(
                processor, f"{gpu.name}: no driver",
                f"Install Intel's driver, then run `{COMMAND} install --torch auto`.",
            )
        return Choice(BUILDS["xpu"], gpu.name)
    return Choice(processor, f"{gpu.name}: not among the graphics that torch can use")


def has_code(build: str, capability: tuple[int, int]) -> bool:
    """Whether a build runs on NVIDIA cards of this compute capability; nothing is known against it for other builds."""
    lowest, highest = CUDA.get(build, (capability, capability))
    return lowest <= capability <= highest


def plain_runs_on_cards_of(build: Build) -> bool:
    """Whether the plain release computes with the cards that this build is for."""
    return LINUX and build.name in CUDA


def _for_nvidia(gpu: Gpu, machine: Machine) -> Choice:
    """CUDA by driver and card.

    A toolkit runs on every driver of its major release: from 580 for CUDA 13, 525.60 (Windows: 528.33) for CUDA 12.
    """
    again = f"then run `{COMMAND} install --torch auto`."
    if not gpu.works:
        return Choice(BUILDS["cpu"], f"{gpu.name}: no driver", f"Install NVIDIA's driver 580 or newer, {again}")
    version = ".".join(map(str, gpu.driver))
    card = gpu.capability or _UNKNOWN_CARD
    if card < CUDA["cu126"][0]:
        return Choice(BUILDS["cpu"], f"{gpu.name}: too old for torch")
    if gpu.driver >= (580,) and has_code("cu130", card):
        return Choice(BUILDS["cu130"], f"{gpu.name}, driver {version}")
    oldest = (528, 33) if machine.system == "win32" else (525, 60)
    if gpu.driver >= oldest and has_code("cu126", card):
        return Choice(BUILDS["cu126"], f"{gpu.name}, driver {version}")
    return Choice(
        BUILDS["cpu"], f"{gpu.name}: its driver {version} is too old for torch",
        f"Update NVIDIA's driver to 580 or newer, {again}",
    )
