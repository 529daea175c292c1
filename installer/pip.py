"""pip of the environment: what it is asked, and what its failures mean."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path

from .errors import InstallerError
from .progress import moving

LOG = "install.log"
DOWNLOADS = "downloads"
KILLED = -9
"""Exit status of what the system ended, as POSIX systems do when the memory is used up."""
AGAIN = "then run the same command again; what has been fetched is not fetched twice."


class Cause(str, Enum):
    """Why pip failed; the value is a regular expression of what it says then. The first that is found counts."""

    DISK = r"No space left on device|Errno 28\b|WinError 112|There is not enough space"
    HASH = r"DO NOT MATCH THE HASHES|BadZipFile|File is not a zip file|has an invalid wheel|bad CRC-32"
    PROXY = r"ProxyError|Cannot connect to proxy|407 Proxy|Tunnel connection failed"
    CERTIFICATE = r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError"
    CUT = r"ReadTimeoutError|IncompleteRead|Connection broken|ConnectionResetError|RemoteDisconnected|Read timed out"
    BUSY = r"HTTP error (?:429|5\d\d)|\b(?:429|50[0234]) (?:Client|Server) Error|too many (?:429|50[0234]) error"
    NETWORK = (
        r"NewConnectionError|NameResolutionError|ConnectTimeout|getaddrinfo failed|Name or service not known"
        r"|Temporary failure in name resolution|Network is unreachable|No route to host"
    )
    ACCESS = r"Permission denied|PermissionError|WinError (?:5|32)\b|Access is denied"
    MEMORY = r"MemoryError|Cannot allocate memory"
    CONFLICT = r"ResolutionImpossible: for help"
    MISSING = r"No matching distribution found"
    OTHER = r""


ADVICE = {
    Cause.DISK: ("The disk is full.", "Free some space, or choose another folder with --home, " + AGAIN),
    Cause.HASH: ("A package arrived damaged.", "Run the same command again; if it stays so, change the mirror."),
    Cause.PROXY: ("The proxy refuses or does not answer.", "Name it with --proxy http://name:port, " + AGAIN),
    Cause.CERTIFICATE: (
        "The package index shows a certificate that this computer does not trust.",
        "If your network inspects connections, set PIP_CERT to its certificate, " + AGAIN,
    ),
    Cause.CUT: ("The connection broke off.", "Wait a little, " + AGAIN),
    Cause.BUSY: ("The package index is overloaded or turns us away.", "Wait some minutes, " + AGAIN),
    Cause.NETWORK: (
        "The package index cannot be reached.",
        "Check the network connection (--proxy, --offline and PIP_INDEX_URL are there for special ones), " + AGAIN,
    ),
    Cause.ACCESS: ("A file cannot be written.", "Close Krita and every program that uses the environment, " + AGAIN),
    Cause.MEMORY: ("The memory is used up.", "Close other programs, " + AGAIN),
}


class PipError(InstallerError):
    """pip failed; `cause` says why, and `began` whether a package had begun to arrive."""

    def __init__(self, message: str, hint: str, cause: Cause, began: bool) -> None:
        super().__init__(message, hint)
        self.cause = cause
        self.began = began


class NoPip(InstallerError):
    """A Python has no pip."""

    def __init__(self, python: str) -> None:
        super().__init__(
            f"The Python {python} has no pip.",
            "Install it (on Debian and Ubuntu: sudo apt-get install python3-pip; elsewhere: "
            f"{python} -m ensurepip), then run the same command again.",
        )


class Pip:
    """pip of one environment. Only one installer at a time may ask it for something.

    Args:
        python: the environment's Python.
        home: the program's folder, for the log, the cache and what pip unpacks.
        offline: folder that holds all packages, instead of the network.

    Attributes:
        fetched: bytes that came over the network so far, as pip rounds them.
    """

    def __init__(self, python: Path, home: Path, offline: Path | None = None) -> None:
        self._python = str(python)
        self._log = home / LOG
        self._downloads = home / DOWNLOADS
        self._offline = offline
        self.fetched = 0

    def install(self, packages: Sequence[str], index: str | None = None) -> None:
        """Install packages; `index` is asked besides the usual one. Raises `PipError` and `NoPip`."""
        # Only built packages: a compiler is not to be expected, and its messages explain nothing.
        extra = ["--extra-index-url", index] if index and not self._offline else []
        self._run("install", "--only-binary=:all:", *extra, *packages)

    def download(self, packages: Sequence[str], folder: Path, options: Sequence[str] = ()) -> None:
        """Fetch packages, and what they need, as files into a folder. Raises `PipError` and `NoPip`."""
        self._run("download", "--only-binary=:all:", "--dest", str(folder), *options, *packages)

    def _run(self, *arguments: str) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        before = self._log.stat().st_size if self._log.exists() else 0
        options = ["--log", str(self._log), *self._cache()]
        if self._offline:
            options += ["--no-index", "--find-links", str(self._offline)]
        command = [self._python, "-m", "pip", arguments[0], *options, *arguments[1:]]
        with scratch(self._downloads), moving("Unpacking", shown=lambda: unpacks_unseen(_read(self._log, before))):
            # Not to stdout, which other programs may read for what this one answers.
            status = subprocess.run(command, stdout=sys.stderr).returncode
        said = _read(self._log, before)
        self.fetched += arrived(said)
        if status:
            raise explain(said, self._log, status) if said or self._is_there() else NoPip(self._python)

    def _cache(self) -> list[str]:
        """Where pip keeps what it has fetched: on the disk whose space was looked at, unless it is set up otherwise."""
        asked = [self._python, "-m", "pip", "config", "list"]
        settings = subprocess.run(asked, capture_output=True, text=True, errors="replace").stdout
        return [] if "cache-dir=" in settings else ["--cache-dir", str(self._downloads / "pip")]

    def _is_there(self) -> bool:
        return subprocess.run([self._python, "-c", "import pip"], capture_output=True).returncode == 0


@contextlib.contextmanager
def scratch(downloads: Path) -> Iterator[None]:
    """Meanwhile programs that are started keep their temporary files in `downloads`, not on another, smaller disk."""
    folder = downloads / "temporary"
    before = os.environ.get("TMPDIR")
    # An earlier one may have been killed.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("TMPDIR")
        os.environ.update({"TMPDIR": before} if before else {})
        shutil.rmtree(folder, ignore_errors=True)


def _read(path: Path, start: int) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def arrived(said: str) -> int:
    """Return the bytes of the files that pip says it downloads; those from its cache or a folder do not count."""
    units = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
    sizes = re.findall(r"Downloading \S+ \(([\d.]+) (bytes|kB|MB|GB)\)", said)
    return sum(int(float(number) * units[unit]) for number, unit in sizes)


def unpacks_unseen(said: str) -> bool:
    """Whether pip is unpacking now and shows nothing of it; since 25.1 it does, where there are several packages."""
    packages = re.search(r"Installing collected packages: (.+)", said)
    if packages is None or "Successfully installed" in said:
        return False
    version = re.search(r"Using pip (\d+)\.(\d+)", said)
    return "," not in packages[1] or version is None or (int(version[1]), int(version[2])) < (25, 1)


def explain(said: str, log: Path, status: int = 1) -> PipError:
    """Turn what pip said, and its exit status, into one cause and one next step."""
    cause = next(cause for cause in Cause if re.search(cause.value, said))
    if status == KILLED:
        cause = Cause.MEMORY
    if cause in ADVICE:
        message, hint = ADVICE[cause]
    elif cause is Cause.CONFLICT:
        found = re.search(r"Cannot install .+", said)
        message = found[0] if found else "The packages exclude each other."
        hint = "`pip config list` names the constraint or the index that holds one back: change it, " + AGAIN
    elif cause is Cause.MISSING:
        found = re.search(r"No matching distribution found for (\S+)", said)
        name = found[1] if found else "one of the packages"
        version = ".".join(map(str, sys.version_info[:2]))
        message = f"The package index has no build of {name} for Python {version} on this system."
        hint = "Use Python 3.11 to 3.14 (64 bit); with --offline, make the folder on a computer of the same kind."
    else:
        errors = re.findall(r"ERROR: (.+)", said) or re.findall(r"^\w*Error: .+", said, re.MULTILINE)
        words = errors[-1].rstrip(".") if errors else f"it ended with status {status}"
        message = f"pip could not install the packages: {words}."
        hint = f"Run the same command again; if it stays so, report this sentence with {log}."
    return PipError(message, hint, cause, arrived(said) > 0)
