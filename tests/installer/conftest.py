"""What the installer's tests share: a pip that only remembers, environments that are made without waiting, a user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from installer import environment, offline
from installer.pip import Cause, Pip, PipError

from . import wheels


class FakePip(Pip):
    """Stands in for pip: remembers what it was asked to install, and fails when told to."""

    def __init__(self, fail_at: int | None = None, cause: Cause = Cause.DISK, began: bool = False) -> None:
        super().__init__(Path("python3"), Path("home"))
        self.installed: list[list[str]] = []
        self.indexes: list[str | None] = []
        self._failure = fail_at, cause, began

    def install(self, packages, index=None) -> None:
        fail_at, cause, began = self._failure
        if len(self.installed) == fail_at:
            self._failure = None, cause, began
            raise PipError("It failed.", "Try again.", cause, began)
        self.installed.append(list(packages))
        self.indexes.append(index)


@pytest.fixture
def made(monkeypatch):
    """Environments are made without pip, not imported from and not looked through; returns how often one was made."""
    count = []

    def create(folder, clear, symlinks, with_pip):
        assert clear and symlinks and with_pip
        count.append(folder)
        environment.python().parent.mkdir(parents=True, exist_ok=True)
        # Not a link: behind that Python would not find the packages of these tests.
        environment.python().write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
        environment.python().chmod(0o755)
        (folder / environment.MARKER).unlink(missing_ok=True)

    monkeypatch.setattr(venv, "create", create)
    monkeypatch.setattr(environment, "_check_import", lambda: None)
    monkeypatch.setattr(environment, "WHOLE", "import sys")
    return count


class User:
    """A user with an empty home, Krita, and an offline folder."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.offline = folder / "offline"
        self.krita = self.home / ".local/share/krita"
        self.settings = self.home / ".config/kritarc"
        self.program = self.home / ".local/share/layer-diffusion"
        self.krita.mkdir(parents=True)
        (self.home / "tmp").mkdir()
        self.settings.parent.mkdir(parents=True)
        self.settings.write_text("[MainWindow]\nState=1\n")
        wheels.needed(self.offline / "wheels", environment.requirements()[0], "+cpu")
        (self.offline / "models/layers").mkdir(parents=True)
        (self.offline / "models/layers/layer_sd15_joint.safetensors").write_bytes(b"weights")
        offline.seal(self.offline)
        self.variables = {
            "HOME": str(self.home),
            "PATH": "/nowhere",
            "PYTHONPATH": str(environment.ROOT),
            "PIP_CONFIG_FILE": os.devnull,
            # What is left there belongs to the tree too.
            "TMPDIR": str(self.home / "tmp"),
        }

    def start(self, *arguments: str, output: int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "installer", *arguments], cwd=environment.ROOT, env=self.variables, text=True,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        out, _ = process.communicate()
        assert process.returncode == 0, out
        return out

    def install(self, *arguments: str) -> str:
        return self.run("install", "--torch", "cpu", "--offline", str(self.offline), *arguments)

    def tree(self) -> set[str]:
        """Every file in the home, but not Python's caches."""
        found = (path for path in self.home.rglob("*") if path.is_file())
        return {str(path.relative_to(self.home)) for path in found if "__pycache__" not in path.parts}

    def complete(self) -> bool:
        return (self.program / "environment" / environment.MARKER).is_file()

    def connected(self) -> bool:
        """Whether Krita would start the backend."""
        return "python" in json.loads((self.krita / "pykrita/layer_diffusion/backend.json").read_text())


@pytest.fixture
def user(tmp_path):
    return User(tmp_path)
