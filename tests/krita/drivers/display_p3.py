"""The colour profile of Display P3, which Krita does not bring along, written from its published numbers."""

import struct

NAME = "Display P3 of the test"
COLORANTS = {
    "rXYZ": (0.51512, 0.24120, -0.00105),
    "gXYZ": (0.29198, 0.69225, 0.04189),
    "bXYZ": (0.15710, 0.06657, 0.78407),
}
"""P3's primaries with a white of D65, adapted to D50 (Bradford)."""
WHITE = (0.9642, 1.0, 0.8249)
CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""sRGB's, as a parametric curve of type 3."""


def profile():
    """An ICC profile, version 4, of three primaries and a curve (ICC.1:2010, sections 7 to 10)."""
    tags = {"desc": text(NAME), "cprt": text("CC0"), "wtpt": xyz(WHITE)}
    tags |= {name: xyz(values) for name, values in COLORANTS.items()}
    tags |= {name: b"para" + struct.pack(">IHH", 0, 3, 0) + fixed(CURVE) for name in ("rTRC", "gTRC", "bTRC")}
    place = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name.encode() + struct.pack(">II", place + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    made = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    head = b"\0" * 4 + struct.pack(">I", 0x04200000) + b"mntrRGB XYZ " + made + b"acsp" + bytes(28) + fixed(WHITE)
    size = struct.pack(">I", place + len(data))
    return size + head + bytes(128 - 4 - len(head)) + table + data


def fixed(values):
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def xyz(values):
    return b"XYZ " + bytes(4) + fixed(values)


def text(words):
    encoded = words.encode("utf-16-be")
    return b"mluc" + struct.pack(">4x2I2s2s2I", 1, 12, b"en", b"US", len(encoded), 28) + encoded
