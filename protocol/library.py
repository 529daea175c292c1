"""Files of models that can be installed where the backend runs, those that are there, and what is done with them.

As in `request`, every class checks itself when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .checks import choice, integer, member, number, text
from .errors import ErrorCode, fail
from .job import FAMILIES
from .limits import MAX_FILE, MAX_FILES, MAX_NAME, MAX_NOTE


class FileState(str, Enum):
    """Where a file of the catalogue is."""

    MISSING = "missing"
    PARTIAL = "partial"
    """A part of it has come; installing goes on from there."""
    INSTALLED = "installed"
    ELSEWHERE = "elsewhere"
    """It was found, in another program or under another name, and is used from there."""


@dataclass(frozen=True)
class FileInfo:
    """A file of the catalogue.

    Attributes:
        name: of the file, 1 to `MAX_NAME` characters; what `install` and `remove` take.
        purpose, licence: for people, 0 to `MAX_NAME` characters.
        repository, revision: where it comes from: on Hugging Face, and the commit or branch there, 1 to `MAX_NAME`
            characters each.
        sha256: of its content in hexadecimal, or the first digits that are known, 0 to 64.
        family: one of `FAMILIES`.
        memory: bytes of a graphics card's memory that a job with it needs at least, 0 when no job uses it.
        size: bytes in all, about where that is not published.
        done: bytes that are there.
        state: where it is.
    """

    name: str
    purpose: str
    licence: str
    repository: str
    revision: str
    sha256: str
    family: str
    memory: int
    size: int
    done: int
    state: FileState

    def __post_init__(self) -> None:
        text("The file's name", self.name, 1, MAX_NAME)
        text("The file's purpose", self.purpose, 0, MAX_NAME)
        text("The file's licence", self.licence, 0, MAX_NAME)
        text("The file's repository", self.repository, 1, MAX_NAME)
        text("The file's revision", self.revision, 1, MAX_NAME)
        text("The file's sum", self.sha256, 0, 64)
        choice("The family", self.family, FAMILIES)
        integer("The memory", self.memory, 0, MAX_FILE)
        integer("The file's size", self.size, 0, MAX_FILE)
        integer("done", self.done, 0, MAX_FILE)
        member("The file's state", self.state, FileState)


@dataclass(frozen=True)
class BundleInfo:
    """Files that are installed together: a name that `install` takes, what they are good for, the files' names."""

    name: str
    purpose: str
    files: tuple[str, ...]

    def __post_init__(self) -> None:
        text("The bundle's name", self.name, 1, MAX_NAME)
        text("The bundle's purpose", self.purpose, 0, MAX_NAME)
        if not 1 <= len(self.files) <= MAX_FILES:
            fail(ErrorCode.INVALID_REQUEST, f"A bundle has 1 to {MAX_FILES} files.")
        for name in self.files:
            text("A file's name", name, 1, MAX_NAME)


@dataclass(frozen=True)
class OwnModel:
    """A model that the person brought, or that another program has.

    Attributes:
        name: what it is chosen by, 1 to `MAX_NAME` characters.
        family: one of `FAMILIES`; "" when it cannot be used.
        place: the end of its folder's path, 0 to `MAX_NAME` characters; "" where that is nobody's business.
        note: for people, 0 to `MAX_NOTE` characters: what to expect of it, or why it cannot be used and what to do.
    """

    name: str
    family: str
    place: str
    note: str

    def __post_init__(self) -> None:
        text("The model's name", self.name, 1, MAX_NAME)
        choice("The family", self.family, ("", *FAMILIES))
        text("The model's place", self.place, 0, MAX_NAME)
        text("The model's note", self.note, 0, MAX_NOTE)


class Work(str, Enum):
    """What can be done with files, one thing at a time."""

    INSTALL = "install"
    VERIFY = "verify"
    SCAN = "scan"


@dataclass(frozen=True)
class Download:
    """How far an installation is, or other work with files.

    Attributes:
        work: what is done.
        names: what was asked for, of bundles and files; none for all of them, and for a search.
        done, total: bytes; total is 0 until it is known. Of a search, files that have been looked into, and 0.
        speed: bytes a second, 0 or more.
        paused: whether it waits for `resume_install`.
    """

    work: Work
    names: tuple[str, ...]
    done: int
    total: int
    speed: float
    paused: bool

    def __post_init__(self) -> None:
        member("The work", self.work, Work)
        least = 1 if self.work is Work.INSTALL else 0
        if not least <= len(self.names) <= MAX_FILES:
            fail(ErrorCode.INVALID_REQUEST, f"To {self.work.value} takes {least} to {MAX_FILES} names.")
        for name in self.names:
            text("A name", name, 1, MAX_NAME)
        integer("done", self.done, 0, MAX_FILE)
        integer("total", self.total, 0, MAX_FILE)
        number("The speed", self.speed, 0, MAX_FILE)
        member("paused", self.paused, bool)
