"""What this computer has to compute with: its graphics cards and their drivers, found without any package."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

TIME_LIMIT_S = 30
"""How long a system tool may take to answer; PowerShell is slow after a cold start."""

Ask = Callable[[Sequence[str]], str]


class Vendor(str, Enum):
    """Who made a graphics card; the value is the vendor's number on the PCI bus."""

    NVIDIA = "0x10de"
    AMD = "0x1002"
    INTEL = "0x8086"


@dataclass(frozen=True)
class Gpu:
    """One graphics card.

    Attributes:
        name: as its driver or the system calls it.
        works: whether a driver is loaded that programs can compute with.
        driver: its version, () when unknown.
        capability: of NVIDIA cards, the CUDA compute capability; None when unknown.
        architecture: of AMD cards, the name of their instruction set, as in "gfx1100"; "" when unknown.
    """

    vendor: Vendor
    name: str
    works: bool
    driver: tuple[int, ...] = ()
    capability: tuple[int, int] | None = None
    architecture: str = ""


@dataclass(frozen=True)
class Machine:
    """A computer: `system` as in `sys.platform`, `processor` as "x86_64" or "arm64"."""

    system: str
    processor: str
    gpus: tuple[Gpu, ...] = ()


def ask(command: Sequence[str]) -> str:
    """Return what a system tool prints, "" when it is missing, fails or takes too long."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIME_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def detect(system: str = sys.platform, root: Path = Path("/"), ask: Ask = ask) -> Machine:
    """Look at this computer. `root` holds Linux's `sys` and `dev`; it and `ask` are there for the tests."""
    processor = {"amd64": "x86_64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
    nvidia = list(_nvidia(ask))
    if system == "win32":
        others = list(_windows_adapters(ask))
    elif system == "darwin":
        others = []
    else:
        others = list(_pci_cards(root))
    # What nvidia-smi says is better than what the system says of the same card.
    gpus = [*nvidia, *(gpu for gpu in others if not (nvidia and gpu.vendor is Vendor.NVIDIA))]
    return Machine(system, processor, tuple(gpus))


def _nvidia(ask: Ask) -> Iterator[Gpu]:
    # Old drivers do not know compute_cap and refuse the whole question.
    for fields in ("name,driver_version,compute_cap", "name,driver_version"):
        lines = ask(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]).splitlines()
        if lines:
            break
    for line in lines:
        name, driver, capability = [*(part.strip() for part in line.split(",")), "", ""][:3]
        if numbers(driver):
            major, minor = [*numbers(capability), 0, 0][:2]
            yield Gpu(Vendor.NVIDIA, name, True, numbers(driver), (major, minor) if major else None)


def numbers(version: str) -> tuple[int, ...]:
    """Return a version's numbers for comparing: "580.65.06" → (580, 65, 6)."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _pci_cards(root: Path) -> Iterator[Gpu]:
    """Linux: the PCI devices whose class is a display controller."""
    architectures = _architectures(root)
    for device in sorted((root / "sys" / "bus" / "pci" / "devices").glob("*")):
        if not _text(device / "class").startswith("0x03"):
            continue
        vendor = next((vendor for vendor in Vendor if vendor.value == _text(device / "vendor")), None)
        if vendor is None:
            continue
        driver = (device / "driver").resolve().name
        works = {
            # Without nvidia-smi there is no driver for CUDA, whatever draws the screen.
            Vendor.NVIDIA: False,
            Vendor.AMD: driver == "amdgpu" and (root / "dev" / "kfd").exists(),
            Vendor.INTEL: driver in ("i915", "xe"),
        }[vendor]
        architecture = architectures.get(_location(device.name), "") if vendor is Vendor.AMD else ""
        yield Gpu(vendor, f"{vendor.name} {_text(device / 'device')}", works, architecture=architecture)


def _architectures(root: Path) -> dict[tuple[int, int], str]:
    """Linux: the instruction sets of the cards that AMD's compute driver has, by their place on the PCI bus.

    Source: the kernel's documentation of the topology of amdkfd in sysfs. A node of a processor has no version.
    """
    found = {}
    for node in (root / "sys/class/kfd/kfd/topology/nodes").glob("*/properties"):
        pairs = (line.split() for line in _text(node).splitlines())
        values = {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
        version = values.get("gfx_target_version", 0)
        if version:
            # Two decimal digits each for minor and step; the name has the step in hexadecimal: 90010 is gfx90a.
            name = f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"
            found[values.get("domain", 0), values.get("location_id", -1)] = name
    return found


def _location(device: str) -> tuple[int, int]:
    """The place of a PCI device, "0000:03:00.0", as amdkfd counts it: domain, and bus, device and function in one."""
    domain, bus, slot, function = (int(part, 16) for part in re.split("[:.]", device))
    return domain, bus << 8 | slot << 3 | function


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _windows_adapters(ask: Ask) -> Iterator[Gpu]:
    question = 'Get-CimInstance Win32_VideoController | ForEach-Object { $_.PNPDeviceID + "|" + $_.Name }'
    for line in ask(["powershell", "-NoProfile", "-Command", question]).splitlines():
        found = re.match(r"PCI\\VEN_(\w{4})&DEV_(\w{4})[^|]*\|(.+)", line.strip())
        vendor = next((vendor for vendor in Vendor if found and vendor.value == f"0x{found[1].lower()}"), None)
        if found is None or vendor is None:
            continue
        # A card without its maker's driver goes by the name of Microsoft's.
        driverless = found[3].startswith("Microsoft")
        name = f"{vendor.name} 0x{found[2].lower()}" if driverless else found[3]
        yield Gpu(vendor, name, not driverless and vendor is not Vendor.NVIDIA)
