"""Driver: the docker in German, with twice the pixels, as wide as usual and narrow; with the stand-in.

The pictures go into the folder `args["folder"]`.
"""

from pathlib import Path

from fitting import cut_off, outside
from looks import NARROW, WIDE, narrow, operations, shot, sized
from vocabulary import Docker, paint


def run(h):
    document = h.new_document(256, 256)
    document.setActiveNode(paint(document, "apple", (200, 50, 40, 255), 80, 80, 90, 90))
    yield 0.5
    d = Docker(h)
    yield d.ready()
    h.check("it speaks German", d.find("generate").text() == "Objekt erzeugen", d.find("generate").text())
    named = h.krita.action("layer_diffusion_generate").text()
    h.check("so do its actions", named == "Layer Diffusion: Erzeugen", named)
    action = h.krita.action("layer_diffusion_cancel")
    told = action.iconText(), action.whatsThis(), action.toolTip()
    goes_on = "Der nächste Auftrag geht weiter."
    h.check("and what they say of themselves", told == ("Abbrechen", goes_on, goes_on), told)
    h.check("and the model that comes along", d.find("model").itemText(0) == "Eingebaut", d.find("model").itemText(0))
    h.check("with twice the pixels", d.dock.devicePixelRatioF() == 2, d.dock.devicePixelRatioF())
    d.dock.setFloating(True)
    yield from sized(d, WIDE)
    group = yield from d.made(document, "a red apple")
    named = [layer.name() for layer in group.childNodes()]
    h.check("and the layers", named == ["Vordergrund: a red apple"], named)
    for index, picture in enumerate((yield from operations(h, d))):
        picture.save(str(Path(h.args["folder"]) / f"operation_{index}.png"))
    yield from narrow(h, d)
    yield from running(h, d)
    yield from docked(h, d)


def running(h, d):
    """A job in its middle and one that waits, in a narrow docker."""
    yield from d.pick("model", "builtin")
    yield from d.pick("operation", "object")
    for prompt in ("held", "held as well"):
        yield from d.start(prompt)
    yield h.until(lambda: "4/8" in d.find("progress").text(), 30, "a job in its middle")
    h.check("while it runs, nothing is cut off", not cut_off(d), cut_off(d))
    shot(h, d, "narrow")
    (Path(h.args["root"]) / "gate").touch()
    yield d.ready()


def docked(h, d):
    """In its place beside the canvas, as narrow as it can be there."""
    from harness_driver.qt import QtCore

    d.dock.setFloating(False)
    yield 0.5
    h.main_window().resizeDocks([d.dock], [NARROW[0]], QtCore.Qt.Orientation.Horizontal)
    yield 0.5
    h.record("docked", d.dock.width())
    h.check("docked, nothing reaches beyond the edge", not outside(d.dock.panel), outside(d.dock.panel))
    h.check("docked, nothing is cut off", not cut_off(d), cut_off(d))
    shot(h, d, "docked")
