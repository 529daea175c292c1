"""Waiting for processes that are nobody's child here."""

import os
import select

LIMIT_S = 20


def assert_ended(pid: int) -> None:
    """The process has ended or does so soon."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with open(handle, closefd=True) as ended:
        assert select.select([ended], [], [], LIMIT_S)[0], f"process {pid} goes on"
