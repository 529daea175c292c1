"""Putting the plugin together."""

import ast
import sys
import zipfile
from xml.etree import ElementTree

import pytest

from krita_plugin.build import HERE, NAME, assemble, build_zip

from .conftest import websockets_source


def test_zip_has_directory_entries_and_everything_the_plugin_needs(tmp_path):
    with zipfile.ZipFile(build_zip(tmp_path / "plugin.zip", websockets_source())) as archive:
        names = set(archive.namelist())
    assert {
        f"{NAME}.desktop",
        f"{NAME}.action",
        f"{NAME}/",
        f"{NAME}/__init__.py",
        f"{NAME}/Manual.html",
        f"{NAME}/protocol/messages.py",
        f"{NAME}/_vendor/__init__.py",
        f"{NAME}/_vendor/websockets/sync/client.py",
        f"{NAME}/_vendor/websockets/LICENSE",
    } <= names
    assert not [name for name in names if name.endswith((".so", ".pyd", ".pyc", "backend.json"))]


def test_older_copy_is_replaced_as_a_whole(tmp_path):
    plugin = assemble(tmp_path, websockets_source())
    (plugin / "left_over.py").write_text("", encoding="utf-8")
    assert assemble(tmp_path, websockets_source()) == plugin
    assert not (plugin / "left_over.py").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, f"{NAME}.action", f"{NAME}.desktop"]


def test_older_copy_stays_when_the_source_is_wrong(tmp_path):
    plugin = assemble(tmp_path, websockets_source())
    with pytest.raises(ValueError, match="neither a wheel nor a package folder"):
        assemble(tmp_path, tmp_path)
    assert (plugin / "__init__.py").exists()


def test_websockets_that_old_pythons_cannot_run_are_refused(tmp_path):
    package = tmp_path / "websockets"
    package.mkdir()
    (package / "version.py").write_text('tag = version = commit = "17.4"\n', encoding="utf-8")
    with pytest.raises(ValueError, match="use 15"):
        assemble(tmp_path / "out", package)


def test_only_the_standard_library_and_own_parts_are_imported(plugin_folder):
    allowed = {"krita", "PyQt5", "PyQt6"}
    standard = set(__import__("sys").stdlib_module_names)
    for path in (plugin_folder / NAME).rglob("*.py"):
        if "_vendor" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))):
            if isinstance(node, ast.Import):
                tops = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                tops = {node.module.split(".")[0]}
            else:
                continue
            assert tops <= standard | allowed, (path, tops)


def test_only_these_modules_know_krita(plugin_folder):
    plugin = plugin_folder / NAME
    sources = {path.relative_to(plugin): path.read_text(encoding="utf-8") for path in plugin.rglob("*.py")}
    users = {path.parts[0] for path, source in sources.items() if "from krita import" in source}
    assert users == {"canvas", "qt.py", "registration.py"}


def test_a_krita_with_an_older_python_says_what_to_install(plugin_folder, monkeypatch):
    source = (plugin_folder / NAME / "__init__.py").read_text("utf-8")
    ast.parse(source, feature_version=(3, 7))  # what cannot be parsed says nothing
    monkeypatch.setattr(sys, "version_info", (3, 8, 1, "final", 0))
    with pytest.raises(ImportError, match="Krita 5.2 or newer"):
        exec(compile(source, "__init__.py", "exec"), {})


def test_krita_is_told_of_the_actions_that_the_plugin_makes():
    """Its shortcut editor lists those of the file, its menu those of the code."""
    tree = ast.parse((HERE / NAME / "registration.py").read_text("utf-8"))
    tables = [node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ACTIONS"]
    made = list(map(ast.literal_eval, tables[0].value.keys))  # type: ignore[attr-defined]
    file = ElementTree.parse(HERE / f"{NAME}.action").getroot()
    described = {action.attrib["name"]: action for action in file.iter("Action")}
    assert sorted(described) == sorted(f"{NAME}_{name}" for name in made)
    for name in made:
        action = described[f"{NAME}_{name}"]
        text, about, tip, short = (action.findtext(part) for part in ("text", "whatsThis", "toolTip", "iconText"))
        assert text and about and tip and short, name
        assert action.find("icon") is not None and action.findtext("isCheckable") == "false", name
