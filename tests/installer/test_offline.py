"""The marker and the models of an offline folder, and what people see of a long copy."""

from __future__ import annotations

import io
import os
import re
import threading
from pathlib import Path

import pytest

from installer import builds, offline, progress
from installer.errors import InstallerError

from . import wheels


@pytest.fixture
def stick(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(tmp_path / "installed"))
    for name in ("checkpoints/a.safetensors", "checkpoints/b/model_index.json", "checkpoints/old.ckpt"):
        (tmp_path / "stick/models" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "stick/models" / name).write_bytes(name.encode())
    (tmp_path / "stick/wheels").mkdir()
    return tmp_path / "stick"


def test_models_are_copied_once_and_pickled_ones_never(stick, tmp_path):
    new = {str(path.relative_to(tmp_path / "installed")) for path in offline.copy_models(stick)}
    assert new == {"checkpoints/a.safetensors", "checkpoints/b/model_index.json"}
    assert offline.copy_models(stick) == []
    (tmp_path / "installed/checkpoints/a.safetensors").write_bytes(b"half")
    assert [path.name for path in offline.copy_models(stick)] == ["a.safetensors"]


@pytest.mark.parametrize("sealed", [False, True])
def test_models_of_the_same_size_with_other_content_are_copied(stick, tmp_path, sealed):
    if sealed:
        offline.seal(stick)
    offline.copy_models(stick)
    copy = tmp_path / "installed/checkpoints/a.safetensors"
    whole = copy.read_bytes()
    copy.write_bytes(whole[:-1] + b"?")
    assert offline.copy_models(stick) == [copy] and copy.read_bytes() == whole
    assert offline.copy_models(stick) == []


def test_model_that_changed_since_it_was_collected_does_not_come(stick, tmp_path):
    offline.seal(stick)
    model = stick / "models/checkpoints/a.safetensors"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    with pytest.raises(InstallerError, match="a.safetensors is not as it was collected. Put the model there anew"):
        offline.copy_models(stick)
    assert not list((tmp_path / "installed").rglob("a.safetensors*"))


def test_finished_folder_with_models_that_came_later_is_accepted(stick):
    wheels.wheel(stick / "wheels", "torch", "2.13.0", "torch")
    offline.seal(stick)
    (stick / "models/loras").mkdir()
    (stick / "models/loras/later.safetensors").write_bytes(b"later")
    offline.check(stick)
    offline.check_packages(stick)
    assert set(offline.collected(stick)) == {
        "wheels/torch-2.13.0-py3-none-any.whl", "models/checkpoints/a.safetensors",
        "models/checkpoints/b/model_index.json",
    }


@pytest.mark.parametrize("part", [0, 1, 50, 0.5, 0.99])
def test_folder_whose_marker_is_only_a_part_is_refused(stick, part):
    wheels.wheel(stick / "wheels", "torch", "2.13.0", "torch")
    offline.seal(stick)
    marker = stick / offline.MARKER
    text = marker.read_bytes()
    marker.write_bytes(text[: int(part * len(text)) if isinstance(part, float) else part])
    with pytest.raises(InstallerError, match="no folder that was collected to its end. Make it on .* collect FOLDER"):
        offline.check(stick)


@pytest.mark.parametrize("name", ["wheels/torch-2.13.0-py3-none-any.whl", "models/checkpoints/b/model_index.json"])
def test_folder_that_lost_something_is_refused(stick, name):
    wheels.wheel(stick / "wheels", "torch", "2.13.0", "torch")
    offline.seal(stick)
    whole = (stick / name).read_bytes()
    for content in (whole[:-1], whole + b"?", b""):
        (stick / name).write_bytes(content)
        with pytest.raises(InstallerError, match=f"{name} in .* is not as it was collected. Make it"):
            offline.check(stick)
    (stick / name).unlink()
    with pytest.raises(InstallerError, match=f"{name} in .* is missing. Make it"):
        offline.check(stick)


@pytest.mark.parametrize("step", [0, 1])
def test_collecting_anew_that_fails_takes_the_marker_away(stick, monkeypatch, step):
    wheels.wheel(stick / "wheels", "torch", "2.13.0", "torch")
    offline.seal(stick)
    steps = iter(range(2))

    def download(self, packages, folder, options=()):
        if next(steps) == step:
            raise InstallerError("It failed.", "Try again.")

    monkeypatch.setattr(offline.Pip, "download", download)
    with pytest.raises(InstallerError, match="It failed"):
        offline.collect(stick, Path("python3"), builds.BUILDS["cpu"])
    with pytest.raises(InstallerError, match="no folder that was collected"):
        offline.check(stick)


def test_models_that_do_not_fit_are_not_begun(stick, tmp_path, monkeypatch):
    monkeypatch.setattr(offline.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 3}))
    with pytest.raises(InstallerError, match="only 3 bytes free"):
        offline.copy_models(stick)
    assert not any((tmp_path / "installed").rglob("*.*"))


def test_full_disk_in_the_middle_leaves_no_part(stick, tmp_path, monkeypatch):
    def full(self, count):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(progress.Bar, "add", full)
    with pytest.raises(InstallerError, match="No space left"):
        offline.copy_models(stick)
    assert not any(path.is_file() for path in (tmp_path / "installed").rglob("*"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_says_how_far_how_fast_and_how_long():
    seconds = iter([0.0, 10.0, 10.0, 20.0, 20.0, 20.0])
    terminal = Terminal()
    bar = progress.Bar("Models", 400_000_000, terminal, lambda: next(seconds))
    bar.add(100_000_000)
    assert "100 MB of 400 MB, 10.0 MB/s, 30 s left" in terminal.getvalue()
    bar.add(300_000_000)
    assert terminal.getvalue().endswith("400 MB of 400 MB, 20.0 MB/s\x1b[K")


def test_bar_is_one_line_where_there_is_no_terminal():
    file = io.StringIO()
    bar = progress.Bar("Models", 10, file)
    bar.add(10)
    bar.end()
    assert file.getvalue().count("\n") == 1 and "10 bytes of 10 bytes" in file.getvalue()


def test_line_of_what_goes_on_moves_on_a_terminal():
    mine, theirs = os.openpty()
    said = ""
    with open(theirs, "w", encoding="utf-8") as terminal:
        with progress.moving("Unpacking", terminal):
            # Until it has said so twice.
            while not re.search(r"Unpacking … \d+ s\x1b\[K\rUnpacking … \d+ s\x1b\[K\r", said):
                said += os.read(mine, 1000).decode("utf-8", "replace")
        terminal.write("done")
    while "done" not in said:
        said += os.read(mine, 1000).decode("utf-8", "replace")
    assert said.endswith("\r\x1b[Kdone")


def test_line_of_what_goes_on_is_kept_from_where_there_is_no_terminal_or_another_line():
    pipe, terminal = io.StringIO(), Terminal()
    asked = threading.Event()
    with progress.moving("Unpacking", pipe):
        pass
    with progress.moving("Unpacking", terminal, lambda: asked.set() or False):
        asked.wait()
    assert pipe.getvalue() == terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1500, "1.5 kB"), (12_340_000, "12.3 MB"), (537e6, "537 MB"), (9e9, "9.0 GB")]
)
def test_sizes(count, text):
    assert progress.size(count) == text


def test_durations():
    assert [progress.duration(seconds) for seconds in (4.4, 75, 9000)] == ["4 s", "1 min 15 s", "2 h 30 min"]
