"""Results that wait for a document, as files, so that they outlive Krita.

A file holds one line of JSON, then the BGRA pixels of its pictures one after the other.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import astuple, replace
from pathlib import Path

from .geometry import Area
from .jobs import Job
from .protocol.errors import LayerDiffusionError
from .protocol.messages import Generate, build
from .stored import outline, read_generate, read_outline, read_typed

SUFFIX = ".result"


class Shelf:
    """The kept results in one folder, by the id of their job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, job: Job) -> None:
        """Write a job with its pictures; whole or not at all. Raises `OSError`, as when the disk is full."""
        pictures = [outline(picture) for picture in job.pictures]
        head = {
            "generate": build(Generate(job.id, job.request)), "area": astuple(job.area), "pictures": pictures,
            "typed": job.typed,
        }  # fmt: skip
        path = self._path(job.id)
        part = path.with_suffix(".part")
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with open(part, "wb") as file:
                file.write(json.dumps(head).encode() + b"\n")
                for picture in job.pictures:
                    file.write(picture.pixels)
            os.replace(part, path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise

    def remove(self, job_id: str) -> None:
        """Forget a job, which may never have been here."""
        with contextlib.suppress(OSError):
            self._path(job_id).unlink()

    def jobs(self) -> tuple[list[Job], list[Path]]:
        """Return all jobs, oldest first and without a document, and the files that could not be read.

        Those are renamed, so that they are told of only once and nothing in them is lost.
        """
        found, damaged = [], []
        with contextlib.suppress(OSError):
            for path in sorted(self._folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime):
                try:
                    found.append(_read(path))
                except (OSError, ValueError, KeyError, TypeError, LayerDiffusionError):
                    damaged.append(path.rename(path.with_suffix(".damaged")))
        return found, damaged

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}{SUFFIX}"


def _read(path: Path) -> Job:
    with open(path, "rb") as file:
        head = json.loads(file.readline())
        generate = read_generate(head["generate"])
        outlines = [read_outline(value) for value in head["pictures"]]
        pictures = tuple(replace(picture, pixels=_exactly(file, picture.area)) for picture in outlines)
    return Job(generate.job, generate.request, None, Area(*head["area"]), pictures=pictures, typed=read_typed(head))


def _exactly(file, area: Area) -> bytes:
    size = area.width * area.height * 4
    pixels = file.read(size)
    if len(pixels) != size:
        raise ValueError(f"{len(pixels)} bytes for {area}")
    return pixels
