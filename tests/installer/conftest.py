"""What the installer's tests share: a pip that only remembers, and environments that are made without waiting."""

from __future__ import annotations

import sys
import venv
from pathlib import Path

import pytest

from installer import environment
from installer.pip import Cause, Pip, PipError


class FakePip(Pip):
    """Stands in for pip: remembers what it was asked to install, and fails when told to."""

    def __init__(self, fail_at: int | None = None, cause: Cause = Cause.DISK, began: bool = False) -> None:
        super().__init__(Path("python3"), Path("install.log"))
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
    """Environments are made without pip and not imported from; returns how often one was made."""
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
    return count
