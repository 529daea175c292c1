"""Driver: layers as pictures for a request, out of documents of many kinds; without a backend."""

from vocabulary import nodes, state

SIDE = 128
RED, BLUE, GREEN = (200, 30, 40), (20, 60, 200), (10, 180, 90)


def run(h):
    from layer_diffusion import canvas
    from layer_diffusion.geometry import Area

    whole = Area(0, 0, SIDE, SIDE)
    yield from the_active_layer(h, canvas, whole)


def the_active_layer(h, canvas, whole):
    document = h.new_document(SIDE, SIDE)
    yield 0.7
    red = paint(document, "red", (*RED, 255), 10, 20, 30, 40)
    document.setActiveNode(red)
    yield 0.3
    before = state(document)
    rgba = canvas.read(document, canvas.ACTIVE, whole, (SIDE, SIDE))
    h.check("the active layer, where it lies", at(rgba, 15, 25) == (*RED, 255), at(rgba, 15, 25))
    h.check("nothing of the layer below", at(rgba, 5, 5)[3] == 0, at(rgba, 5, 5))
    h.check("the document is untouched", state(document) == before)


def paint(document, name, rgba, x, y, width, height, above=None):
    """A layer with one rectangle of one colour, in an 8-bit RGBA document."""
    layer = document.createNode(name, "paintlayer")
    red, green, blue, alpha = rgba
    layer.setPixelData(bytes((blue, green, red, alpha)) * (width * height), x, y, width, height)
    document.rootNode().addChildNode(layer, above or nodes(document)[-1])
    return layer


def at(rgba, x, y):
    """(red, green, blue, alpha) of a pixel of what is sent."""
    return tuple(rgba[(y * SIDE + x) * 4 : (y * SIDE + x) * 4 + 4])
