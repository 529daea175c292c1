"""What the tests of the plugin share: the assembled plugin, its import outside of Krita, and runs of a real Krita."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from krita_plugin.build import assemble

from .harness.run import KritaRun

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
NEEDED = ("krita", "Xvfb", "openbox", "xdotool", "import", "dbus-run-session")
REQUIRED = os.environ.get("LAYER_DIFFUSION_REQUIRE_KRITA") == "1"
RESOURCES = os.environ.get("KRITA_HARNESS_CACHE") or "/var/tmp/krita-harness-cache"
OTHER_ROOT = os.environ.get("LAYER_DIFFUSION_KRITA_ROOT") or None
"""A folder with another Krita, made by harness/make_root.sh. The backend runs in there too, with the Python and the
environment of these tests; the stand-in with the Python that is there."""
BACKEND = [Path(folder) for folder in (sys.base_prefix, sys.prefix) if folder != "/usr"]
"""What the real backend needs beside the project. Debian's own Python is not the same in another root."""
ARTEFACTS = Path(os.environ.get("LAYER_DIFFUSION_ARTEFACTS") or PROJECT / "test-artefacts" / "krita")


class NothingCame(AssertionError):
    """A driver waited in vain for one thing and found no other fault."""


def pytest_collection_modifyitems(config, items):
    """Let a test in Krita have a second try if `NothingCame`: Krita and the screen lose a key in some hundreds.

    Without Krita its tests are left out, unless they are required: then they run, and fail.
    """
    for item in items:
        if item.get_closest_marker("krita"):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=NothingCame))
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if not missing or REQUIRED:
        return
    left_out = [item for item in items if item.get_closest_marker("krita")]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        reporter.write_line(
            f"{len(left_out)} tests need a real Krita and are left out: {', '.join(missing)} is missing "
            "(tests/krita/harness/install_krita.sh installs it)"
        )


def websockets_source() -> Path:
    """The websockets release to put into the plugin: a wheel named in the environment, or what is installed."""
    named = os.environ.get("LAYER_DIFFUSION_WEBSOCKETS")
    if named:
        return Path(named)
    found = importlib.util.find_spec("websockets")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent


@pytest.fixture(scope="session")
def plugin_folder(tmp_path_factory) -> Path:
    """A folder with the assembled plugin, as it would lie in Krita's pykrita folder."""
    folder = tmp_path_factory.mktemp("pykrita")
    assemble(folder, websockets_source())
    return folder


@pytest.fixture(scope="session")
def plugin(plugin_folder):
    """Import a module of the assembled plugin by its name: plugin("session")."""
    sys.path.insert(0, str(plugin_folder))
    yield lambda name: importlib.import_module(f"layer_diffusion.{name}")
    sys.path.remove(str(plugin_folder))


@pytest.fixture
def standin(tmp_path, plugin_folder) -> Path:
    """A folder from which `python -m backend serve` starts the stand-in, with any Python."""
    root = tmp_path / "standin"
    shutil.copytree(HERE / "standin", root)
    vendor = plugin_folder / "layer_diffusion" / "_vendor"
    (root / "paths").write_text(f"{PROJECT}\n{vendor}\n", encoding="utf-8")
    return root


def passed(results: dict, out: Path, ends: str = "ok") -> None:
    """Assert that a run ended so, with every check and without exceptions; `out` has what to look at if not."""
    failed = [f"{check['name']}: {check['detail']}" for check in results.get("checks", []) if not check["passed"]]
    raised = [problem["traceback"] for problem in results.get("exceptions", [])]
    said = f"{results['status']}, see {out}\n" + "\n".join(failed + raised)
    if results["status"] == "failed" and not failed and len(raised) == 1 and "\nTimeoutError: waited " in raised[0]:
        raise NothingCame(said)
    assert results["status"] == ends and not failed and not raised, said


@pytest.fixture
def krita(tmp_path, plugin_folder, request):
    """Run a driver script in a real Krita whose plugin starts the backend of `root`; return the checked results."""

    def run(
        driver: str, root: Path, timeout: float = 240, settings=None, files=None, environment=None, shortcuts=None,
        python: Path | None = None, ends: str = "ok", **args,
    ) -> dict:  # fmt: skip
        missing = [program for program in NEEDED if shutil.which(program) is None]
        assert not missing, f"{', '.join(missing)} is missing; tests/krita/harness/install_krita.sh installs it"
        installed = tmp_path / "plugin"
        shutil.copytree(plugin_folder, installed, dirs_exist_ok=True)
        usual = "/usr/bin/python3" if OTHER_ROOT and root.name == "standin" else sys.executable
        config = {"python": str(python or usual), "root": str(root)}
        (installed / "layer_diffusion" / "backend.json").write_text(json.dumps(config), encoding="utf-8")
        again = getattr(request.node, "execution_count", 1) > 1
        out = ARTEFACTS / (request.node.name + ("-again" if again else ""))
        ours = {"first_start": "done", **(settings or {}).get("layer_diffusion", {})}
        with KritaRun(
            driver=HERE / "drivers" / driver,
            out=out,
            plugins=[installed],
            args={"root": str(root), "shortcuts": shortcuts, **args},
            timeout=timeout,
            settings={**(settings or {}), "layer_diffusion": ours},
            files=files,
            shortcuts=shortcuts,
            environment=environment,
            cache=RESOURCES,
            chroot=OTHER_ROOT,
            binds=[PROJECT, *BACKEND, plugin_folder, tmp_path],
        ) as session:
            results = session.wait()
        passed(results, out, ends)
        return results

    return run
