"""Models of an offline folder, and what people see of a long copy."""

from __future__ import annotations

import io

import pytest

from installer import offline, progress
from installer.errors import InstallerError


@pytest.fixture
def stick(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(tmp_path / "installed"))
    for name in ("checkpoints/a.safetensors", "checkpoints/b/model_index.json", "checkpoints/old.ckpt"):
        (tmp_path / "stick/models" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "stick/models" / name).write_bytes(name.encode())
    return tmp_path / "stick"


def test_models_are_copied_once_and_pickled_ones_never(stick, tmp_path):
    new = {str(path.relative_to(tmp_path / "installed")) for path in offline.copy_models(stick)}
    assert new == {"checkpoints/a.safetensors", "checkpoints/b/model_index.json"}
    assert offline.copy_models(stick) == []
    (tmp_path / "installed/checkpoints/a.safetensors").write_bytes(b"half")
    assert [path.name for path in offline.copy_models(stick)] == ["a.safetensors"]


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


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1500, "1.5 kB"), (12_340_000, "12.3 MB"), (537e6, "537 MB"), (9e9, "9.0 GB")]
)
def test_sizes(count, text):
    assert progress.size(count) == text


def test_durations():
    assert (progress.duration(4.4), progress.duration(75)) == ("4 s", "1 min 15 s")
