"""What the docker says when something needs the person: one sentence and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from .protocol.errors import LayerDiffusionError
from .translation import told, tr


@dataclass(frozen=True)
class Notice:
    """A sentence for people and a hint what to do next."""

    message: str
    hint: str

    @classmethod
    def of(cls, error: LayerDiffusionError) -> Notice:
        """Return the notice for an error that the backend reported."""
        return cls(error.message, error.hint)

    @classmethod
    def of_any(cls, error: Exception) -> Notice:
        """Return the notice for whatever went wrong on this side of the connection."""
        if isinstance(error, Trouble):
            return error.notice
        reason = f"{type(error).__name__}: {error}"
        return cls(
            tr("Something unexpected happened ({reason}).", reason=reason),
            tr("Try again. If it happens again, report it with what Diagnostics copies."),
        )

    def __str__(self) -> str:
        """Both in the person's language, as far as they are known in it."""
        return f"{told(self.message)} {told(self.hint)}".strip()


class Trouble(Exception):
    """Something on this side of the connection that the person can act on."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.notice = Notice(message, hint)


class Busy(Trouble):
    """Krita is at work on a document, with a stroke for example; it passes by itself."""

    def __init__(self) -> None:
        super().__init__(tr("Krita is busy with this document."), tr("Try again in a moment."))
