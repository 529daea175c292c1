"""Records that lie in a document and in its .kra, without being seen."""

from __future__ import annotations

PREFIX = "layer_diffusion_result_"
ABOUT = "A result of Layer Diffusion"
FIELDS, ABOUT_FIELDS = "layer_diffusion_fields", "The fields of Layer Diffusion"


class Annotations:
    """The records of one document, by their names."""

    def __init__(self, document) -> None:
        self._document = document

    def names(self) -> list[str]:
        """Return the names of all records."""
        kinds = self._document.annotationTypes()
        return [kind[len(PREFIX) :] for kind in kinds if kind.startswith(PREFIX)]

    def get(self, name: str) -> bytes:
        """Return a record, b"" when there is none of this name."""
        return bytes(self._document.annotation(PREFIX + name))

    def put(self, name: str, data: bytes) -> None:
        """Write a record, in place of the one of the same name; the document has to be saved then."""
        self._document.setAnnotation(PREFIX + name, ABOUT, data)
        self._document.setModified(True)

    def remove(self, name: str) -> None:
        """Delete a record."""
        self._document.removeAnnotation(PREFIX + name)
        self._document.setModified(True)


def read_fields(document) -> str:
    """Return what `write_fields` left in a document, "" when there is nothing."""
    return bytes(document.annotation(FIELDS)).decode("utf-8", "replace")


def write_fields(document, text: str) -> None:
    """Leave in a document what the docker's fields say; it is in the file when the document is saved next."""
    document.setAnnotation(FIELDS, ABOUT_FIELDS, text.encode())
