"""Driver: layers out of and into documents of every colour space; with the stand-in."""

from pathlib import Path

import display_p3
from vocabulary import Docker, names, nodes, state, step

SIDE = 96
RED = (200, 30, 40)
RED_IN_P3 = (184, 50, 49)
SPACES = {
    "16-bit": ("RGBA", "U16", "sRGB-elle-V2-srgbtrc.icc", 2),
    "half float, linear": ("RGBA", "F16", "sRGB-elle-V2-g10.icc", 2),
    "float, linear": ("RGBA", "F32", "sRGB-elle-V2-g10.icc", 2),
    "Display P3": ("RGBA", "U8", display_p3.NAME, 2),
    "16-bit Display P3": ("RGBA", "U16", display_p3.NAME, 2),
    "wide gamut": ("RGBA", "U16", "", 4),
    "Lab": ("LABA", "U16", "", 4),
    "CMYK": ("CMYKA", "U8", "", 60),
    "grey": ("GRAYA", "U8", "", None),
    "16-bit grey": ("GRAYA", "U16", "", None),
}
"""Model, depth, profile ("" for Krita's default, or a wide one), how far a colour may be off; None: only its grey."""


def run(h):
    d = Docker(h)
    file = Path(h.args["folder"]) / "p3.icc"
    file.write_bytes(display_p3.profile())
    h.check("Krita takes the profile", h.krita.addProfile(str(file)))
    h.new_document(SIDE, SIDE)
    yield 0.5
    yield d.ready()
    for what, (model, depth, profile, off) in SPACES.items():
        yield from one(h, d, what, (model, depth, profile or wide(h, model, depth)), off)


def wide(h, model, depth):
    """Rec. 2020 where Krita has it for the model, else what it takes by itself."""
    return next((name for name in h.krita.profiles(model, depth) if "2020" in name and "g10" not in name), "")


def one(h, d, what, space, off):
    from layer_diffusion import canvas
    from layer_diffusion.geometry import Area

    document = h.new_document(SIDE, SIDE, what, *space)
    yield 0.6
    before, documents = state(document), len(h.krita.documents())
    group = yield from d.made(document, "made")
    layer = group.childNodes()[0]
    spaces = [(node.colorModel(), node.colorDepth(), node.colorProfile()) for node in (layer, document)]
    h.check(f"{what}: the layer has the document's space", spaces[0] == spaces[1], spaces)
    shown = document.projection(0, 0, SIDE, SIDE).pixelColor(SIDE // 2, SIDE // 2)
    seen = (shown.red(), shown.green(), shown.blue())
    h.check(f"{what}: it looks as it was made", near(seen, off), seen)
    if what == "Display P3":
        blue, green, red = layer.pixelData(SIDE // 2, SIDE // 2, 1, 1).data()[:3]
        h.check("its numbers are those of the space", near((red, green, blue), 2, RED_IN_P3), (red, green, blue))
    area = Area(0, 0, SIDE, SIDE)
    after = state(document)
    for choice, paper in ((layer.uniqueId().toString(), 0), (canvas.VISIBLE, 255)):
        rgba = canvas.capture(document, (choice,), area).rgba((SIDE, SIDE))
        middle, corner = ((y * SIDE + x) * 4 for x, y in ((SIDE // 2, SIDE // 2), (0, 0)))
        sent = tuple(rgba[middle : middle + 3])
        h.check(f"{what}: it is sent as it looks", near(sent, off) and rgba[middle + 3] == 255, sent)
        h.check(f"{what}: with what is around it", rgba[corner + 3] == paper, rgba[corner + 3])
    h.check(f"{what}: reading changes nothing", state(document) == after)
    h.check(f"{what}: no document is left over", len(h.krita.documents()) == documents, len(h.krita.documents()))
    yield from step(h, document, "undo")
    yield 0.3
    h.check(f"{what}: undone", state(document) == before and len(nodes(document)) == 1, names(document))
    document.setModified(False)
    yield 0.3
    document.close()
    yield 0.3


def near(colour, off, target=RED):
    if off is None:
        return max(colour) - min(colour) <= 1 and 60 <= colour[0] <= 125
    return all(abs(got - wanted) <= off for got, wanted in zip(colour, target, strict=True))
