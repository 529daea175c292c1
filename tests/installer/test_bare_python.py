"""Until the environment exists there is nothing but the standard library."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer import environment

PROJECT = ("installer", "backend", "krita_plugin", "protocol")
INSIDE = "installer.demo"
"""The one module of the installer that runs in the environment."""
BARE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from installer.__main__ import main
try:
    status = main(sys.argv[2:])
except SystemExit as end:
    status = end.code
files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
print("\\n" + json.dumps([status, files, sys.path]))
"""


@pytest.mark.parametrize("command", [["--help"], ["install", "--dry-run"], ["uninstall"]], ids=" ".join)
def test_runs_where_no_package_is_visible(command):
    run = [sys.executable, "-I", "-S", "-c", BARE, str(environment.ROOT), *command]
    answer = subprocess.run(run, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    status, files, path = json.loads(answer.stdout.splitlines()[-1])
    assert not status, answer.stderr
    assert not [place for place in path if "site-packages" in place or "dist-packages" in place]
    ours = {name for name, file in files.items() if file and Path(file).is_relative_to(environment.ROOT)}
    assert {"installer.commands", "backend.models.catalogue", "krita_plugin.build"} <= ours
    assert {name.partition(".")[0] for name in set(files) - ours} <= {"__main__", *sys.stdlib_module_names}


def test_whatever_it_can_import_is_of_the_standard_library():
    waiting = [f"installer.{path.stem}" for path in (environment.ROOT / "installer").glob("*.py")]
    waiting.remove(INSIDE)
    seen = {""}
    foreign = []
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for imported in imports(name):
            if imported.partition(".")[0] in PROJECT:
                waiting += [imported, imported.rpartition(".")[0]]
            elif imported.partition(".")[0] not in sys.stdlib_module_names:
                foreign.append(f"{imported} in {name}")
    assert {"installer.lock", "backend.models.registry", "krita_plugin.build"} <= set(seen)
    assert not foreign


def imports(name: str) -> Iterator[str]:
    """Modules that this one imports: of the installer's also those in functions, of others those of each import."""
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    if found is None or found.origin is None:
        # A name in a module, or a folder without a file of its own.
        return
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
    package = name if found.submodule_search_locations else name.rpartition(".")[0]
    for node in ast.walk(tree) if name.startswith("installer") else at_import(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield base
            if base.partition(".")[0] in PROJECT:
                yield from (f"{base}.{alias.name}" for alias in node.names)


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: all but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from at_import(child)
