"""Driver: what a card shows on the canvas lies where its layers will lie, however the canvas is turned; stand-in."""

from cards import card, click, preview
from vocabulary import Docker, close, nodes, select, step

VIEWS = ((1.0, 0, False), (2.0, 0, False), (0.5, 0, False), (1.0, 30, False), (1.5, -120, False), (1.3, 45, True))
"""Zoom, rotation in degrees, mirrored."""
DIFFERENT = 60
"""Sum over the channels from which two pixels of the screen count as different: scaling differs a little."""
MOST_OFF = 0.04
"""Of the pixels that a result changes on the screen, those that may differ: the outline of a disc."""


def run(h):
    document = h.new_document(220, 150)
    yield 0.7
    d = Docker(h)
    yield d.ready()
    yield from d.tick("apply_at_once", False)
    select(document, 10, 20, 90, 70)  # not in the middle, which turning and mirroring would leave where it is
    yield 0.6
    yield from d.start("a red apple")
    yield h.until(lambda: d.find("results").count() == 1 and not d.session.unfinished, 30, "the card")
    document.setSelection(None)
    for zoom, turned, mirrored in VIEWS:
        canvas = h.krita.activeWindow().activeView().canvas()
        canvas.setMirror(mirrored)
        canvas.setRotation(turned)
        canvas.setZoomLevel(zoom)
        yield 0.6
        yield from click(h, d, 0)
        yield h.until(lambda: preview(h) is not None, 10, "the preview")
        yield 0.4
        shown = screen(h)
        yield from click(h, d, 0, double=True)
        yield h.until(lambda: len(nodes(document)) == 2, 20, "the layers")
        document.waitForDone()
        yield h.until(lambda: preview(h) is None, 10, "no preview beside the layers")
        yield 0.6
        there = screen(h)
        yield from step(h, document, "undo")
        yield 0.6
        empty = screen(h)  # not earlier: Krita tells a new zoom on the canvas for a while
        changed, off = different(empty, there), different(shown, there)
        name = f"zoom {zoom}, turned by {turned}{', mirrored' if mirrored else ''}"
        h.check(f"{name}: something is seen", len(changed) > 100, len(changed))
        h.check(f"{name}: the preview is in its place", len(off) <= MOST_OFF * len(changed), (len(off), len(changed)))
    h.check("still the only card", card(d, 0).name == "a red apple" and d.find("results").count() == 1)
    yield from gone_with_its_view(h, d, document)


def gone_with_its_view(h, d, document):
    """Krita deletes the canvas and all on it when a document is closed; the next preview is shown nevertheless."""
    yield from click(h, d, 0)
    yield h.until(lambda: preview(h) is not None, 10, "the preview")
    yield from close(h, document)
    yield h.until(lambda: d.find("results").count() == 0, 10, "no history without a document")
    h.new_document(100, 100)
    yield 0.7
    yield from d.start("a green apple")
    yield h.until(lambda: d.find("results").count() == 1 and not d.session.unfinished, 30, "the card")
    yield from click(h, d, 0)
    yield h.until(lambda: preview(h) is not None, 10, "the preview in another document")


def screen(h):
    """The pixels of the middle of the window as the screen has them, every other one of every other row."""
    from harness_driver.qt import QtWidgets
    from layer_diffusion.qt import QtGui

    area = h.main_window().centralWidget()
    corner = area.mapToGlobal(area.rect().topLeft())
    grabbed = QtWidgets.QApplication.primaryScreen().grabWindow(0, corner.x(), corner.y(), area.width(), area.height())
    image = grabbed.toImage().convertToFormat(QtGui.QImage.Format.Format_RGB32)
    return [
        image.pixel(x, y) & 0xFFFFFF for y in range(40, image.height() - 30, 2) for x in range(4, image.width() - 30, 2)
    ]


def different(one, other):
    """The numbers of the pixels that differ."""
    pairs = enumerate(zip(one, other, strict=True))
    return [number for number, (a, b) in pairs if a != b and distance(a, b) > DIFFERENT]


def distance(a, b):
    return sum(abs((a >> shift & 255) - (b >> shift & 255)) for shift in (16, 8, 0))
