from __future__ import annotations

import json
import subprocess
import sys
import venv

import pytest

from installer import environment
from installer.errors import InstallerError


class Pip:
    """Stands in for pip: remembers what it was asked to install, and fails when told to."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.installed: list[list[str]] = []
        self._fail_at = fail_at

    def __call__(self, command) -> None:
        if len(self.installed) == self._fail_at:
            raise InstallerError("The network is gone.", "Try again.")
        assert command[1:4] == ["-m", "pip", "install"]
        self.installed.append(list(command[4:]))


@pytest.fixture
def made(monkeypatch):
    """Environments are made without pip, and taken for whole ones; returns how often one was made."""
    count = []

    def create(folder, clear, with_pip):
        assert clear and with_pip
        count.append(folder)
        environment.python().parent.mkdir(parents=True, exist_ok=True)
        if not environment.python().exists():
            environment.python().symlink_to(sys.executable)

    monkeypatch.setattr(venv, "create", create)
    return count


def test_torch_comes_first_and_alone(made):
    pip = Pip()
    environment.ensure(run=pip)
    assert pip.installed[0] == ["torch==2.13.0"]
    assert {"torch==2.13.0", "diffusers==0.42.1", "transformers==5.23.0"} < set(pip.installed[1])
    assert len(pip.installed) == 2


def test_second_run_installs_nothing(made):
    environment.ensure(run=Pip())
    again = Pip()
    assert environment.ensure(run=again) == environment.python()
    assert again.installed == [] and len(made) == 1


def test_tests_add_only_what_they_need(made):
    environment.ensure(run=Pip())
    pip = Pip()
    environment.ensure(tests=True, run=pip)
    assert pip.installed == [environment.requirements()[1]]
    after = Pip()
    environment.ensure(run=after)
    environment.ensure(tests=True, run=after)
    assert after.installed == []


@pytest.mark.parametrize("step", [0, 1])
def test_interrupted_installation_is_finished_by_the_next_run(made, step):
    with pytest.raises(InstallerError):
        environment.ensure(run=Pip(fail_at=step))
    pip = Pip()
    environment.ensure(run=pip)
    assert len(pip.installed) == 2 and len(made) == 1


def test_failed_tests_extra_leaves_no_claim_of_completeness(made):
    environment.ensure(run=Pip())
    with pytest.raises(InstallerError):
        environment.ensure(tests=True, run=Pip(fail_at=0))
    pip = Pip()
    environment.ensure(tests=True, run=pip)
    assert environment.requirements()[1] in pip.installed


def test_changed_pins_are_installed(made, monkeypatch):
    environment.ensure(run=Pip())
    needed, for_tests = environment.requirements()
    monkeypatch.setattr(environment, "requirements", lambda: ([*needed, "another==1"], for_tests))
    pip = Pip()
    environment.ensure(run=pip)
    assert "another==1" in pip.installed[1]


def test_environment_whose_python_is_gone_is_made_anew(made):
    environment.ensure(run=Pip())
    environment.python().unlink()
    pip = Pip()
    environment.ensure(run=pip)
    assert len(made) == 2 and len(pip.installed) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"'])
def test_damaged_marker_counts_as_none(made, text):
    environment.ensure(run=Pip())
    (environment.folder() / environment.MARKER).write_text(text)
    pip = Pip()
    environment.ensure(run=pip)
    assert len(pip.installed) == 2
    assert set(json.loads((environment.folder() / environment.MARKER).read_text())) == {"run"}


def test_python_without_venv_says_what_to_install(monkeypatch):
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InstallerError, match="python3-venv"):
        environment.ensure(run=Pip())


def test_too_little_space_is_said_before_anything_is_fetched(made, monkeypatch):
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10**8}))
    pip = Pip()
    with pytest.raises(InstallerError, match="0.1 GB free"):
        environment.ensure(run=pip)
    assert pip.installed == []


def test_home_that_is_a_file_is_explained(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAYER_DIFFUSION_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(InstallerError, match="LAYER_DIFFUSION_HOME"):
        environment.ensure(run=Pip())


@pytest.mark.parametrize(("platform", "place"), [("linux", ".local/share"), ("darwin", "Library/Application Support")])
def test_default_home(tmp_path, monkeypatch, platform, place):
    for variable in ("LAYER_DIFFUSION_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(environment.sys, "platform", platform)
    assert environment.home() == tmp_path / place / "layer-diffusion"


def installer(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "installer", *arguments], cwd=environment.ROOT, capture_output=True, text=True
    )


def test_without_a_command_it_explains_itself():
    answer = installer()
    assert answer.returncode == 0
    assert all(command in answer.stdout for command in ("demo", "setup", "plugin", "test"))


def test_unknown_argument_is_refused():
    answer = installer("setup", "--frobnicate")
    assert answer.returncode == 2 and "--frobnicate" in answer.stderr


def test_old_python_is_told_what_to_do(monkeypatch, capsys):
    from installer.__main__ import main

    monkeypatch.setattr("installer.__main__.sys.version_info", (3, 10, 12))
    assert main(["demo"]) == 2
    assert "Python 3.11 or newer is needed and this is 3.10" in capsys.readouterr().err
