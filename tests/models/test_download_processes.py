"""Downloads by other processes: killed, two at once, and on a disk that becomes full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.models.catalogue import PART, Entry

from .hub import Fault, Hub
from .test_download import NAME, file, get, hub, left, made, target  # noqa: F401 - the stand-in and its file

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path
from backend.models import download
from backend.models.catalogue import PART, Entry
from backend.models.control import Control
from protocol.errors import LayerDiffusionError
target, size, sha256 = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
file = Entry("sdxl", "decoder", target.name, "someone/layers", size, sha256)
try:
    download.fetch(file, target, Control(), lambda done: print(done, flush=True))
    print("right" if not download.fault(file, target) else "wrong")
except LayerDiffusionError as error:
    print(error.code.value, target.exists())
"""
FULL = """
import errno, io, pathlib, sys
from backend.models import download
room = int(sys.argv[4])
download.SPARE = -2**80  # what is free is counted before; here it is used up meanwhile, as by another program
class Small(io.FileIO):
    def write(self, data):
        # As the system does it: the last piece that fits is written, then nothing more.
        free = room - self.seek(0, io.SEEK_END)
        if free <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(memoryview(data)[:free])
usual = pathlib.Path.open
pathlib.Path.open = lambda path, mode="r", *rest, **more: (
    io.BufferedWriter(Small(path, mode)) if mode in ("ab", "wb") else usual(path, mode, *rest, **more))
"""
"""A disk with room for so many bytes of a file."""
LIMITED = """
import resource, sys
from backend.models import download
download.SPARE = -2**80
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), resource.RLIM_INFINITY))
"""
"""A disk whose files become no longer than so many bytes; the system itself refuses the rest."""


def second(hub: Hub, file: Entry, target: Path, before: str = "", room: int = 0) -> subprocess.Popen[str]:  # noqa: F811
    """Another process that fetches, printing the bytes that it has and how it ended."""
    return subprocess.Popen(
        [sys.executable, "-c", before + SCRIPT, str(target), str(file.size), file.sha256, str(room)],
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


@pytest.mark.parametrize("disk", [FULL, LIMITED], ids=["full", "limited"])
def test_a_disk_that_takes_no_more_leaves_no_file_and_what_came_is_taken_up(hub, file, target, disk):  # noqa: F811
    for room in (4096, file.size - 1):
        hub.ranges.clear()
        process = second(hub, file, target, disk, room)
        assert [*lines(process)][-1] == "disk_full False", room
        assert process.wait(60) == 0 and target.with_name(f"{NAME}{PART}").stat().st_size == room
        get(file, target)
        assert hub.ranges == [0, room] and left(target) == {NAME}
        target.unlink()
