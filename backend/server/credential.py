"""The access token and the file through which its owner, and nobody else, learns it; the certificate of TLS."""

from __future__ import annotations

import contextlib
import os
import secrets
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from ssl import SSLContext

from protocol.errors import ErrorCode, LayerDiffusionError, fail

FOLDER = "layer-diffusion"
SHORTEST = 32
"""Characters of a token that a person gives."""
GIVE_ONE = "Make one with `python -c 'import secrets; print(secrets.token_hex(32))'`, readable by you alone."


def default_folder() -> Path:
    """Return the user's folder for things that live as long as a login or a process."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / FOLDER
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / FOLDER
    runtime = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("XDG_STATE_HOME")
    return Path(runtime or Path.home() / ".local" / "state") / FOLDER


@contextlib.contextmanager
def token_file(path: Path | None = None) -> Iterator[tuple[str, Path]]:
    """Write a fresh 256-bit token, yield it with the file's path, and remove the file at the end.

    The file has mode 0600. A folder that has to be made, and the default one in any case, has mode 0700. Raises
    `disk_full` when the file cannot be written.
    """
    token = secrets.token_hex(32)
    own_folder = path is None
    path = (path or default_folder() / f"server-{os.getpid()}.token").absolute()
    try:
        _write(path, token, own_folder)
    except OSError as error:
        raise LayerDiffusionError(
            ErrorCode.DISK_FULL,
            f"The token file {path} could not be written: {error.strerror}.",
            "Free some space and check that the folder is yours, or choose another file with --state-file.",
        ) from error
    try:
        yield token, path
    finally:
        # A server that was started meanwhile with the same file has its own token in it.
        with contextlib.suppress(OSError):
            if path.read_text("ascii") == token:
                path.unlink()


@contextlib.contextmanager
def given_token(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the token in a file, and the file's path. The file stays. Raises `invalid_request` when it holds none."""
    path = path.absolute()
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise LayerDiffusionError(
            ErrorCode.INVALID_REQUEST, f"The token file {path} could not be read: {reason}.", GIVE_ONE
        ) from error
    if len(token) < SHORTEST or not token.isprintable() or " " in token:
        fail(
            ErrorCode.INVALID_REQUEST,
            f"The token file {path} does not hold one word of {SHORTEST} characters or more.", GIVE_ONE,
        )
    yield token, path


def tls(certificate: Path | None, key: Path | None) -> SSLContext | None:
    """Return what encrypts connections, None without a certificate. Raises `invalid_request`."""
    if certificate is None:
        if key is not None:
            fail(ErrorCode.INVALID_REQUEST, "A key without a certificate is of no use.", "Give --tls-certificate too.")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise LayerDiffusionError(
            ErrorCode.INVALID_REQUEST, f"The certificate {certificate} cannot be used: {error}.",
            "Give files in PEM form: --tls-certificate with the chain, --tls-key with its key.",
        ) from error
    return context


def _write(path: Path, token: str, own_folder: bool) -> None:
    folder = path.parent
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    if own_folder and sys.platform != "win32":
        folder.chmod(0o700)
    # Removed and made anew: the mode of a file that is already there, or the target of a link, is not ours to trust.
    path.unlink(missing_ok=True)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(token)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise
