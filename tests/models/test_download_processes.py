"""Downloads by other processes: killed, two at once, and on a disk that becomes full."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.models.catalogue import Entry

from .hub import Fault, Hub
from .test_download import NAME, file, get, hub, left, made, target  # noqa: F401 - the stand-in and its file

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path
from backend.models import download
from backend.models.catalogue import Entry
from backend.models.control import Control
from protocol.errors import LayerDiffusionError
target, size, sha256, spare = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
download.SPARE = spare
file = Entry("sdxl", "decoder", target.name, "someone/layers", size, sha256)
try:
    download.fetch(file, target, Control(), lambda done, total: print(done, flush=True))
    print("right" if not download.fault(file, target) else "wrong")
except LayerDiffusionError as error:
    print(error.code.value, target.exists())
"""


def second(hub: Hub, file: Entry, target: Path, spare: int = 0, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:  # noqa: F811
    """Another process that fetches, printing the bytes that it has and how it ended."""
    return subprocess.Popen(
        [*before, sys.executable, "-c", SCRIPT, str(target), str(file.size), str(file.sha256), str(spare)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0"},
    )


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout
    return (line.strip() for line in process.stdout)


def test_a_killed_installer_leaves_no_file_and_the_next_one_goes_on(hub, file, target):  # noqa: F811
    hub.faults.append(Fault(cut=6000, gate=threading.Event()))
    process = second(hub, file, target)
    assert any(line == "6000" for line in lines(process))
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert not target.exists()
    get(file, target)
    # What was in the killed process's buffers is lost, no more.
    assert len(hub.ranges) == 2 and left(target) == {NAME}


def test_two_installers_at_once_download_once(hub, file, target):  # noqa: F811
    gate = threading.Event()
    hub.faults.append(Fault(cut=6000, gate=gate))
    first = second(hub, file, target)
    heard = lines(first)
    assert any(line == "6000" for line in heard)
    other = second(hub, file, target)
    others = lines(other)
    next(others)
    gate.set()
    assert [*heard][-1] == [*others][-1] == "right"
    assert first.wait(60) == other.wait(60) == 0 and hub.ranges == [0] and left(target) == {NAME}


def test_a_disk_that_becomes_full_leaves_no_file(hub, file, tmp_path):  # noqa: F811
    space = tmp_path / "space"
    space.mkdir()
    mount = f"mount -t tmpfs -o size={file.size // 2 // 4096 * 4096} none {space} && exec \"$@\""
    inside = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh")
    if not shutil.which("unshare") or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("this machine lends no small disk")
    process = second(hub, file, space / NAME, -(2**80), inside)
    assert [*lines(process)][-1] == "disk_full False"
    process.wait(60)
