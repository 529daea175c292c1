from __future__ import annotations

import json
import shutil
import sys

import pytest

from installer import krita, plugin

OTHER = "[MainWindow]\nState=AAAA\\x00=\n\n[python]\nenable_tenbrushes=true\n\n[tool_crop]\naddDecoration=0\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "[python]\nenable_layer_diffusion=true\n"),
        ("[a]\nb=1\n", "[a]\nb=1\n\n[python]\nenable_layer_diffusion=true\n"),
        ("[a]\nb=1", "[a]\nb=1\n\n[python]\nenable_layer_diffusion=true\n"),
        ("[python]", "[python]\nenable_layer_diffusion=true\n"),
        ("[python]\nx=1\n[b]\ny=1\n", "[python]\nenable_layer_diffusion=true\nx=1\n[b]\ny=1\n"),
        ("[python]\nenable_layer_diffusion=false\nx=1\n", "[python]\nenable_layer_diffusion=true\nx=1\n"),
        ("[a]\nb=1\r\n", "[a]\nb=1\r\n\r\n[python]\r\nenable_layer_diffusion=true\r\n"),
        (
            "[b]\nenable_layer_diffusion=false\n[python]\n",
            "[b]\nenable_layer_diffusion=false\n[python]\nenable_layer_diffusion=true\n",
        ),
    ],
)
def test_one_line_is_changed(before, after):
    assert krita.enabled(before) == after
    assert krita.enabled(after) == after


def test_everything_else_in_the_settings_stays(tmp_path):
    settings = tmp_path / "kritarc"
    settings.write_bytes(OTHER.encode() + b"name=\xff\xfe\n")
    assert krita.enable(settings)
    lines = settings.read_bytes().split(b"\n")
    lines.remove(b"enable_layer_diffusion=true")
    assert b"\n".join(lines) == OTHER.encode() + b"name=\xff\xfe\n"
    assert not krita.enable(settings)
    assert [path.name for path in tmp_path.iterdir()] == ["kritarc"]


def test_settings_that_are_a_link_stay_one(tmp_path):
    (tmp_path / "real").write_text(OTHER)
    (tmp_path / "kritarc").symlink_to(tmp_path / "real")
    krita.enable(tmp_path / "kritarc")
    assert (tmp_path / "kritarc").is_symlink()
    assert "enable_layer_diffusion=true" in (tmp_path / "real").read_text()


def test_no_krita_is_found_in_an_empty_home(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert krita.find() is None


def test_krita_is_known_by_its_folder(monkeypatch, own_folders):
    monkeypatch.setenv("PATH", "")
    (own_folders / "home/.local/share/krita").mkdir()
    assert krita.find() == krita.Profile(
        own_folders / "home/.local/share/krita/pykrita", own_folders / "home/.config/kritarc"
    )


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A websockets wheel as the installer would have fetched it, holding just enough."""
    import zipfile

    path = tmp_path / "websockets-15.0.1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("websockets/__init__.py", "")
        archive.writestr("websockets/version.py", 'tag = version = commit = "15.0.1"\n')
    monkeypatch.setattr(plugin, "websockets_wheel", lambda python: path)
    return path


def test_install_and_status(tmp_path, wheel):
    profile = krita.Profile(tmp_path / "krita" / "pykrita", tmp_path / "config" / "kritarc")
    assert [good for good, _ in krita.status(profile)] == [False]
    python = tmp_path / "python3"
    shutil.copy(sys.executable, python)
    folder = plugin.install(profile, python)
    assert json.loads((folder / "backend.json").read_text())["python"] == str(python)
    assert (profile.plugins / "layer_diffusion.desktop").is_file()
    assert [good for good, _ in krita.status(profile)] == [True, True, True]
    profile.settings.write_text("[python]\nenable_layer_diffusion=false\n")
    python.unlink()
    assert [good for good, _ in krita.status(profile)] == [True, False, False]


def test_folder_that_cannot_be_written_is_explained(tmp_path, wheel):
    (tmp_path / "krita").write_text("")
    profile = krita.Profile(tmp_path / "krita" / "pykrita", tmp_path / "kritarc")
    with pytest.raises(plugin.InstallerError, match="Close Krita"):
        plugin.install(profile, tmp_path / "python3")


def test_zip_has_the_entry_that_krita_looks_for(tmp_path, wheel):
    import zipfile

    names = zipfile.ZipFile(plugin.make_zip(tmp_path / "plugin.zip", tmp_path / "python3")).namelist()
    assert {"layer_diffusion/", "layer_diffusion/__init__.py", "layer_diffusion.desktop"} <= set(names)
    assert "layer_diffusion/backend.json" not in names


def test_fetched_wheel_is_not_fetched_again(own_folders, tmp_path):
    downloads = own_folders / "home/layer-diffusion/downloads"
    downloads.mkdir()
    (downloads / "websockets-15.0.1-py3-none-any.whl").write_bytes(b"")
    assert plugin.websockets_wheel(tmp_path / "no python") == downloads / "websockets-15.0.1-py3-none-any.whl"
