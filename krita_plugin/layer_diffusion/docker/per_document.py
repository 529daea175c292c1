"""Each document has its own fields, as they were when a person left it."""

from __future__ import annotations

from .. import canvas
from ..settings import Settings


class FieldsOfDocuments:
    """What the fields said, for each open document; a new one begins with those of the one before."""

    def __init__(self) -> None:
        self._document: object = None
        self._left: list[tuple[object, Settings]] = []

    def follow(self, document, fields: Settings) -> Settings | None:
        """Return what the fields said when the document was in front last; None when they can stay as they are."""
        if document is None or document == self._document:
            return None
        if self._document is not None:
            self._left = [(other, left) for other, left in self._left if other != self._document]
            self._left.append((self._document, fields))
        self._left = [(other, left) for other, left in self._left if canvas.is_open(other)]
        self._document = document
        for other, left in self._left:
            if other == document:
                return left
        text = canvas.read_fields(document)
        return Settings.from_text(text) if text else None
