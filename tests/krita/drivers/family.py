"""The processes below Krita: the backend, and the worker below that."""

import os
from pathlib import Path


def backend():
    """The process id of the backend that Krita has started, the newest one; one that has ended has no command."""
    return next(pid for pid in reversed(children(os.getpid())) if "backend" in command(pid))


def worker_of(pid):
    """The process id of a backend's worker: its child that was spawned."""
    return next(child for child in children(pid) if any("spawn_main" in word for word in command(child)))


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def command(pid):
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def running(pid):
    """Whether a process has not ended; one that nobody has asked about since has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
