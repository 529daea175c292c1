from __future__ import annotations

import json
import shutil
import sys
import zipfile

import pytest

from installer import commands, environment, krita, kritarc, network, plugin
from installer.errors import InstallerError
from krita_plugin.build import SCRATCH

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


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    """A terminal in which no network setting is made."""
    for name in network.NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def good(profile):
    return [good for good, _ in plugin.status(profile)]


def test_install_and_status(profile, python, fetched):
    assert good(profile) == [False]
    folder = plugin.install(profile, python)
    known = json.loads((folder / "backend.json").read_text())
    places = {"python": str(python), "root": str(environment.ROOT), "home": str(environment.home())}
    assert known == {**places, "environment": {}}
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


def test_proxies_and_mirror_are_told_and_kept(profile, python, fetched, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.setenv("NO_PROXY", "second")
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror")
    plugin.install(profile, python)
    first = {"https_proxy": "http://proxy:3128", "no_proxy": "localhost", "HF_ENDPOINT": "https://mirror"}
    assert plugin.backend(profile)["environment"] == first

    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("HF_ENDPOINT", "https://other")
    plugin.install(profile, python)
    second = {"https_proxy": "http://proxy:3128", "HF_ENDPOINT": "https://other"}
    assert plugin.backend(profile)["environment"] == second


def test_proxies_are_kept_while_packages_change(own_folders, python, fetched, monkeypatch):
    (own_folders / "home/.local/share/krita").mkdir()
    [profile] = krita.find()
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    plugin.install(profile, python)
    monkeypatch.delenv("http_proxy")
    with pytest.raises(InstallerError), plugin.withdrawn():
        raise InstallerError("It failed.", "Try again.")
    plugin.install(profile, python)
    assert plugin.backend(profile)["environment"] == {"http_proxy": "http://proxy:3128"}


@pytest.mark.parametrize("known", ["[]", '"x"', '{"environment": ["x"]}', '{"environment": {"http_proxy": null}}'])
def test_damaged_file_of_the_backend_is_written_anew(profile, python, fetched, known):
    (plugin.install(profile, python) / "backend.json").write_text(known)
    plugin.install(profile, python)
    assert plugin.backend(profile)["environment"] == {} and plugin.backend(profile)["python"] == str(python)


def test_passwords_of_proxies_are_not_written_and_that_is_said(profile, python, fetched, monkeypatch, capsys):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    plugin.install(profile, python)
    monkeypatch.setenv("HTTPS_PROXY", "http://anna:secret@proxy:3128")
    monkeypatch.setenv("http_proxy", "anna:secret@proxy:3128")
    commands.put_plugins([profile], python)
    assert "environment" in plugin.backend(profile) and plugin.backend(profile)["environment"] == {}
    said = capsys.readouterr().out
    assert "HTTPS_PROXY holds a user name or a password" in said and "HTTP_PROXY holds" in said
    assert "start Krita from this terminal" in said
    assert not [path for path in profile.plugins.rglob("*") if path.is_file() and b"secret@" in path.read_bytes()]
    assert "secret" not in said


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


def test_zip_for_this_computer_knows_its_backend(tmp_path, python, fetched):
    archive = zipfile.ZipFile(plugin.make_zip(tmp_path / "plugin.zip", python, connected=True))
    known = json.loads(archive.read("layer_diffusion/backend.json"))
    assert (known["python"], known["root"]) == (str(python), str(environment.ROOT))
    assert known["home"] == str(environment.home())


def test_what_a_killed_installation_left_goes_with_the_next_and_with_uninstall(profile, python, fetched):
    left = profile.plugins / SCRATCH / "layer_diffusion/__init__.py"
    for clear in (lambda: plugin.install(profile, python), lambda: plugin.remove(profile)):
        left.parent.mkdir(parents=True)
        left.touch()
        assert clear()
        assert not (profile.plugins / SCRATCH).exists()


def test_plugin_of_another_hand_is_not_removed(profile):
    (profile.plugins / "layer_diffusion").mkdir(parents=True)
    assert not plugin.remove(profile)
    assert (profile.plugins / "layer_diffusion").is_dir()


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
