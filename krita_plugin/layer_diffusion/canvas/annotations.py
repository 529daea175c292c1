"""Records that lie in a document and in its .kra, without being seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..qt import QtCore

PREFIX = "layer_diffusion_result_"
ABOUT = "A result of Layer Diffusion"
FAVOURITE, ABOUT_FAVOURITE = "layer_diffusion_favourite_", "Whether a result of Layer Diffusion is a favourite"
YES, NO = b"yes", b"no"
FIELDS, ABOUT_FIELDS = "layer_diffusion_fields", "The fields of Layer Diffusion"


class Record:
    """Bytes as Krita holds them: they are handed over without a copy, and only the parts that are read are copied.

    It has of `bytes` what `cards.Record` asks for, and works on any thread.
    """

    def __init__(self, held) -> None:
        self.held = held

    def __len__(self) -> int:
        return self.held.size()

    def __getitem__(self, part: slice) -> bytes:
        start, end, _ = part.indices(len(self))
        return self.held.mid(start, end - start).data()

    def find(self, part: bytes) -> int:
        """Return where a part begins, -1 when it is not there."""
        return self.held.indexOf(part)


def record_of(parts: Iterable[bytes]) -> Record:
    """Put parts together; for any thread."""
    held = QtCore.QByteArray()
    for part in parts:
        held.append(part)
    held.squeeze()
    return Record(held)


class Annotations:
    """The records of one document, by their names."""

    def __init__(self, document) -> None:
        self._document = document

    def names(self) -> list[str]:
        """Return the names of all records."""
        kinds = self._document.annotationTypes()
        return [kind[len(PREFIX) :] for kind in kinds if kind.startswith(PREFIX)]

    def get(self, name: str) -> Record:
        """Return a record, an empty one when there is none of this name."""
        return Record(self._document.annotation(PREFIX + name))

    def put(self, name: str, record: Any) -> None:
        """Write what `record_of` returned, in place of the one of the same name; the document has to be saved then."""
        self._document.setAnnotation(PREFIX + name, ABOUT, record.held)
        self._document.setModified(True)

    def remove(self, name: str) -> None:
        """Delete a record."""
        self._document.removeAnnotation(PREFIX + name)
        self._document.removeAnnotation(FAVOURITE + name)
        self._document.setModified(True)

    def is_favourite(self, name: str) -> bool | None:
        """Return what `favour` said of a record, None when nothing."""
        said = bytes(self._document.annotation(FAVOURITE + name))
        return said == YES if said else None

    def favour(self, name: str, favourite: bool) -> None:
        """Say whether a record is a favourite; the document has to be saved then."""
        self._document.setAnnotation(FAVOURITE + name, ABOUT_FAVOURITE, YES if favourite else NO)
        self._document.setModified(True)


def read_fields(document) -> str:
    """Return what `write_fields` left in a document, "" when there is nothing."""
    return bytes(document.annotation(FIELDS)).decode("utf-8", "replace")


def write_fields(document, text: str) -> None:
    """Leave in a document what the docker's fields say; it is in the file when the document is saved next."""
    document.setAnnotation(FIELDS, ABOUT_FIELDS, text.encode())
