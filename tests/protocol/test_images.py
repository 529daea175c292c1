"""Images survive being cut into frames, and frames that do not fit together are refused."""

from __future__ import annotations

import struct

import pytest

from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.images import HEADER, MAGIC, MAX_FRAME, Assembler, Image, frames
from protocol.limits import CHUNK

JOB = "00112233445566778899aabbccddeeff"
PIXELS = bytes(range(24))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (512, 512), (513, 512), (2048, 2048)])
def test_an_image_survives(width: int, height: int) -> None:
    pixels = (bytes(range(251)) * (width * height * 4 // 251 + 1))[: width * height * 4]
    parts = list(frames(JOB, 3, width, height, pixels))
    assert len(parts) == -(-len(pixels) // CHUNK) and max(map(len, parts)) <= MAX_FRAME
    assembler = Assembler()
    assert [assembler.add(part) for part in parts[:-1]] == [None] * (len(parts) - 1)
    assert assembler.add(parts[-1]) == Image(JOB, 3, width, height, pixels)


def test_images_follow_each_other() -> None:
    assembler = Assembler()
    for index in range(3):
        (frame,) = frames(JOB, index, 3, 2, PIXELS)
        assert assembler.add(frame) == Image(JOB, index, 3, 2, PIXELS)


def test_the_layout_is_that_of_the_readme() -> None:
    (frame,) = frames(JOB, 2, 3, 2, PIXELS)
    assert frame[:4] == b"LDI1"
    assert frame[4:20].hex() == JOB
    assert frame[20:24] == b"\x02\x00\x00\x00"
    assert frame[24:40] == b"\x03\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x18\x00\x00\x00"
    assert frame[40:] == PIXELS


@pytest.mark.parametrize("size", [0, 20, 28])
def test_pixels_of_another_size_are_not_sent(size: int) -> None:
    with pytest.raises(LayerDiffusionError) as refused:
        list(frames(JOB, 0, 3, 2, bytes(size)))
    assert refused.value.code is ErrorCode.BAD_MESSAGE


def _frame(index: int, reserved: int, width: int, height: int, offset: int, total: int, size: int) -> bytes:
    return HEADER.pack(MAGIC, bytes.fromhex(JOB), index, reserved, width, height, offset, total) + bytes(size)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", ErrorCode.BAD_MESSAGE),
        (_frame(0, 0, 3, 2, 0, 24, 0), ErrorCode.BAD_MESSAGE),
        (_frame(0, 0, 3, 2, 0, 24, 25), ErrorCode.BAD_MESSAGE),
        (_frame(0, 0, 3, 2, 0, 20, 20), ErrorCode.BAD_MESSAGE),
        (_frame(0, 0, 3, 2, 4, 24, 20), ErrorCode.BAD_MESSAGE),
        (_frame(0, 7, 3, 2, 0, 24, 24), ErrorCode.BAD_MESSAGE),
        (b"JUNK" + _frame(0, 0, 3, 2, 0, 24, 24)[4:], ErrorCode.BAD_MESSAGE),
        (_frame(0, 0, 0, 2, 0, 0, 1), ErrorCode.TOO_LARGE),
        (_frame(0, 0, 2049, 1, 0, 8196, 8196), ErrorCode.TOO_LARGE),
        (_frame(64, 0, 3, 2, 0, 24, 24), ErrorCode.TOO_LARGE),
        (_frame(0, 0, 2048, 2048, 0, 2**24, CHUNK + 1), ErrorCode.TOO_LARGE),
    ],
    ids=[
        "empty",
        "no pixels",
        "too many pixels",
        "wrong total",
        "begins later",
        "reserved",
        "magic",
        "no width",
        "too wide",
        "index",
        "frame too large",
    ],
)
def test_a_frame_that_breaks_a_rule(frame: bytes, code: ErrorCode) -> None:
    assembler = Assembler()
    with pytest.raises(LayerDiffusionError) as refused:
        assembler.add(frame)
    assert refused.value.code is code
    assert assembler.add(_frame(0, 0, 3, 2, 0, 24, 24)) == Image(JOB, 0, 3, 2, bytes(24))


@pytest.mark.parametrize(
    "second",
    [
        _frame(0, 0, 3, 2, 0, 24, 12),
        _frame(0, 0, 3, 2, 16, 24, 8),
        _frame(1, 0, 3, 2, 12, 24, 12),
        _frame(0, 0, 2, 3, 12, 24, 12),
        _frame(0, 0, 3, 2, 12, 24, 13),
        struct.pack("<4s16s", MAGIC, bytes(16)) + _frame(0, 0, 3, 2, 12, 24, 12)[20:],
    ],
    ids=["from the beginning", "a gap", "another image", "another size", "too much", "another job"],
)
def test_a_frame_that_does_not_continue_the_one_before(second: bytes) -> None:
    assembler = Assembler()
    assert assembler.add(_frame(0, 0, 3, 2, 0, 24, 12)) is None
    with pytest.raises(LayerDiffusionError) as refused:
        assembler.add(second)
    assert refused.value.code is ErrorCode.BAD_MESSAGE
