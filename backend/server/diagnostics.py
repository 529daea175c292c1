"""What helps to find out why something does not work, without prompts and secrets."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import sys
from collections import deque

from installer import hardware
from protocol import VERSION
from protocol.errors import LayerDiffusionError
from protocol.limits import MAX_LINES, MAX_NOTE
from protocol.messages import Diagnostics
from protocol.private import without_home, without_quotations

from .. import __version__

PACKAGES = ("torch", "diffusers", "transformers", "huggingface_hub", "safetensors", "websockets", "pillow", "numpy")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""Of the log's lines."""
ERRORS = 20
"""The last errors that are kept."""


class Recorder(logging.Handler):
    """Keeps the last lines that the server logged, and the last errors that jobs ended with.

    Attributes:
        settings: what the server was started with, for the report; nothing secret.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter(FORMAT))
        self.lines: deque[str] = deque(maxlen=MAX_LINES)
        self.errors: deque[tuple[str, str]] = deque(maxlen=ERRORS)
        self.settings: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the lines of a record."""
        self.lines.extend(line[:MAX_NOTE] for line in self.format(record).splitlines())

    def failed(self, client: str, error: LayerDiffusionError) -> None:
        """Keep the error of a client's job."""
        self.errors.append((client, f"{error.code.value}: {without_home(without_quotations(error.message))}"))

    def diagnostics(self, client: str, **more: object) -> Diagnostics:
        """Everything, but of errors only this client's, with further entries of the report."""
        report = versions() | {name: without_home(str(value)) for name, value in (self.settings | more).items()}
        errors = tuple(text for whose, text in self.errors if whose == client)
        return Diagnostics(report, errors, tuple(without_home(line) for line in self.lines))


def versions() -> dict[str, str]:
    """Of the program, of Python and the system, of the packages that matter and of the drivers of graphics cards."""
    found = {
        "backend": __version__, "protocol": str(VERSION), "python": sys.version.split()[0],
        "system": platform.platform(), "machine": platform.machine(),
    }
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    found["graphics"] = ", ".join(_card(gpu) for gpu in hardware.detect().gpus) or "none found"
    return found


def _card(gpu: hardware.Gpu) -> str:
    driver = f"driver {'.'.join(map(str, gpu.driver))}" if gpu.driver else "driver" if gpu.works else "no driver"
    return f"{gpu.name} ({driver})"
