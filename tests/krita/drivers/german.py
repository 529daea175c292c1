"""Driver: the docker in German, with twice the pixels, as wide as usual and narrow; with the stand-in.

The pictures go into the folder `args["folder"]`.
"""

from looks import WIDE, narrow, operations, sized
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
    h.check("and the model that comes along", d.find("model").itemText(0) == "Eingebaut", d.find("model").itemText(0))
    h.check("with twice the pixels", d.dock.devicePixelRatioF() == 2, d.dock.devicePixelRatioF())
    d.dock.setFloating(True)
    yield from sized(d, WIDE)
    group = yield from d.made(document, "a red apple")
    named = [layer.name() for layer in group.childNodes()]
    h.check("and the layers", named == ["Vordergrund: a red apple"], named)
    yield from operations(h, d)
    yield from narrow(h, d)
