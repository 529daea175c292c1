"""Driver: every operation of the built-in model, one from the other, as somebody who tries it out does."""

from operations import disabled, one
from vocabulary import Docker, box, nodes, select, step

SIDE = 256
SOLID, EMPTY = 200, 8
"""Alpha above which a pixel counts as opaque, below which as empty."""
SELECTED = (32, 64, 192, 128)


def run(h):
    document = h.new_document(SIDE, SIDE)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    h.check("the built-in model", d.find("model").currentData() == "builtin", d.find("model").currentData())
    yield from d.enter("seed", "1")
    look = Looks(h)
    yield from one(h, d, document, "object", ["foreground"], "a penguin", look.objects)
    yield from d.pick("operation", "scene")
    # What comes next starts from layers that the model made itself.
    scene = yield from d.made(document, "an elephant on the sea")
    h.check("scene: three layers", len(scene.childNodes()) == 3, [layer.name() for layer in scene.childNodes()])
    background, foreground, blend = scene.childNodes()
    look.scenes([background, foreground, blend])
    yield h.screenshot("scene")
    document.setActiveNode(foreground)
    look.given = pixels(foreground)
    yield from one(h, d, document, "background_for_object", ["background", "blend"], "a desert", look.backgrounds)
    yield from one(h, d, document, "refine", ["foreground"], "an elephant", look.refined)
    look.given = pixels(background)  # "everything below" the foreground is this
    words = "a penguin on the sea"
    yield from one(h, d, document, "object_on_background", ["foreground", "blend"], words, look.on_background)
    for task in ("blend", "extract_foreground", "extract_background"):
        disabled(h, d, task)
    foreground.move(24, 8)
    document.refreshProjection()
    yield from reblended(h, d, document)


def reblended(h, d, document):
    """The layers as they lie now, in a selection and without a prompt, give a card that is near to what Krita shows."""
    h.check("reblend is enabled", d.find("operation").model().item(d.find("operation").findData("reblend")).isEnabled())
    select(document, *SELECTED)
    yield from d.pick("operation", "reblend")
    yield from d.enter("prompt", "")
    known, layers, strength = d.find("results").count(), len(nodes(document)), d.find("reblend_strength")
    h.check("its strength is one of its own", strength.isVisible() and not d.find("strength").isVisible())
    flat, offs = bytes(document.pixelData(*SELECTED)), []
    for number in (1, 2):
        if number == 2:
            yield from d.enter("reblend_strength", 0.8)
        yield from d.press("generate")
        count = known + number
        yield h.until(lambda count=count: d.find("results").count() == count or d.error(), 60, f"card {number}")
        h.check("reblend: no error", not d.error(), d.error())
        yield d.ready()
        h.check("reblend: no layer by itself", len(nodes(document)) == layers)
        yield h.screenshot(f"reblended-{number}")
        yield h.click(d.find("card_apply"))
        yield h.until(lambda: len(nodes(document)) == layers + 1, 20, "the blend as a layer")
        blend = nodes(document)[-1]
        h.check("reblend: where the selection is", box(blend) == SELECTED, box(blend))
        shown = bytes(blend.projectionPixelData(*SELECTED))
        h.check("reblend: opaque", min(shown[3::4]) == 255, min(shown[3::4]))
        offs.append(distance(shown, flat))
        yield from step(h, document, "undo")
        h.check("reblend: undone", len(nodes(document)) == layers, len(nodes(document)))
    h.check("reblend: near to what Krita shows, further with strength", 0 < offs[0] < 12 < offs[1], offs)


class Looks:
    """What the layers must look like, as far as numbers tell."""

    def __init__(self, h):
        self.h = h
        self.given = b""

    def objects(self, layers):
        """Some opaque pixels, many empty ones, soft ones between them."""
        self._object("object", pixels(layers[0]))

    def scenes(self, layers):
        """An object, an opaque background, and a blend that is near to both over each other."""
        background, foreground, blend = (pixels(layer) for layer in layers)
        self._object("scene", foreground)
        self._opaque("scene", background)
        off = distance(blend, over(foreground, background))
        self.h.check("scene: the blend shows both", off < 20, off)
        self.h.check("scene: and not the background alone", distance(blend, background) > 1.3 * off, off)

    def backgrounds(self, layers):
        """An opaque picture without the object; the blend has it where it was given."""
        background, blend = (pixels(layer) for layer in layers)
        self._opaque("background", background)
        off = distance(blend, over(self.given, background))
        self.h.check("background: the blend shows both", off < 20, off)

    def refined(self, layers):
        """Much like what was given, but drawn anew."""
        now = pixels(layers[0])
        self._object("refine", now)
        off = sum(abs(a - b) for a, b in zip(now[3::4], self.given[3::4], strict=True)) / SIDE**2
        self.h.check("refine: about the same outline", 0 < off < 30, off)

    def on_background(self, layers):
        """An object; the blend has it before what was given."""
        foreground, blend = (pixels(layer) for layer in layers)
        self._object("on background", foreground)
        off = distance(blend, over(foreground, self.given))
        self.h.check("on background: the blend shows both", off < 20, off)

    def _object(self, what, bgra):
        alpha = bgra[3::4]
        solid, empty = sum(value > SOLID for value in alpha), sum(value < EMPTY for value in alpha)
        shares = solid / SIDE**2, empty / SIDE**2
        self.h.check(f"{what}: an object", 0.05 < shares[0] < 0.8 and shares[1] > 0.15, shares)
        corners = [alpha[y * SIDE + x] for y in (0, SIDE - 1) for x in (0, SIDE - 1)]
        self.h.check(f"{what}: empty corners", max(corners) < EMPTY, corners)
        self.h.check(f"{what}: soft edges", SIDE**2 - solid - empty > SIDE // 4, shares)

    def _opaque(self, what, bgra):
        self.h.check(f"{what}: opaque all over", min(bgra[3::4]) == 255, min(bgra[3::4]))


def pixels(layer):
    """Straight BGRA of a layer, 8 bits, the whole document."""
    return bytes(layer.pixelData(0, 0, SIDE, SIDE))


def over(above, below):
    """Straight BGRA over an opaque picture."""
    mixed = bytearray(below)
    for start in range(0, len(mixed), 4):
        alpha = above[start + 3]
        for channel in range(start, start + 3):
            mixed[channel] = (above[channel] * alpha + below[channel] * (255 - alpha)) // 255
    return bytes(mixed)


def distance(one_picture, other):
    """Mean absolute difference of the colours, 0 to 255."""
    return sum(abs(one_picture[i] - other[i]) for i in range(len(other)) if i % 4 != 3) / (len(other) * 3 / 4)
