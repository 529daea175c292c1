"""One change to the models' files at a time, whoever wants it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from backend.models.control import Control
from backend.models.library import Bytes
from protocol.errors import ErrorCode
from protocol.messages import Files, Install, Installed, Installing, Refused, RemoveFiles

from .harness import MODEL, TIMEOUT, Backend, Models


class Slow(Models):
    """A library whose files come and go when the test says so."""

    def __init__(self) -> None:
        super().__init__([MODEL])
        self.begun, self.go = threading.Event(), threading.Event()

    def check(self, names: Sequence[str]) -> None:
        pass

    def install(self, names: Sequence[str], control: Control, report: Bytes) -> None:
        assert self.go.wait(TIMEOUT)

    def remove(self, names: Sequence[str]) -> None:
        self.begun.set()
        assert self.go.wait(TIMEOUT)


def test_nothing_is_installed_while_files_are_removed() -> None:
    backend = Backend()
    backend.library = library = Slow()
    with backend, backend.client() as client, backend.client() as other:
        client.send(RemoveFiles(("one",)))
        assert library.begun.wait(TIMEOUT)
        other.send(Install(("one",)))
        assert other.until(Refused).error.code is ErrorCode.INVALID_REQUEST
        library.go.set()
        client.until(Files)
        other.send(Install(("one",)))
        other.until(Installed)


def test_nothing_is_removed_while_files_are_installed() -> None:
    backend = Backend()
    backend.library = library = Slow()
    with backend, backend.client() as client, backend.client() as other:
        client.send(Install(("one",)))
        other.until(Installing)
        other.send(RemoveFiles(("one",)))
        assert other.until(Refused).error.code is ErrorCode.INVALID_REQUEST
        library.go.set()
        assert client.until(Installed).error is None and not library.begun.is_set()
