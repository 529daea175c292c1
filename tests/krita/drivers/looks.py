"""Driver: how the docker looks, dark, light and narrow, with each operation, while it runs and with an error.

With the real backend and the built-in model. The pictures go into the folder `args["folder"]`.
"""

from dataclasses import replace
from pathlib import Path

from vocabulary import Docker, paint, through_menus

WIDE, NARROW = (330, 880), (250, 880)
DARK, LIGHT = "Krita dark", "Krita bright"


def run(h):
    document = h.new_document(512, 512)
    paint(document, "meadow", (96, 150, 70, 255), 0, 300, 512, 212)
    document.setActiveNode(paint(document, "apple", (200, 50, 40, 255), 180, 180, 150, 150))
    yield 0.5
    d = Docker(h)
    yield d.ready()
    d.dock.setFloating(True)
    yield from sized(d, WIDE)
    yield from results(h, d)
    for name in (DARK, LIGHT):
        yield from themed(h, d, name)
        shot(h, d, name.split()[1])
    light = d.find("status").styleSheet()
    yield from themed(h, d, DARK)
    dark = d.find("status").styleSheet()
    h.check("side notes follow the theme at once", dark != light, (dark, light))
    yield from running(h, d)
    yield from failed(h, d)
    yield from operations(h, d)
    yield from narrow(h, d)


def sized(d, size):
    d.dock.resize(*size)
    yield 0.4


def shot(h, d, name):
    """Save the docker as a picture."""
    d.dock.panel.grab().save(str(Path(h.args["folder"]) / f"{name}.png"))


def themed(h, d, name):
    """Switch the theme by Settings > Themes."""

    def is_light():
        return d.dock.palette().color(d.dock.backgroundRole()).lightness() > 128

    yield from through_menus(h, h.main_window().menuBar(), "Settings", "Themes", name)
    yield h.until(lambda: is_light() is (name == LIGHT), 10, f"the docker as {name}")
    yield 0.3


def results(h, d):
    for prompt in ("teapot", "a green apple", "a red apple"):
        yield from d.made(h.krita.activeDocument(), prompt)
    yield from d.enter("prompt", "a red apple, (glossy:1.2), on a table")


def running(h, d):
    yield from d.enter("batch", 4)  # takes long enough to be seen
    yield from d.start("a red balloon")
    first = d.session.unfinished[0]
    yield from d.start("a green apple")
    yield h.until(lambda: first.thumbnail and first.fraction > 0.4, 60, "a job in its middle with a preview")
    yield 0.3
    shot(h, d, "running")
    yield from d.enter("batch", 1)
    yield d.ready()


def failed(h, d):
    yield from d.start(" ")  # an empty prompt
    yield h.until(d.error, 20, "the error")
    yield 0.3
    shot(h, d, "error")
    yield from d.press("error_close")


def operations(h, d):
    """Each one as it looks with a model that can do all of them."""
    from layer_diffusion.protocol.request import Operation

    yield from d.enter("prompt", "a red apple, (glossy:1.2), on a table")
    d.session.models = tuple(replace(model, operations=tuple(Operation)) for model in d.session.models)
    d.session.dismiss()
    selector = d.find("operation")
    for index in range(selector.count()):
        yield from d.pick("operation", selector.itemData(index))
        yield 0.6
        h.check(f"{selector.currentData()} is possible", not d.dock.panel.operation.reason)
        shot(h, d, selector.currentData())


def narrow(h, d):
    """Nothing is cut off or out of reach at 250 pixels."""
    from harness_driver.qt import QtCore, QtWidgets

    d.find("advanced").setChecked(True)
    yield from sized(d, NARROW)
    panel = d.dock.panel
    h.check("as narrow as asked for", d.dock.width() <= NARROW[0], d.dock.width())
    outside = [
        widget.objectName() or type(widget).__name__
        for widget in panel.findChildren(QtWidgets.QWidget)
        if widget.isVisible() and widget.mapTo(panel, QtCore.QPoint(0, 0)).x() + widget.width() > panel.width()
    ]
    h.check("nothing reaches beyond the edge", not outside, outside)
    shot(h, d, "narrow")
