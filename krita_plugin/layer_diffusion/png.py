"""PNG files with straight alpha and a text for other programs, by the standard library alone."""

from __future__ import annotations

import contextlib
import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGBA8 = bytes((8, 6, 0, 0, 0))
"""Bits of a channel, colour and alpha, and the only methods there are of compression, filter and interlace."""
KEYWORD = "parameters"
"""Of the text that AUTOMATIC1111 reads."""


def png(width: int, height: int, rgba: bytes, text: str = "") -> bytes:
    """Return a PNG file of straight 8-bit RGBA pixels, sRGB, with a text for other programs."""
    row = width * 4
    rows = b"".join(b"\0" + rgba[start : start + row] for start in range(0, len(rgba), row))
    chunks = [_chunk(b"IHDR", struct.pack(">II", width, height) + RGBA8), _chunk(b"sRGB", b"\0")]
    if text:
        chunks.append(_text_chunk(text))
    chunks += [_chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b"")]
    return SIGNATURE + b"".join(chunks)


def _text_chunk(text: str) -> bytes:
    """Latin letters as the oldest kind of text, which every program reads; others as UTF-8."""
    with contextlib.suppress(UnicodeEncodeError):
        return _chunk(b"tEXt", KEYWORD.encode() + b"\0" + text.encode("latin-1"))
    return _chunk(b"iTXt", KEYWORD.encode() + b"\0\0\0\0\0" + text.encode())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
