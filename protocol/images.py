"""Binary image frames: a header of 40 bytes, then raw straight RGBA, 8 bits each, rows top to bottom."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .errors import ErrorCode, fail
from .limits import CHUNK, MAX_LAYERS, MAX_SIDE

MAGIC = b"LDI1"
HEADER = struct.Struct("<4s16sHHIIII")
"""Magic, job id, image index, reserved, width, height, offset, total."""
MAX_FRAME = HEADER.size + CHUNK
"""Most bytes of one binary message, and so the limit of the transport."""


@dataclass(frozen=True)
class Image:
    """A complete image: `index` counts the images of `job` from 0, `pixels` has width * height * 4 bytes."""

    job: str
    index: int
    width: int
    height: int
    pixels: bytes


def frames(job: str, index: int, width: int, height: int, pixels: bytes) -> Iterator[bytes]:
    """Yield the binary messages of one image, in order of offset, each with at most `CHUNK` bytes of pixels.

    Raises `bad_message` when `pixels` has not exactly width * height * 4 bytes, `too_large` over a limit.
    """
    total = len(pixels)
    _check_size(index, width, height, total)
    view = memoryview(pixels)
    for offset in range(0, total, CHUNK):
        header = HEADER.pack(MAGIC, bytes.fromhex(job), index, 0, width, height, offset, total)
        yield header + view[offset : offset + CHUNK]


@dataclass(frozen=True)
class FrameHeader:
    """What a binary message says of itself: which image it belongs to, and where in it its pixels lie."""

    job: str
    index: int
    width: int
    height: int
    offset: int
    total: int


def read_header(frame: bytes) -> FrameHeader:
    """Read the header of a binary message. Raises `bad_message` when it is none, `too_large` over a limit."""
    if len(frame) > MAX_FRAME:
        fail(ErrorCode.TOO_LARGE, f"A binary message has at most {MAX_FRAME} bytes, not {len(frame)}.")
    if len(frame) <= HEADER.size:
        fail(ErrorCode.BAD_MESSAGE, f"A binary message of {len(frame)} bytes holds no pixels.")
    magic, job, index, reserved, width, height, offset, total = HEADER.unpack_from(frame)
    if magic != MAGIC or reserved != 0:
        fail(ErrorCode.BAD_MESSAGE, "A binary message does not begin as an image frame.")
    _check_size(index, width, height, total)
    return FrameHeader(job.hex(), index, width, height, offset, total)


def job_of(frame: bytes) -> str | None:
    """Return the id of the job that a binary message names, or None when it does not even begin as a frame."""
    if len(frame) < HEADER.size or not frame.startswith(MAGIC):
        return None
    return HEADER.unpack_from(frame)[1].hex()


class Assembler:
    """Puts images together again; one for each connection, since frames do not continue on the next one."""

    def __init__(self) -> None:
        self._image: FrameHeader | None = None
        self._pixels = bytearray()

    def add(self, frame: bytes) -> Image | None:
        """Take the next binary message; return the image that it completes, or None.

        Raises `bad_message` when the frame is malformed, out of order or does not fit to the one before, `too_large`
        over a limit. The image under construction is then dropped.
        """
        try:
            return self._add(frame)
        except Exception:
            self._drop()
            raise

    def _add(self, frame: bytes) -> Image | None:
        header = read_header(frame)
        image = replace(header, offset=0)
        if header.offset == 0 and self._image is None:
            self._image = image
        if image != self._image or header.offset != len(self._pixels):
            fail(ErrorCode.BAD_MESSAGE, "An image frame does not continue the one before it.")
        if header.offset + len(frame) - HEADER.size > header.total:
            fail(ErrorCode.BAD_MESSAGE, "An image has more bytes than its frames announce.")
        self._pixels += memoryview(frame)[HEADER.size :]
        if len(self._pixels) < header.total:
            return None
        finished = Image(header.job, header.index, header.width, header.height, bytes(self._pixels))
        self._drop()
        return finished

    def _drop(self) -> None:
        self._image = None
        self._pixels = bytearray()


def _check_size(index: int, width: int, height: int, total: int) -> None:
    if not (index < MAX_LAYERS and 1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        fail(ErrorCode.TOO_LARGE, f"An image {index} of {width} x {height} pixels is outside the limits.")
    if total != width * height * 4:
        fail(ErrorCode.BAD_MESSAGE, f"{width} x {height} pixels have {width * height * 4} bytes, not {total}.")
