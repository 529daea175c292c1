from __future__ import annotations

import json
import shutil
import sys
import zipfile

import pytest

from installer import environment, krita, kritarc, plugin
from installer.errors import InstallerError

from . import wheels


@pytest.fixture
def fetched(own_folders):
    """A websockets wheel as the installer would have fetched it, holding just enough; returns its folder."""
    downloads = own_folders / "home/layer-diffusion/downloads"
    downloads.mkdir()
    wheels.wheel(downloads, "websockets", wheels.CARRIED, "websockets")
    return downloads


@pytest.fixture
def profile(tmp_path):
    return krita.Profile(tmp_path / "krita" / "pykrita", tmp_path / "config" / "kritarc")


@pytest.fixture
def python(tmp_path):
    return shutil.copy(sys.executable, tmp_path / "python3")


def good(profile):
    return [good for good, _ in plugin.status(profile)]


def test_install_and_status(profile, python, fetched):
    assert good(profile) == [False]
    folder = plugin.install(profile, python)
    known = json.loads((folder / "backend.json").read_text())
    assert known == {"python": str(python), "root": str(environment.ROOT), "home": str(environment.home())}
    assert (profile.plugins / "layer_diffusion.desktop").is_file()
    assert good(profile) == [True, True, True, True]
    profile.settings.write_text("[python]\nenable_layer_diffusion=false\n")
    python.unlink()
    assert good(profile) == [True, False, True, False]


def test_older_plugin_is_told_from_this_one_and_replaced(profile, python, fetched):
    folder = plugin.install(profile, python)
    (folder / "protocol" / "__init__.py").write_text("VERSION = 0\n")
    (folder / "gone_since.py").write_text("")
    assert plugin.differs(profile) and good(profile) == [True, True, False, True]
    plugin.install(profile, python)
    assert not plugin.differs(profile) and not (folder / "gone_since.py").exists()


def test_folder_that_cannot_be_written_is_explained(tmp_path, profile, fetched):
    (tmp_path / "krita").write_text("")
    with pytest.raises(InstallerError, match="Close Krita"):
        plugin.install(profile, tmp_path / "python3")
    assert not profile.settings.exists()


def test_while_packages_change_no_krita_can_start_the_backend(own_folders, python, fetched):
    (own_folders / "home/.local/share/krita").mkdir()
    [profile] = krita.find()
    plugin.install(profile, python)
    with plugin.withdrawn():
        assert "python" not in plugin.backend(profile) and plugin.is_ours(profile)
        assert (False, "waits for an installation that did not finish") in plugin.status(profile)
    assert plugin.backend(profile)["python"] == str(environment.python())
    with pytest.raises(InstallerError), plugin.withdrawn():
        raise InstallerError("It failed.", "Try again.")
    assert "python" not in plugin.backend(profile)


def test_removed_with_its_switch_and_nothing_else(profile, python, fetched):
    profile.plugins.mkdir(parents=True)
    (profile.plugins / "other.desktop").write_text("")
    profile.settings.parent.mkdir()
    profile.settings.write_text("[a]\nb=1\n")
    plugin.install(profile, python)
    assert kritarc.is_on(profile.settings)
    plugin.remove(profile)
    assert [path.name for path in profile.plugins.iterdir()] == ["other.desktop"]
    assert profile.settings.read_text() == "[a]\nb=1\n"


def test_zip_has_the_entry_that_krita_looks_for(tmp_path, fetched):
    names = zipfile.ZipFile(plugin.make_zip(tmp_path / "plugin.zip", tmp_path / "python3")).namelist()
    assert {"layer_diffusion/", "layer_diffusion/__init__.py", "layer_diffusion.desktop"} <= set(names)
    assert "layer_diffusion/backend.json" not in names


def test_zip_that_cannot_be_written_leaves_nothing(tmp_path, fetched):
    with pytest.raises(InstallerError, match="Choose another file"):
        plugin.make_zip(tmp_path / "missing" / "plugin.zip", tmp_path / "python3")
    assert list(tmp_path.iterdir()) == []


def test_fetched_wheel_is_not_fetched_again(fetched, tmp_path):
    assert plugin.websockets_wheel(tmp_path / "no python") == fetched / "websockets-15.0.1-py3-none-any.whl"


def test_fetched_wheel_that_is_only_a_part_comes_again(fetched, tmp_path, monkeypatch):
    [wheel] = fetched.iterdir()
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:-100])
    monkeypatch.setattr(plugin, "fetch_websockets", lambda pip, folder: (folder / wheel.name).write_bytes(whole))
    assert plugin.websockets_wheel(tmp_path / "no python").read_bytes() == whole
