"""Driver: every operation sends the pictures that it names, as its layers stand at that moment; with the stand-in."""

import json
from pathlib import Path

from cards import requests
from vocabulary import Docker, nodes, paint, rgba_at, state

SIDE = 128
RED, BLUE, GREEN = (200, 30, 40, 255), (20, 60, 200, 255), (10, 180, 90, 255)
EMPTY = "empty"
INSIDE, BESIDE = (48, 48), (90, 90)
"""A pixel of the square, and one that the square is later moved to."""
ALONE, BOTH, UNDER = (RED, EMPTY), (RED, BLUE), (BLUE, BLUE)
ROUNDED, EDGES = 8, 0.1
"""How far colours may be off, and for which share of a picker's picture more: it is made of some of the rows."""
EXPECTED = {
    "object": {},
    "object_on_background": {"background": UNDER},
    "background_for_object": {"foreground": ALONE},
    "scene": {},
    "blend": {"foreground": ALONE},
    "extract_foreground": {"background": UNDER, "blend": BOTH},
    "extract_background": {"foreground": ALONE, "blend": BOTH},
    "refine": {"init": ALONE},
    "reblend": {"foreground": ALONE, "init": BOTH},
}
"""What is sent for each operation: the pixels `INSIDE` and `BESIDE` of each picture."""


def run(h):
    document = h.new_document(SIDE, SIDE)
    paint(document, "ground", BLUE, 0, 0, SIDE, SIDE)
    paint(document, "hidden", GREEN, 0, 0, SIDE, SIDE).setVisible(False)
    square = paint(document, "square", RED, 32, 32, 32, 32)
    paint(document, "hidden", GREEN, 0, 0, SIDE, SIDE).setVisible(False)
    document.refreshProjection()
    yield 0.5
    document.setActiveNode(square)
    yield 0.7
    d = Docker(h)
    yield d.ready()
    yield from d.tick("apply_at_once", False)
    yield from d.pick("model", "all")
    for operation, expected in EXPECTED.items():
        yield from asked(h, d, operation, expected)
    for name, change, expected in CHANGES:
        change(document, square)
        document.refreshProjection()
        document.waitForDone()
        yield 0.5
        before = state(document)
        yield from asked(h, d, "reblend", expected, name)
        h.check(f"{name}: asking changes nothing", state(document) == before)


def asked(h, d, operation, expected, name=""):
    """Generate by a click, and look at the pictures that the backend got."""
    yield from d.pick("operation", operation)
    known = len(requests(h)) if (Path(h.args["root"]) / "requests").exists() else 0
    yield from d.type_and_generate(operation)
    yield h.until(lambda: d.error() or pictures(h, known) is not None, 20, f"the pictures of {operation}")
    h.check(f"{name or operation}: no error", not d.error(), d.error())
    sent = pictures(h, known) or {}
    looks = {source: tuple(look(*picture, at) for at in (INSIDE, BESIDE)) for source, picture in sent.items()}
    h.check(f"{name or operation}: what is sent", looks == expected, looks)
    for source in (one.value for one in d.dock.panel.sources if one.value in sent):
        off = difference(d, source, *sent[source])
        h.check(f"{name or operation}: the picker of the {source} shows it", off <= EDGES, off)
    yield d.ready()


def difference(d, source, width, height, rgba):
    """The share of a picker's picture that is not what was sent."""
    from layer_diffusion import canvas
    from layer_diffusion.docker import look, picker

    label = d.find(f"{source}_thumbnail")
    image = canvas.image_of(rgba, (width, height))
    sent = look.on_checkerboard(image, label.palette(), picker.SIDE, label.devicePixelRatioF()).toImage()
    shown = label.pixmap().toImage()
    places = [(x, y) for x in range(sent.width()) for y in range(sent.height())]
    pairs = [(shown.pixelColor(*at).getRgb(), sent.pixelColor(*at).getRgb()) for at in places]
    near = [all(abs(a - b) <= ROUNDED for a, b in zip(*pair, strict=True)) for pair in pairs]
    return near.count(False) / len(places)


def pictures(h, number):
    """Source → (width, height, straight RGBA) of the request of this number, None until all have come."""
    root = Path(h.args["root"])
    lines = (root / "requests").read_text(encoding="utf-8").splitlines() if (root / "requests").exists() else []
    if number >= len(lines):
        return None
    message = json.loads(lines[number])
    inputs = message["request"]["inputs"]
    files = [root / "given" / f"{message['job']}-{index}" for index in range(len(inputs))]
    if not all(file.exists() for file in files):
        return None
    pairs = zip(inputs, files, strict=True)
    return {one["source"]: (one["width"], one["height"], file.read_bytes()) for one, file in pairs}


def look(width, height, rgba, at):
    """The pixel of the document as the picture shows it, which may be of another size."""
    colour = rgba_at(rgba, width, at[0] * width // SIDE, at[1] * height // SIDE)
    return colour if colour[3] else EMPTY


def moved(document, square):
    square.move(48, 48)


def scaled(document, square):
    from harness_driver.qt import QtCore

    square.scaleNode(QtCore.QPointF(112, 112), 72, 72, "Box")


def painted(document, _):
    ground = nodes(document)[1]
    ground.setPixelData(bytes((GREEN[2], GREEN[1], GREEN[0], 255)) * 400, INSIDE[0] - 10, INSIDE[1] - 10, 20, 20)


CHANGES = (
    ("moved", moved, {"foreground": (EMPTY, RED), "init": (BLUE, RED)}),
    ("painted on", painted, {"foreground": (EMPTY, RED), "init": (GREEN, RED)}),
    ("scaled", scaled, {"foreground": (RED, RED), "init": (RED, RED)}),
)
"""What happens to the layers one after another, and what is sent for a new blend then."""
