"""The JSON messages: one frozen dataclass each, `parse` and `build`.

The fields and their type hints are the grammar: `parse` takes an object with exactly the fields of its class, each of
exactly the hinted type, and refuses everything else with `bad_message`. Values of the right type that are out of
range are refused by the classes of `job.py` with `invalid_request`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

from .coding import decode, encode
from .errors import ErrorCode, LayerDiffusionError, fail
from .job import LayerSetHeader, ModelInfo, Progress, Thumbnail
from .library import BundleInfo, Download, FileInfo, OwnModel
from .limits import MAX_NAME, MAX_PATH, MAX_TEXT
from .request import Request

Id = Annotated[str, re.compile(r"[0-9a-f]{32}")]
"""128 random bits as 32 lower-case hexadecimal digits: names a job or a client."""
Name = Annotated[str, re.compile(rf"[^\x00-\x1f\ud800-\udfff]{{1,{MAX_NAME}}}")]
Path = Annotated[str, re.compile(rf"[^\x00-\x1f\ud800-\udfff]{{0,{MAX_PATH}}}")]


class State(str, Enum):
    """Where a job is in its life; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class JobStatus:
    """State of one job; position is the number of jobs that come before it, 0 when it is not queued."""

    job: Id
    state: State
    position: int


# Client to server


@dataclass(frozen=True)
class Hello:
    """First message of a client: the versions it speaks, its name and the id that owns its jobs."""

    versions: tuple[int, ...]
    client: Name
    client_id: Id


@dataclass(frozen=True)
class Generate:
    """Queue a job."""

    job: Id
    request: Request


@dataclass(frozen=True)
class Cancel:
    """Stop one job, waiting or running."""

    job: Id


@dataclass(frozen=True)
class CancelAll:
    """Stop all unfinished jobs of this client."""


@dataclass(frozen=True)
class Acknowledge:
    """The final state of this job has arrived completely; the server may forget the job."""

    job: Id


@dataclass(frozen=True)
class ListModels:
    """Ask which models are installed now."""


@dataclass(frozen=True)
class ListFiles:
    """Ask what can be installed, and what is."""


@dataclass(frozen=True)
class Install:
    """Download bundles and files of the catalogue, whatever of them is missing."""

    names: tuple[Name, ...]


@dataclass(frozen=True)
class VerifyFiles:
    """Read what is there of bundles and files to its end, of everything when none is named; `Installed` follows."""

    names: tuple[Name, ...]


@dataclass(frozen=True)
class ScanFiles:
    """Look for models of other programs, to be used where they are; `Installed` follows.

    The folder is an absolute path on the machine of the backend; "" for where other programs usually have theirs.
    """

    folder: Path


@dataclass(frozen=True)
class PauseInstall:
    """Let the installation wait where it is."""


@dataclass(frozen=True)
class ResumeInstall:
    """Let the installation go on."""


@dataclass(frozen=True)
class CancelInstall:
    """End the installation, check or search; what has come is kept, and taken up by the next installation."""


@dataclass(frozen=True)
class RemoveFiles:
    """Delete bundles and files of the catalogue; those of other programs stay and are only not used any more."""

    names: tuple[Name, ...]


@dataclass(frozen=True)
class Unload:
    """Give the memory of all loaded models back; the next job loads what it needs."""


@dataclass(frozen=True)
class Diagnose:
    """Ask what helps to find out why something does not work."""


# Server to client


@dataclass(frozen=True)
class Welcome:
    """Answer to `Hello`: the version to speak, the models, and the jobs the server still holds for this client."""

    version: int
    server: Name
    models: tuple[ModelInfo, ...]
    loras: tuple[Name, ...]
    jobs: tuple[JobStatus, ...]


@dataclass(frozen=True)
class Models:
    """Answer to `ListModels`, and sent when an installation has changed them."""

    models: tuple[ModelInfo, ...]
    loras: tuple[Name, ...]


@dataclass(frozen=True)
class Files:
    """Answer to `ListFiles` and `RemoveFiles`; `download` is the work that goes on.

    `waiting` are names that were installed, did not come whole and were not given up: `Install` goes on with them.
    """

    bundles: tuple[BundleInfo, ...]
    files: tuple[FileInfo, ...]
    models: tuple[OwnModel, ...]
    waiting: tuple[Name, ...]
    download: Download | None


@dataclass(frozen=True)
class Installing:
    """The installation, check or search has come further, or waits; sent to all clients."""

    download: Download


@dataclass(frozen=True)
class Installed:
    """The work with these names ended, with everything in place or with an error; sent to all clients."""

    names: tuple[Name, ...]
    error: LayerDiffusionError | None


@dataclass(frozen=True)
class Unloaded:
    """Answer to `Unload`: the memory is free."""


