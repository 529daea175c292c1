"""What the installer left behind, in a real Krita: up to the first layer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from installer import environment
from tests.krita.harness.profile import Profile
from tests.krita.harness.run import DRIVER_PLUGIN, KritaRun

DRIVER = environment.ROOT / "tests/krita/drivers/first_layer.py"
ARTEFACTS = Path(os.environ.get("LAYER_DIFFUSION_ARTEFACTS") or environment.ROOT / "test-artefacts") / "krita"
FROM_NOTHING = os.environ.get("LAYER_DIFFUSION_INSTALL_FROM_NOTHING") == "1"
HERE = Path(sys.prefix).parent
"""The folder of the installer that made the environment of these tests, if one did."""
pytestmark = [
    pytest.mark.krita,
    pytest.mark.skipif(
        os.environ.get("LAYER_DIFFUSION_REQUIRE_KRITA") != "1" and not (shutil.which("krita") and shutil.which("Xvfb")),
        reason="Krita is missing",
    ),
]


@pytest.fixture
def user(tmp_path):
    """A user who has Krita, with nothing of ours."""
    profile = Profile(tmp_path)
    profile.install(DRIVER_PLUGIN)
    profile.write_config()
    return profile


def install(profile, *arguments, python=sys.executable, **variables):
    """Run the installer as this user and return what it said."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    command = [python, "-m", "installer", *arguments]
    answer = subprocess.run(
        command, cwd=environment.ROOT, env={**kept, **profile.environment(), **variables}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    assert answer.returncode == 0, answer.stdout
    return answer.stdout


def first_layer(profile, name):
    with KritaRun(
        driver=DRIVER, out=ARTEFACTS / name, args={}, timeout=400, environment=profile.environment(),
    ) as session:
        results = session.wait()
    failed = [check for check in results["checks"] if not check["passed"]]
    assert results["status"] == "ok" and not failed, results


@pytest.mark.skipif(not (HERE / "environment/complete.json").is_file(), reason="not in an environment of the installer")
def test_plugin_that_was_installed_generates(user):
    said = install(user, "plugin", LAYER_DIFFUSION_HOME=str(HERE))
    assert str(user.pykrita / "layer_diffusion") in said
    first_layer(user, "installed_plugin")


@pytest.mark.skipif(not FROM_NOTHING, reason="LAYER_DIFFUSION_INSTALL_FROM_NOTHING=1 asks for it: fetches all packages")
def test_from_nothing_to_the_first_layer(user, capsys):
    start = time.monotonic()
    # The Python that this environment was made with, which has none of its packages.
    said = install(user, "install", python=str(Path(sys.base_prefix) / "bin/python3"))
    installed = time.monotonic()
    first_layer(user, "from_nothing")
    generated = time.monotonic()
    done = next(line for line in said.splitlines() if line.startswith("Done"))
    assert re.search(r": \d+(\.\d)? [MG]B fetched", done), done
    with capsys.disabled():
        print(f"\n{done}")
        print(f"Installed after {installed - start:.0f} s, the first layer after {generated - start:.0f} s.")
