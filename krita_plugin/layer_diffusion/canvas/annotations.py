"""Records that lie in a document and in its .kra, without being seen."""

from __future__ import annotations

PREFIX = "layer_diffusion_result_"
ABOUT = "A result of Layer Diffusion"


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
