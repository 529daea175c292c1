"""The closed list of error codes, and the one exception that carries them across processes."""

from __future__ import annotations

from enum import Enum
from typing import NoReturn

from .limits import MAX_NOTE


class ErrorCode(str, Enum):
    """What went wrong, for programs. People read the message and the hint."""

    BAD_MESSAGE = "bad_message"
    UNKNOWN_VERSION = "unknown_version"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN_ORIGIN = "forbidden_origin"
    FORBIDDEN_HOST = "forbidden_host"
    TOO_LARGE = "too_large"
    QUEUE_FULL = "queue_full"
    DUPLICATE_JOB = "duplicate_job"
    UNKNOWN_JOB = "unknown_job"
    INVALID_REQUEST = "invalid_request"
    UNKNOWN_MODEL = "unknown_model"
    UNSUPPORTED_OPERATION = "unsupported_operation"
    MISSING_FILE = "missing_file"
    BAD_CHECKPOINT = "bad_checkpoint"
    NOT_FINITE = "not_finite"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    DOWNLOAD_FAILED = "download_failed"
    WORKER_DIED = "worker_died"
    CANCELLED_BY_SHUTDOWN = "cancelled_by_shutdown"
    CANCELLED_BY_USER = "cancelled_by_user"
    INTERNAL = "internal"


TEXTS: dict[ErrorCode, tuple[str, str]] = {
    ErrorCode.BAD_MESSAGE: (
        "The other side sent a message that is not part of the protocol.",
        "Install the plugin and the backend from the same release.",
    ),
    ErrorCode.UNKNOWN_VERSION: (
        "The plugin and the backend speak different versions of the protocol.",
        "Install the plugin and the backend from the same release and restart both.",
    ),
    ErrorCode.UNAUTHORIZED: (
        "The backend did not accept the access token.",
        "Read the token again from the token file that the running backend names in its ready line.",
    ),
    ErrorCode.FORBIDDEN_ORIGIN: (
        "The backend does not accept connections from web pages.",
        "Connect from the Krita plugin or another program, without an Origin header.",
    ),
    ErrorCode.FORBIDDEN_HOST: (
        "The backend was addressed by a host name that it does not answer to.",
        "Use the host and port of the backend's ready line, or start the backend with this name as --host.",
    ),
    ErrorCode.TOO_LARGE: (
        "A message is larger than the protocol allows.",
        "Make the prompt shorter or the image smaller.",
    ),
    ErrorCode.QUEUE_FULL: (
        "Too many jobs are waiting.",
        "Wait for some jobs to finish, or cancel some.",
    ),
    ErrorCode.DUPLICATE_JOB: (
        "A different job with the same id exists already.",
        "Give every job a new random id.",
    ),
    ErrorCode.UNKNOWN_JOB: (
        "The backend knows no such job.",
        "It was acknowledged already, or the backend was started again; generate it anew if you still want it.",
    ),
    ErrorCode.INVALID_REQUEST: (
        "A setting of the request is outside its range.",
        "Correct the setting and generate again.",
    ),
    ErrorCode.UNKNOWN_MODEL: (
        "The chosen model is not installed.",
        "Choose one of the installed models, or install this one and list the models again.",
    ),
    ErrorCode.UNSUPPORTED_OPERATION: (
        "The chosen model cannot do this operation.",
        "Choose another model or another operation.",
    ),
    ErrorCode.MISSING_FILE: (
        "A file that the model needs is missing.",
        "Install the model again.",
    ),
    ErrorCode.BAD_CHECKPOINT: (
        "A model file is damaged or of an unknown kind.",
        "Delete the file and install the model again; only safetensors files are read.",
    ),
    ErrorCode.NOT_FINITE: (
        "The model computed values that are not numbers.",
        "Try another seed or a lower CFG; if it stays, the model file is damaged: install it again.",
    ),
    ErrorCode.OUT_OF_MEMORY: (
        "The device ran out of memory.",
        "Use a smaller size or batch, or close other programs that use the device.",
    ),
    ErrorCode.DISK_FULL: (
        "A file could not be written because the disk is full.",
        "Free some space and try again.",
    ),
    ErrorCode.DOWNLOAD_FAILED: (
        "A file could not be downloaded.",
        "Check the internet connection and try again; what has come so far is kept.",
    ),
    ErrorCode.WORKER_DIED: (
        "The process that generates images ended in the middle of the job.",
        "Generate again: a new process is started. If it happens again, use a smaller size, memory may have run out.",
    ),
    ErrorCode.CANCELLED_BY_SHUTDOWN: (
        "The backend was stopped before the job was finished.",
        "Start the backend again and generate again.",
    ),
    ErrorCode.CANCELLED_BY_USER: (
        "The installation was cancelled.",
        "Install again whenever you like; it goes on where it was.",
    ),
    ErrorCode.INTERNAL: (
        "Something unexpected happened in the backend.",
        "Generate again; if it happens again, report it together with the backend's log.",
    ),
}
"""The default message and hint of every code."""


def _sentence(text: str) -> str:
    # A file name in the text may hold bytes that are no characters; they cannot travel.
    return text[:MAX_NOTE].encode("utf-8", "replace").decode()


class LayerDiffusionError(Exception):
    """An error that a person can act on.

    Attributes:
        code: member of the closed list.
        message: one sentence, what happened, at most `MAX_NOTE` characters.
        hint: one sentence, what to do, at most `MAX_NOTE` characters.
        job: id of the job whose message could not be read, where that much could be read of it. Not transmitted with
            the error; the server uses it to answer to the right job.
    """

    def __init__(self, code: ErrorCode, message: str | None = None, hint: str | None = None) -> None:
        super().__init__(code, message, hint)
        default_message, default_hint = TEXTS[code]
        self.code = code
        self.message = _sentence(message or default_message)
        self.hint = _sentence(hint or default_hint)
        self.job: str | None = None

    def __str__(self) -> str:
        return f"{self.message} {self.hint}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LayerDiffusionError) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.code, self.message, self.hint))

    def to_dict(self) -> dict[str, str]:
        """Return the error as it travels: `code`, `message` and `hint`, all strings."""
        return {"code": self.code.value, "message": self.message, "hint": self.hint}

    @classmethod
    def from_dict(cls, value: object) -> LayerDiffusionError:
        """Read what `to_dict` wrote. Raises `bad_message` when anything is missing, wrong or too much."""
        if not isinstance(value, dict) or set(value) != {"code", "message", "hint"}:
            fail(ErrorCode.BAD_MESSAGE, "An error must have exactly the fields code, message and hint.")
        message, hint = value["message"], value["hint"]
        if not (isinstance(message, str) and isinstance(hint, str)) or max(len(message), len(hint)) > MAX_NOTE:
            fail(ErrorCode.BAD_MESSAGE, f"An error's message and hint must be texts of up to {MAX_NOTE} characters.")
        try:
            code = ErrorCode(value["code"])
        except ValueError:
            fail(ErrorCode.BAD_MESSAGE, f"{value['code']!r:.100} is not an error code.")
        return cls(code, message, hint)


def fail(code: ErrorCode, message: str | None = None, hint: str | None = None) -> NoReturn:
    """Raise `LayerDiffusionError`; a message or hint that is not given is the code's default."""
    raise LayerDiffusionError(code, message, hint)
