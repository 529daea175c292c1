"""The registry of Kritas, on made-up trees of each system."""

from __future__ import annotations

import pytest

from installer import krita
from installer.krita import Place


@pytest.fixture
def tree(tmp_path):
    """Make folders and files below a made-up root: tree("home/x/", "opt/y") with "/" at the end for folders."""

    def make(*paths):
        for path in paths:
            target = tmp_path / path
            if path.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text("")
                target.chmod(0o755)
        return tmp_path

    return make


def linux(root, **variables):
    return Place("linux", root / "home", variables, root)


def mac(root):
    return Place("darwin", root / "home", {}, root)


def windows(root):
    variables = {
        "APPDATA": root / "home/AppData/Roaming",
        "LOCALAPPDATA": root / "home/AppData/Local",
        "PROGRAMFILES": root / "Program Files",
        "PROGRAMFILES(X86)": root / "Program Files (x86)",
    }
    return Place("win32", root / "home", {name: str(path) for name, path in variables.items()}, root)


def below(root, profiles):
    return [(str(p.plugins.relative_to(root)), str(p.settings.relative_to(root)), p.kind) for p in profiles]


LINUX = ("home/.local/share/krita/pykrita", "home/.config/kritarc")
FLATPAK = (
    "home/.var/app/org.kde.krita/data/krita/pykrita", "home/.var/app/org.kde.krita/config/kritarc", "Krita (Flatpak)"
)
SNAP = ("home/snap/krita/current/.local/share/krita/pykrita", "home/snap/krita/current/.config/kritarc", "Krita (Snap)")
WINDOWS = ("home/AppData/Roaming/krita/pykrita", "home/AppData/Local/kritarc")
MAC = ("home/Library/Application Support/krita/pykrita", "home/Library/Preferences/kritarc")


@pytest.mark.parametrize("place", [linux, mac, windows])
def test_nothing_is_found_where_there_is_nothing(tree, place):
    assert krita.find(place(tree("home/"))) == []


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["home/.local/share/krita/"], [(*LINUX, "Krita")]),
        (["home/Applications/krita-5.2.9-x86_64.appimage"], [(*LINUX, "Krita (AppImage)")]),
        (["home/Downloads/Krita-5.3.AppImage", "opt/"], [(*LINUX, "Krita (AppImage)")]),
        (["home/.local/share/Steam/steamapps/common/Krita/"], [(*LINUX, "Krita (Steam)")]),
        (["home/.var/app/org.kde.krita/"], [FLATPAK]),
        (["var/lib/flatpak/app/org.kde.krita/"], [FLATPAK]),
        (["home/.local/share/flatpak/app/org.kde.krita/"], [FLATPAK]),
        (["home/snap/krita/current/"], [SNAP]),
        (["usr/bin/krita", "opt/krita.appimage", "home/.var/app/org.kde.krita/"],
         [(*LINUX, "Krita (installed, AppImage)"), FLATPAK]),
        (["home/Downloads/krita-5.2.9.dmg", "home/Documents/krita.txt", "home/snap/gimp/"], []),
    ],
)
def test_linux(tree, paths, found):
    root = tree("home/", *paths)
    assert below(root, krita.find(linux(root, PATH=str(root / "usr/bin")))) == found


def test_linux_with_folders_elsewhere(tree):
    root = tree("data/krita/")
    [profile] = krita.find(linux(root, XDG_DATA_HOME=str(root / "data"), XDG_CONFIG_HOME=str(root / "config")))
    assert (profile.plugins, profile.settings) == (root / "data/krita/pykrita", root / "config/kritarc")


def test_steam_library_on_another_disk(tree):
    root = tree("disk/SteamLibrary/steamapps/common/Krita/", "home/.steam/steam/steamapps/")
    vdf = f'"libraryfolders"\n{{\n "0"\n {{\n  "path"  "{root}/disk/SteamLibrary"\n }}\n}}\n'
    (root / "home/.steam/steam/steamapps/libraryfolders.vdf").write_text(vdf)
    [profile] = krita.find(linux(root))
    assert profile.kind == "Krita (Steam)" and profile.plugins == root / LINUX[0]


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["home/AppData/Roaming/krita/"], [(*WINDOWS, "Krita")]),
        (["Program Files/Krita (x64)/bin/krita.exe"], [(*WINDOWS, "Krita (installed)")]),
        (["Program Files (x86)/Steam/steamapps/common/Krita/"], [(*WINDOWS, "Krita (Steam)")]),
        (["home/AppData/Local/Packages/49800KritaProject.Krita_abc/", "home/AppData/Local/Packages/Other_abc/"],
         [("home/AppData/Local/Packages/49800KritaProject.Krita_abc/LocalCache/Roaming/krita/pykrita",
           "home/AppData/Local/Packages/49800KritaProject.Krita_abc/LocalCache/Local/kritarc",
           "Krita (Windows Store)")]),
        (["Program Files/Krita (x64)/readme.txt"], []),
    ],
)
def test_windows(tree, paths, found):
    root = tree("home/", *paths)
    assert below(root, krita.find(windows(root))) == found


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["Applications/krita.app/"], [(*MAC, "Krita (installed)")]),
        (["home/Applications/krita.app/"], [(*MAC, "Krita (installed)")]),
        (["home/Library/Application Support/krita/"], [(*MAC, "Krita")]),
        (["home/Library/Application Support/Steam/steamapps/common/Krita/"], [(*MAC, "Krita (Steam)")]),
    ],
)
def test_mac(tree, paths, found):
    root = tree("home/", *paths)
    assert below(root, krita.find(mac(root))) == found


def test_sandboxed_kritas_come_with_a_warning(tree):
    root = tree("home/.var/app/org.kde.krita/", "home/.local/share/krita/")
    native, flatpak = krita.find(linux(root))
    assert not native.note and "sandbox" in flatpak.note


def test_this_computer_is_looked_at_by_default(monkeypatch, own_folders):
    monkeypatch.setenv("PATH", "")
    assert krita.find() == []
    (own_folders / "home/.local/share/krita").mkdir()
    [profile] = krita.find()
    assert profile.plugins == own_folders / "home/.local/share/krita/pykrita"
    assert profile.settings == own_folders / "home/.config/kritarc"
