"""Driver: what a card shows on the canvas lies where its layers will lie, however the canvas is turned; stand-in."""

from cards import card, click, preview
from vocabulary import Docker, at_rest, close, nodes, select, step

VIEWS = ((1.0, 0, False), (2.0, 0, False), (0.5, 0, False), (1.0, 30, False), (1.5, -120, False), (1.3, 45, True))
"""Zoom, rotation in degrees, mirrored."""
DIFFERENT = 60
"""Sum over the channels from which two pixels of the screen count as different: scaling differs a little."""
SEEN = 100
"""Pixels that a result changes on the screen at least."""
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
        name = f"zoom {zoom}, turned by {turned}{', mirrored' if mirrored else ''}"
        bare = yield from at_rest(h, lambda: screen(h))
        yield from click(h, d, 0, double=True)
        yield h.until(lambda: len(nodes(document)) == 2, 20, "the layers")
        document.waitForDone()
        yield h.until(lambda: preview(h) is None, 10, "no preview beside the layers")
        yield differs(h, bare, f"{name}: the layers on the screen")
        there = yield from at_rest(h, lambda: screen(h))
        yield from step(h, document, "undo")
        yield differs(h, there, f"{name}: the layers gone from the screen")
        yield from click(h, d, 0)
        yield h.until(lambda: preview(h) is not None, 10, "the preview")
        yield same(h, there, MOST_OFF * different(bare, there), f"{name}: the preview where the layers were")
        yield from click(h, d, 0)
        yield h.until(lambda: preview(h) is None, 10, "no preview after the second click")
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


def differs(h, picture, what):
    """Wait until the screen shows something else."""
    return h.until(lambda: different(screen(h), picture) > SEEN, 10, what)


def same(h, picture, off, what):
    """Wait until the screen shows this but for so many pixels: a busy one does so later than Qt has it."""
    return h.until(lambda: different(screen(h), picture) <= off, 10, f"{what}, at most {off:.0f} pixels off")


def screen(h):
    """The pixels of the middle of the window as the screen has them, every other one of every other row."""
    from harness_driver.qt import QtWidgets
    from layer_diffusion.qt import QtGui

    area = h.main_window().centralWidget()
    corner = area.mapToGlobal(area.rect().topLeft())
    grabbed = QtWidgets.QApplication.primaryScreen().grabWindow(0, corner.x(), corner.y(), area.width(), area.height())
    image = grabbed.toImage().convertToFormat(QtGui.QImage.Format.Format_RGB32)
    return tuple(
        image.pixel(x, y) & 0xFFFFFF for y in range(40, image.height() - 30, 2) for x in range(4, image.width() - 30, 2)
    )


def different(one, other):
    """How many pixels differ."""
    return sum(a != b and distance(a, b) > DIFFERENT for a, b in zip(one, other, strict=True))


def distance(a, b):
    return sum(abs((a >> shift & 255) - (b >> shift & 255)) for shift in (16, 8, 0))
