"""What a person sees of the installer, and what a pipe gets."""

from __future__ import annotations

import os
import re

import pytest

from installer import commands, offline
from installer.__main__ import main
from installer.errors import InstallerError

from . import wheels
from .conftest import FakePip


def read_all(terminal: int) -> str:
    """What comes until nobody writes there any more."""
    said = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            # Linux's way to say so.
            part = b""
        if not part:
            return said.decode("utf-8", "replace")
        said += part


def test_what_takes_long_is_seen_to_go_on(user):
    # Long, because pip compiles what it unpacks.
    wheels.wheel(user.offline / "wheels", "torch", "2.13.0+cu126", "torch", "x = 1\n" * 300_000)
    offline.seal(user.offline)
    mine, theirs = os.openpty()
    with user.start("install", "--torch", "cu126", "--offline", str(user.offline), output=theirs) as process:
        os.close(theirs)
        said = read_all(mine)
    os.close(mine)
    assert process.returncode == 0, said
    assert re.search(r"Unpacking Python's pip … \d+ s\x1b\[K\r", said)
    assert re.search(r"Installing collected packages: torch\r\n.*Unpacking … \d+ s\x1b\[K\r", said)
    assert "Unpacking" not in user.run("install", "--torch", "cpu", "--offline", str(user.offline))


@pytest.mark.parametrize("command", ["setup", "plugin", "test"])
def test_plan_comes_before_anything_is_fetched(own_folders, monkeypatch, capsys, command):
    (own_folders / "home/.local/share/krita").mkdir()

    def stop(*arguments, **options):
        raise InstallerError("Stopped.", "Go on.")

    monkeypatch.setattr(commands, "prepare", stop)
    assert main([command]) == 2
    out = capsys.readouterr().out
    for word in ("Python", "Folder", "Graphics", "Packages", "to fetch", "on the disk", "package index"):
        assert word in out
    assert ("the plugin goes into" in out) is (command == "plugin")


def test_packages_of_the_tests_are_announced(made, monkeypatch, capsys):
    commands.prepare(pip=FakePip())
    commands.say(commands.plan(tests=True))
    assert "those of the tests are added, about 300 MB from the package index" in capsys.readouterr().out
    commands.prepare(tests=True, pip=FakePip())
    commands.say(commands.plan(tests=True))
    assert "are there already" in capsys.readouterr().out


def test_pipe_that_cannot_hold_every_character(user):
    (user.home / "snap/krita/current").mkdir(parents=True)
    user.variables["PYTHONIOENCODING"] = "cp1252"
    assert "? Its sandbox may keep" in user.run("install", "--dry-run")