@dataclass(frozen=True)
class Diagnostics:
    """Answer to `Diagnose`: versions, device and settings by name, this client's last errors, the end of the log.

    Neither prompts nor secrets are in it.
    """

    report: dict[str, str]
    errors: tuple[str, ...]
    log: tuple[str, ...]


@dataclass(frozen=True)
class Queued:
    """The job waits behind `position` others; sent again when that changes."""

    job: Id
    position: int


@dataclass(frozen=True)
class Started:
    """The worker has taken the job."""

    job: Id


@dataclass(frozen=True)
class Running:
    """The job has come further."""

    job: Id
    progress: Progress


@dataclass(frozen=True)
class Preview:
    """What the running job makes looks about like this by now."""

    job: Id
    thumbnail: Thumbnail


@dataclass(frozen=True)
class Done:
    """Final: the job's layers; their pixels follow in `images` binary images, index 0 first, in order."""

    job: Id
    layer_set: LayerSetHeader
    images: int


@dataclass(frozen=True)
class Failed:
    """Final: the job ended with an error."""

    job: Id
    error: LayerDiffusionError


@dataclass(frozen=True)
class Cancelled:
    """Final: the job was stopped at the client's wish."""

    job: Id


@dataclass(frozen=True)
class Refused:
    """A message was not obeyed and changed nothing; `job` is the one it named, or null."""

    error: LayerDiffusionError
    job: Id | None


FromClient = (
    Hello | Generate | Cancel | CancelAll | Acknowledge | ListModels | ListFiles | Install | VerifyFiles
    | ScanFiles | PauseInstall | ResumeInstall | CancelInstall | RemoveFiles | Unload | Diagnose
)
FromServer = (
    Welcome | Models | Files | Installing | Installed | Unloaded | Diagnostics | Queued | Started | Running | Preview
    | Done | Failed | Cancelled | Refused
)
Message = FromClient | FromServer

TYPES: dict[str, type] = {
    "hello": Hello,
    "generate": Generate,
    "cancel": Cancel,
    "cancel_all": CancelAll,
    "acknowledge": Acknowledge,
    "list_models": ListModels,
    "list_files": ListFiles,
    "install": Install,
    "verify_files": VerifyFiles,
    "scan_files": ScanFiles,
    "pause_install": PauseInstall,
    "resume_install": ResumeInstall,
    "cancel_install": CancelInstall,
    "remove_files": RemoveFiles,
    "unload": Unload,
    "diagnose": Diagnose,
    "welcome": Welcome,
    "models": Models,
    "files": Files,
    "installing": Installing,
    "installed": Installed,
    "unloaded": Unloaded,
    "diagnostics": Diagnostics,
    "queued": Queued,
    "started": Started,
    "running": Running,
    "preview": Preview,
    "done": Done,
    "failed": Failed,
    "cancelled": Cancelled,
    "refused": Refused,
}
"""The value of "type" of every message."""
_NAMES = {kind: name for name, kind in TYPES.items()}


def parse(text: str) -> Message:
    """Read one JSON message.

    Raises `LayerDiffusionError`: `too_large` over `MAX_TEXT` bytes, `bad_message` for anything that is not exactly a
    message of this version, `invalid_request` for a value out of range. Its `job` names the job where readable.
    """
    # A text of n characters has at least n bytes; looking there first keeps a huge one from being encoded.
    if len(text) > MAX_TEXT or len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT:
        fail(ErrorCode.TOO_LARGE, f"A JSON message has at most {MAX_TEXT} bytes.")
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise LayerDiffusionError(ErrorCode.BAD_MESSAGE, "A text message is not valid JSON.") from error
    if not isinstance(value, dict):
        fail(ErrorCode.BAD_MESSAGE, "A message must be a JSON object.")
    name = value.pop("type", None)
    kind = TYPES.get(name) if isinstance(name, str) else None
    try:
        if kind is None:
            fail(ErrorCode.BAD_MESSAGE, f"There is no message of type {name!r:.60}.")
        return decode(kind, value, str(name))
    except LayerDiffusionError as error:
        job = value.get("job")
        if isinstance(job, str) and re.fullmatch(r"[0-9a-f]{32}", job):
            error.job = job
        raise


def build(message: Message) -> str:
    """Write one message as JSON, which `parse` reads back as an equal object. Raises `too_large` over `MAX_TEXT`."""
    value = {"type": _NAMES[type(message)], **encode(message)}
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if len(text) > MAX_TEXT or len(text.encode()) > MAX_TEXT:
        fail(ErrorCode.TOO_LARGE, f"A JSON message has at most {MAX_TEXT} bytes.")
    return text


def _no_constant(name: str) -> None:
    fail(ErrorCode.BAD_MESSAGE, f"{name} is not a number that JSON knows.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        fail(ErrorCode.BAD_MESSAGE, "A field appears twice in one object.")
    return value
