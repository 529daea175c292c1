"""What the docker says when something needs the person: one sentence and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .protocol.errors import ErrorCode, LayerDiffusionError
from .translation import mark, told, tr


class Fix(Enum):
    """Where something wrong can be mended, as the button beside the words says it."""

    MODELS = mark("Models…")
    BACKEND = mark("Backend…")
    DIAGNOSTICS = mark("Diagnostics")


FIXES = {
    ErrorCode.UNKNOWN_MODEL: Fix.MODELS,
    ErrorCode.MISSING_FILE: Fix.MODELS,
    ErrorCode.BAD_CHECKPOINT: Fix.MODELS,
    ErrorCode.DOWNLOAD_FAILED: Fix.MODELS,
    ErrorCode.CANCELLED_BY_USER: Fix.MODELS,
    ErrorCode.UNAUTHORIZED: Fix.BACKEND,
    ErrorCode.FORBIDDEN_HOST: Fix.BACKEND,
    ErrorCode.CANCELLED_BY_SHUTDOWN: Fix.BACKEND,
    ErrorCode.WORKER_DIED: Fix.DIAGNOSTICS,
    ErrorCode.INTERNAL: Fix.DIAGNOSTICS,
}


@dataclass(frozen=True)
class Notice:
    """A sentence for people, a hint what to do next, and where that is done."""

    message: str
    hint: str
    fix: Fix | None = None

    @classmethod
    def of(cls, error: LayerDiffusionError) -> Notice:
        """Return the notice for an error that the backend reported."""
        return cls(error.message, error.hint, FIXES.get(error.code))

    @classmethod
    def of_any(cls, error: Exception) -> Notice:
        """Return the notice for whatever went wrong on this side of the connection."""
        if isinstance(error, Trouble):
            return error.notice
        reason = f"{type(error).__name__}: {error}"
        return cls(
            tr("Something unexpected happened ({reason}).", reason=reason),
            tr("Try again. If it happens again, report it with what Diagnostics copies."),
            Fix.DIAGNOSTICS,
        )

    def __str__(self) -> str:
        """Both in the person's language, as far as they are known in it."""
        return f"{told(self.message)} {told(self.hint)}".strip()


class Trouble(Exception):
    """Something on this side of the connection that the person can act on."""

    def __init__(self, message: str, hint: str, fix: Fix | None = None) -> None:
        super().__init__(message, hint, fix)
        self.notice = Notice(message, hint, fix)


class Busy(Trouble):
    """Krita is at work on a document, with a stroke for example; it passes by itself."""

    def __init__(self) -> None:
        super().__init__(tr("Krita is busy with this document."), tr("Try again in a moment."))
