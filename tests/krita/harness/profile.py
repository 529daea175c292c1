"""A throw-away profile for Krita, with the plugins under test switched on."""

import os
import pathlib
import shutil
import zipfile
from configparser import ConfigParser

from .display import HarnessError


class Profile:
    """HOME and XDG folders that belong to one run, so nothing of the user's is touched.

    Krita reads $XDG_CONFIG_HOME/kritarc and finds Python plugins in
    $XDG_DATA_HOME/krita/pykrita.
    """

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.home = self.root / "home"
        self.config = self.home / ".config"
        self.data = self.home / ".local" / "share"
        self.cache = self.home / ".cache"
        self.runtime = self.root / "run"
        self.resources = self.data / "krita"
        self.pykrita = self.resources / "pykrita"
        self.plugins = []
        for folder in (self.config, self.data, self.cache, self.runtime,
                       self.pykrita, self.resources / "actions"):
            folder.mkdir(parents=True, exist_ok=True)
        self.runtime.chmod(0o700)

    def environment(self):
        """Only what Krita needs: nothing of the caller's Python or Qt leaks in."""
        return {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.config),
            "XDG_DATA_HOME": str(self.data),
            "XDG_CACHE_HOME": str(self.cache),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "QT_QPA_PLATFORM": "xcb",
            "QT_LOGGING_RULES": "krita.lib.resources*=false",
            "PYTHONDONTWRITEBYTECODE": "1",
            # Beside a Krita that paints, two threads wait for each other more than they compute: ten times slower.
            "OMP_NUM_THREADS": "1",
        }

    def install(self, source):
        """Install every plugin of a folder or of a zip laid out for Krita's importer.

        A plugin is a NAME.desktop whose X-KDE-Library names a folder beside it;
        an optional NAME.action goes to the actions folder.
        """
        source = pathlib.Path(source)
        if source.suffix == ".zip":
            unpacked = self.root / "unpacked" / source.stem
            with zipfile.ZipFile(source) as archive:
                archive.extractall(unpacked)
            source = unpacked
        found = sorted(source.rglob("*.desktop"))
        if not found:
            raise HarnessError(f"no .desktop file in {source}")
        for desktop in found:
            entry = ConfigParser(interpolation=None)
            entry.optionxform = str  # type: ignore[assignment]  # keys keep their case
            entry.read(desktop, encoding="utf-8")
            name = entry["Desktop Entry"]["X-KDE-Library"]
            module = desktop.parent / name
            if not (module / "__init__.py").exists():
                raise HarnessError(f"{desktop} names no module beside it")
            shutil.copytree(module, self.pykrita / name, symlinks=False,
                            ignore=shutil.ignore_patterns("__pycache__"),
                            dirs_exist_ok=True)
            shutil.copy(desktop, self.pykrita / (name + ".desktop"))
            for action in source.rglob(name + ".action"):
                shutil.copy(action, self.resources / "actions" / action.name)
            self.plugins.append(name)

    def write_config(self, settings=None):
        """kritarc: the plugins on, and what keeps a fresh Krita from asking things and writing over the canvas."""
        sections = {
            "": {"SaveSessionOnQuit": "false", "sessionOnStartup": "0", "showOnCanvasMessages": "false"},
            "python": {"enable_" + name: "true" for name in self.plugins},
        }
        for section, pairs in (settings or {}).items():
            sections.setdefault(section, {}).update(pairs)
        lines = ["{}={}".format(*pair) for pair in sections.pop("").items()]
        for section, pairs in sections.items():
            lines += ["", f"[{section}]"] + ["{}={}".format(*pair) for pair in pairs.items()]
        (self.config / "kritarc").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def write_shortcuts(self, shortcuts):
        """kritashortcutsrc: keys by the names of their actions, as Krita's shortcut editor stores them."""
        lines = ["[Shortcuts]"] + ["{}={}".format(*pair) for pair in shortcuts.items()]
        (self.config / "kritashortcutsrc").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def write_files(self, files):
        """Files in Krita's data folder, {relative path: bytes}, as an earlier Krita may have left them."""
        for name, content in files.items():
            path = self.resources / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    # Krita's first start unpacks its bundles and fills an SQLite resource
    # database: about 8 s of the 10 s that a cold start takes.  A copy of the
    # outcome makes every later start in a fresh profile take about 2 s.
    OWN = ("pykrita", "actions", "layer_diffusion")       # never part of the copy: the plugins and what they leave

    def save_resources(self, template):
        template = pathlib.Path(template)
        partial = template.with_name(template.name + f".partial-{os.getpid()}")
        shutil.copytree(self.resources, partial, ignore=lambda folder, names: (
            [n for n in names if n in self.OWN] if folder == str(self.resources) else []))
        try:
            partial.rename(template)
        except OSError:                # another run was first
            shutil.rmtree(partial)

    def load_resources(self, template):
        shutil.copytree(template, self.resources, dirs_exist_ok=True)
