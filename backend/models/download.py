"""One file of the catalogue from the hub to this machine: in the end there is the right file under its name, or none.

What has come lies in a ``.part`` file beside the place of the file, is taken up again by the next attempt, by this
process or another, and becomes the file in one step after size, SHA-256 and tensors were checked. The address, the
log-in, proxies and mirrors (``HF_ENDPOINT``) are those of huggingface_hub; its own download function is not used
because it begins anew after each interruption.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import WeakFileLock, build_hf_headers, get_session, hf_raise_for_status

from protocol.errors import ErrorCode, LayerDiffusionError, fail

from .catalogue import LOCKS, PART, Entry, gigabytes
from .control import Control
from .integrity import fault

TRIES = 5
"""Attempts in a row that bring no byte, before giving up."""
FIRST_WAIT = 1.0
"""Seconds after the first failed attempt; doubled after each further one."""
LONGEST_WAIT = 120.0
"""Seconds; a server that asks for more (Retry-After) gets no more."""
LOCK_WAIT = 0.5
"""Seconds between two looks at what another process has downloaded of the same file."""
SPARE = 256 * 2**20
"""Bytes that stay free on the disk."""
BUSY = (408, 416, 429, 500, 502, 503, 504)
"""Statuses after which another attempt can help."""
FULL = (errno.ENOSPC, errno.EDQUOT)
# The base of all errors of the HTTP library that this version of the hub's library stands on.
HTTPError: type[Exception] = HfHubHTTPError.__bases__[0]
# Another thread's failed connection makes the hub's library close the client that all threads share.
INTERRUPTIONS = (HTTPError, RuntimeError)

Report = Callable[[int], None]
"""Hears of the bytes that are there."""


class Unreachable(LayerDiffusionError):
    """The hub does not answer, or answers that it is busy, again and again: other files will fare no better."""


class _Interrupted(Exception):
    """An attempt failed; another one, after this many seconds, may go better."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seconds = seconds


def hub() -> str:
    """The address of the hub or of the mirror that was chosen, without a slash at its end.

    Raises:
        LayerDiffusionError: ``download_failed``, the mirror is no address.
    """
    address = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    if not address.startswith(("http://", "https://")):
        fail(ErrorCode.DOWNLOAD_FAILED, f"HF_ENDPOINT is {address!r}, which is no address of a mirror.",
             "Give one that begins with https://, or unset it.")
    return address


def fetch(file: Entry, target: Path, control: Control, report: Report) -> None:
    """Have a file of the catalogue at a path; what stands there and is not the right one is replaced at the end.

    Args:
        file: what to get.
        target: where it shall lie; the folder is made.
        control: pauses and cancels.
        report: is called from this thread, often.

    Raises:
        LayerDiffusionError: ``download_failed``, ``disk_full``.
        Cancelled: what has come is kept for the next time.
    """
    try:
        (target.parent / LOCKS).mkdir(parents=True, exist_ok=True)
        with _alone(file, target, control, report):
            if not target.exists() or fault(file, target, control):
                _get(file, target, control, report)
    except OfflineModeIsEnabled:
        fail(ErrorCode.DOWNLOAD_FAILED, f"{file.name} was not downloaded: HF_HUB_OFFLINE forbids it.",
             "Unset HF_HUB_OFFLINE, or put the file into the models' folder yourself.")
    except OSError as error:
        if error.errno in FULL:
            fail(ErrorCode.DISK_FULL, f"The disk became full while {file.name} was downloaded.",
                 "Free some space and try again; what has come so far is kept.")
        if error.errno == errno.EFBIG:
            fail(ErrorCode.DISK_FULL, f"{file.name} has {gigabytes(file.size)}, and this disk holds no file so large.",
                 "Set LAYER_DIFFUSION_MODELS to a folder on a disk that does; one in FAT32 ends at 4 GB a file.")
        fail(ErrorCode.DOWNLOAD_FAILED, f"{file.name} cannot be written: {error.strerror or error}.",
             f"Check the permissions of {target.parent}.")


@contextmanager
def _alone(file: Entry, target: Path, control: Control, report: Report) -> Iterator[None]:
    """While this runs no other process gets the same file; until then its progress is reported."""
    with ExitStack() as held:
        while True:
            control.check()
            try:
                held.enter_context(WeakFileLock(target.parent / LOCKS / target.name, timeout=LOCK_WAIT))
                break
            except TimeoutError:
                report(_size(_part(target)))
        yield


def _get(file: Entry, target: Path, control: Control, report: Report) -> None:
    """Download, check and put in place."""
    part, url = _part(target), _with_patience(file, control, lambda: _address(file), lambda: 0)
    for resumed in (True, False) if _size(part) else (False,):
        _check_space(file, part)
        _with_patience(file, control, lambda: _receive(url, file, part, control, report), lambda: _size(part))
        wrong = fault(file, part, control)
        if not wrong:
            os.replace(part, target)
            return
        part.unlink()
        if not resumed:
            fail(ErrorCode.DOWNLOAD_FAILED, f"What came in place of {file.name} {wrong}.",
                 "Try again later; if it happens again, the mirror or a proxy changes the file.")


