"""The pictures of a request on their way over one connection; nothing is sent or waited for."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass

from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.images import HEADER, Assembler, job_of, read_header

from .jobs import Job

PASSED_OVER = 16
"""Refused messages whose pictures, which may be under way already, are not complained of."""


@dataclass(frozen=True)
class Pictures:
    """All pictures of a job's request: `images` in the order of its inputs, empty for a job that has them already."""

    job: Job
    images: tuple[bytes, ...]
    digest: bytes


class Incoming:
    """The pictures of at most one job at a time; one for each connection, as they do not continue on the next one."""

    def __init__(self) -> None:
        self._upload: _Upload | None = None
        self._passed_over: deque[str] = deque(maxlen=PASSED_OVER)

    def expect(self, job: Job) -> None:
        """The pictures of this job come next; if it has them already, only to be compared."""
        self._upload = _Upload(job)

    def end(self) -> Job | None:
        """Await no more pictures; return the job that some are missing of, if any."""
        upload, self._upload = self._upload, None
        if upload is None:
            return None
        self.pass_over(upload.job.id)
        return upload.job

    def pass_over(self, job: str) -> None:
        """Say nothing of pictures of this job that may still come."""
        self._passed_over.append(job)

    def add(self, frame: bytes) -> Pictures | None:
        """Take the next binary message; return the pictures once they are complete.

        Raises `bad_message` or `too_large`; its `job` names the job whose pictures are spoilt by it.
        """
        if self._upload is not None and self._upload.is_void:
            self.end()
        upload, named = self._upload, job_of(frame)
        if upload is None or upload.job.id != named:
            if named in self._passed_over:
                return None
            fail(ErrorCode.BAD_MESSAGE, "An image came for which no job waits.")
        try:
            pictures = upload.add(frame)
        except LayerDiffusionError as error:
            error.job = upload.job.id
            raise
        if pictures is not None:
            self._upload = None
        return pictures


class _Upload:
    """The pictures of one job. Those of a job that has them already are not kept: no memory is counted for them."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._keeps = job.awaited
        self._images: list[bytes] = []
        self._digest = hashlib.sha256()
        self._assembler = Assembler()

    @property
    def is_void(self) -> bool:
        """Whether the job was cancelled, failed or dropped in the meantime."""
        return self._keeps and not self.job.awaited

    def add(self, frame: bytes) -> Pictures | None:
        header, index = read_header(frame), len(self._images)
        expected = self.job.request.inputs[index]
        # Looked at in every frame: a picture larger than announced would take memory that was not counted.
        if (header.index, header.width, header.height) != (index, expected.width, expected.height):
            fail(
                ErrorCode.BAD_MESSAGE,
                f"Picture {index} of the request has {expected.width} x {expected.height} pixels, "
                f"but picture {header.index} of {header.width} x {header.height} came.",
            )
        image = self._assembler.add(frame)
        self._digest.update(memoryview(frame)[HEADER.size :])
        if image is None:
            return None
        self._images.append(image.pixels if self._keeps else b"")
        if len(self._images) < len(self.job.request.inputs):
            return None
        return Pictures(self.job, tuple(self._images) if self._keeps else (), self._digest.digest())