def _address(file: Entry) -> str:
    """The address of a file, which the hub must announce as what the catalogue says."""
    place = {"repo_id": file.repository, "filename": file.place + file.name, "endpoint": hub()}
    told = _asked(lambda: get_hf_file_metadata(hf_hub_url(**place, revision=file.revision)))
    sha256 = told.etag if re.fullmatch("[0-9a-f]{64}", told.etag or "") else None
    if told.size not in (None, file.size) or sha256 not in (None, file.sha256):
        fail(ErrorCode.DOWNLOAD_FAILED, f"{file.name} in {file.repository} is another file than the catalogue's.",
             "It was changed at its source, or a mirror has a wrong one; look for a newer release of this program.")
    return hf_hub_url(**place, revision=told.commit_hash or file.revision)


def _receive(url: str, file: Entry, part: Path, control: Control, report: Report) -> None:
    """One attempt to get what is missing. Raises `_Interrupted` when it ends before all is there."""
    begun = _size(part)
    if begun == file.size:
        return
    headers: dict[str, str] = build_hf_headers() | {"Accept-Encoding": "identity"}
    if begun:
        headers["Range"] = f"bytes={begun}-"

    def stream() -> None:
        with get_session().stream("GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT) as response:
            if response.status_code == 416 or response.status_code == 206 and _first(response) != begun:
                part.unlink(missing_ok=True)
                raise _Interrupted("the server sent another part of the file than asked for")
            hf_raise_for_status(response)
            # A server that ignores the range sends everything again.
            with part.open("ab" if response.status_code == 206 else "wb") as out:
                _write(response, out, file, control, report)

    _asked(stream)
    if _size(part) < file.size:
        raise _Interrupted("the connection ended early")


def _write(response: Any, out: Any, file: Entry, control: Control, report: Report) -> None:
    done = out.tell()
    report(done)
    for chunk in response.iter_bytes():
        control.check()
        out.write(chunk)
        done += len(chunk)
        report(done)
        if file.size is not None and done > file.size:
            break
    out.flush()
    os.fsync(out.fileno())


def _first(response: Any) -> int | None:
    """Where the part of the file begins that the server says it sends."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _asked(request: Callable[[], Any]) -> Any:
    """What a request gives. Raises `_Interrupted` for what another attempt can help with."""
    try:
        return request()
    except HfHubHTTPError as error:
        response = error.response
        if response is None or response.status_code not in BUSY:
            raise
        after = response.headers.get("Retry-After", "")
        seconds = float(after) if after.isdigit() else None
        raise _Interrupted(f"the server answered {response.status_code}", seconds) from error
    except INTERRUPTIONS as error:
        raise _Interrupted(str(error) or type(error).__name__) from error


def _with_patience(file: Entry, control: Control, attempt: Callable[[], Any], come: Callable[[], int]) -> Any:
    """Repeat an attempt while it is interrupted, with longer and longer waits between those that bring nothing."""
    fruitless = 0
    while True:
        control.check()
        before = come()
        try:
            return attempt()
        except HfHubHTTPError as error:
            _refused(file, error)
        except _Interrupted as interrupted:
            fruitless = 1 if come() > before else fruitless + 1
            if fruitless >= TRIES:
                reason = f"{file.name} could not be downloaded: {interrupted.reason.rstrip('.')}."
                raise Unreachable(ErrorCode.DOWNLOAD_FAILED, reason) from interrupted
            wait = FIRST_WAIT * 2 ** (fruitless - 1) if interrupted.seconds is None else interrupted.seconds
            control.wait(min(wait, LONGEST_WAIT))


def _refused(file: Entry, error: HfHubHTTPError) -> NoReturn:
    status = error.response.status_code if error.response is not None else 0
    page = f"{hub()}/{file.repository}"
    hint = {
        401: f"Accept the terms on {page} and log in with the command hf auth login.",
        403: f"Accept the terms on {page} and log in with the command hf auth login.",
        404: f"It is not at {page} any more; look for a newer release of this program.",
    }.get(status)
    raise LayerDiffusionError(
        ErrorCode.DOWNLOAD_FAILED, f"{file.name} could not be downloaded: the server answered {status}.", hint
    ) from error


def _check_space(file: Entry, part: Path) -> None:
    missing = file.size - _size(part)
    free = shutil.disk_usage(part.parent).free
    if missing > 0 and free < missing + SPARE:
        fail(ErrorCode.DISK_FULL,
             f"{file.name} needs {gigabytes(missing)} more and {gigabytes(free)} are free in {part.parent}.",
             f"Free {gigabytes(missing + SPARE - free)} and try again; what has come so far is kept.")


def _part(target: Path) -> Path:
    return target.with_name(target.name + PART)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
