"""Driver: layers as pictures for a request; without a backend."""

import random
from pathlib import Path
from typing import Any

from vocabulary import history, names, nodes, paint, rgba_at, select, state

SIDE = 128
LARGE, LOOKS = 1024, 8
"""A document in which so many looks see every row of a layer and of the masked group around it."""
STYLE = (Path(__file__).parent / "style.xml").read_text(encoding="utf-8")
"""Green over the colour of a layer."""
RED, BLUE, GREEN = (200, 30, 40), (20, 60, 200), (10, 180, 90)


def run(h):
    from layer_diffusion import canvas
    from layer_diffusion.geometry import Area

    reader = Reader(h, canvas, Area(0, 0, SIDE, SIDE))
    yield from one_layer(h, reader)
    yield from groups(h, reader)
    yield from groups_by_themselves(h, reader)
    yield from masks(h, reader)
    yield from masks_of_groups(h, reader)
    yield from watching(h, reader)
    yield from moving_choices(h, reader)
    yield from hidden_and_empty(h, reader)
    yield from part_of_the_document(h, reader)
    bands_are_not_seen(h)
    yield from preview_is_never_sent(h, reader)


class Reader:
    """What is sent of a document, and the proof that reading it changes nothing."""

    def __init__(self, h, canvas, area):
        self.h, self.canvas, self.area = h, canvas, area
        self.document: Any = None

    def new(self, side=SIDE):
        """A fresh document in front, in place of the last one."""
        if self.document is not None:
            yield 0.3  # the docker of layers crashes when a document is closed right after a layer was changed
            self.document.setModified(False)
            self.document.close()
            yield 0.3
        self.document = self.h.new_document(side, side)
        yield 0.7

    def read(self, choice):
        """The picture of a choice: its function from (x, y) to (red, green, blue, alpha)."""
        document = self.document
        document.waitForDone()
        before, steps = state(document), history(self.h)
        rgba = self.canvas.capture(document, (choice,), self.area).rgba((SIDE, SIDE))
        self.h.check("reading changes nothing", (state(document), history(self.h)) == (before, steps), names(document))
        self.h.check("and leaves no document", len(self.h.krita.documents()) == 1)
        return lambda x, y: rgba_at(rgba, SIDE, x, y)

    def refused(self, choice):
        """What a person is told instead of a picture."""
        from layer_diffusion.notices import Trouble

        try:
            self.canvas.capture(self.document, (choice,), self.area).rgba((SIDE, SIDE))
        except Trouble as trouble:
            return str(trouble.notice)
        return ""


def one_layer(h, r):
    yield from r.new()
    red = paint(r.document, "red", (*RED, 255), 10, 20, 30, 40)
    paint(r.document, "blue", (*BLUE, 255), 20, 30, 40, 40)
    sent = r.read(ident(red))
    h.check("where it lies", [sent(9, 20)[3], sent(10, 20), sent(39, 59), sent(40, 59)[3]] == [
        0, (*RED, 255), (*RED, 255), 0,
    ])  # fmt: skip
    h.check("nothing of the others", sent(30, 40) == (*RED, 255) and sent(50, 60)[3] == 0, sent(30, 40))
    red.setOpacity(128)
    h.check("its opacity is its alpha", r.read(ident(red))(15, 25) == (*RED, 128), r.read(ident(red))(15, 25))
    red.setBlendingMode("multiply")
    sent = r.read(ident(red))(15, 25)
    h.check("another blending alone is as none", near(sent, (*RED, 128)), sent)
    red.setInheritAlpha(True)
    sent = r.read(ident(red))(15, 25)
    h.check("clipped to nothing it is still sent", near(sent, (*RED, 128)), sent)


def groups(h, r):
    yield from r.new()
    document = r.document
    group = document.createGroupLayer("group")
    document.rootNode().addChildNode(group, nodes(document)[-1])
    low = paint(document, "low", (200, 200, 200, 255), 0, 0, 60, 60, group)
    high = paint(document, "high", (100, 100, 100, 255), 30, 30, 60, 60, group)
    high.setBlendingMode("multiply")
    unseen = paint(document, "unseen", (*GREEN, 255), 0, 0, SIDE, SIDE, group)
    unseen.setVisible(False)
    document.refreshProjection()
    yield 0.3
    sent = r.read(ident(group))
    h.check("blending within the group", near(sent(40, 40), (78, 78, 78, 255)), sent(40, 40))
    h.check("its layers as they are", [sent(10, 10), sent(70, 70)] == [(200,) * 3 + (255,), (100,) * 3 + (255,)])
    h.check("its hidden layer is not sent", sent(100, 100)[3] == 0, sent(100, 100))
    group.setOpacity(64)
    document.refreshProjection()
    yield 0.3
    sent = r.read(ident(group))(10, 10)
    h.check("the group's opacity", near(sent, (200, 200, 200, 64)), sent)
    sent = r.read(ident(low))
    h.check("of a layer in it too", near(sent(10, 10), (200, 200, 200, 64)), sent(10, 10))
    h.check("alone", sent(70, 70)[3] == 0, sent(70, 70))
    h.check("a layer in a group is offered", any(text == ident(low) for text, _ in r.canvas.choices(document)))
    h.check("a hidden one is not", not any(text == ident(unseen) for text, _ in r.canvas.choices(document)))


def groups_by_themselves(h, r):
    """A group with a blending and an opacity of its own, and one that is passed through."""
    yield from r.new()
    document = r.document
    paint(document, "under", (*BLUE, 255), 0, 0, SIDE, SIDE)
    group = document.createGroupLayer("group")
    document.rootNode().addChildNode(group, nodes(document)[-1])
    low = paint(document, "low", (*RED, 255), 0, 0, 60, 60, group)
    high = paint(document, "high", (*GREEN, 255), 30, 30, 60, 60, group)
    group.setBlendingMode("multiply")
    group.setOpacity(128)
    document.refreshProjection()
    yield 0.3
    sent = r.read(ident(group))
    looks = [sent(10, 10), sent(70, 70)]
    h.check("alone it has nothing to blend with", near(looks[0], (*RED, 128)) and near(looks[1], (*GREEN, 128)), looks)
    h.check("and nothing of what is below", sent(100, 100)[3] == 0, sent(100, 100))
    sent = r.read(ident(low))(10, 10)
    h.check("nor has a layer in it", near(sent, (*RED, 128)), sent)
    group.setBlendingMode("normal")
    group.setOpacity(255)
    group.setPassThroughMode(True)
    high.setOpacity(128)
    document.refreshProjection()
    yield 0.3
    sent = r.read(ident(group))
    looks = [sent(10, 10), sent(80, 80), sent(100, 100)[3]]
    h.check("passed through it is sent", near(looks[0], (*RED, 255)) and near(looks[1], (*GREEN, 128)), looks)
    h.check("without what is below", looks[2] == 0, looks)
    sent = r.read(ident(high))(80, 80)
    h.check("a layer in it too", near(sent, (*GREEN, 128)), sent)
    group.setPassThroughMode(False)
    low.setLayerStyleFromAsl(STYLE)
    document.refreshProjection()
    yield 0.3
    for choice in (ident(low), ident(group)):
        sent = r.read(choice)(10, 10)
        h.check("the style of a layer is sent", near(sent, (0, 255, 0, 255)), sent)


def masks(h, r):
    yield from r.new()
    document = r.document
    red = paint(document, "red", (*RED, 255), 0, 0, SIDE, SIDE)
    yield from mask(h, document, red)
    for choice in (ident(red), r.canvas.ACTIVE):
        sent = r.read(choice)
        h.check("the mask is applied", sent(50, 50) == (*RED, 255) and sent(30, 30)[3] == 0, (choice, sent(30, 30)))
    red.setInheritAlpha(True)
    sent = r.read(ident(red))
    h.check("composited too", near(sent(50, 50), (*RED, 255)) and sent(30, 30)[3] == 0, sent(50, 50))


def masks_of_groups(h, r):
    """The mask of a group shows in what is sent of it, and of each layer in it."""
    yield from r.new()
    document = r.document
    group = document.createGroupLayer("group")
    document.rootNode().addChildNode(group, nodes(document)[-1])
    red = paint(document, "red", (*RED, 255), 0, 0, SIDE, SIDE, group)
    yield from mask(h, document, group)
    for choice in (ident(group), ident(red)):
        sent = r.read(choice)
        looks = sent(50, 50), sent(30, 30)
        h.check("the group's mask is applied", near(looks[0], (*RED, 255)) and looks[1][3] == 0, looks)


def mask(h, document, node):
    """Show only a square of a layer or a group."""
    yield 0.5  # or Krita makes a new layer active later on
    document.setActiveNode(node)
    select(document, 40, 40, 20, 20)
    yield 0.5
    h.krita.action("add_new_transparency_mask").trigger()
    yield 0.5
    added = mask_of(node)
    h.check("a mask", added.type() == "transparencymask", added.type())
    document.setActiveNode(added)
    document.setSelection(None)
    document.refreshProjection()
    yield 0.3


def mask_of(node):
    return next(child for child in node.childNodes() if child.type().endswith("mask"))


def watching(h, r):
    """Each change of what a picker shows is seen after a few looks, and none where there was none."""
    from layer_diffusion.geometry import Area

    yield from r.new(LARGE)
    document, area = r.document, Area(0, 0, LARGE, LARGE)
    group = document.createGroupLayer("group")
    document.rootNode().addChildNode(group, nodes(document)[-1])
    layer = paint(document, "layer", (*RED, 255), 0, 0, LARGE, LARGE, group)
    for choice in (ident(layer), r.canvas.VISIBLE):
        thumbnail = r.canvas.capture(document, (choice,), area, rows=88).image((88, 88))
        colour = thumbnail.pixelColor(44, 44).getRgb()
        h.check("a thumbnail, of some of the rows", colour == (*RED, 255), colour)
    yield from mask(h, document, group)

    def stroke(node, y, height):
        node.setPixelData(bytes((*reversed(BLUE), 255)) * (10 * height), 45, y, 10, height)

    changes = {
        "a stroke of 15 rows": lambda: stroke(layer, 500, 15),
        **{f"the thinnest line, at {y}": lambda y=y: stroke(layer, y, 1) for y in (0, 47, 701, LARGE - 1)},
        "opacity": lambda: layer.setOpacity(100),
        "the group's opacity": lambda: group.setOpacity(100),
        "a style": lambda: layer.setLayerStyleFromAsl(STYLE),
        "a mask of the group, painted on": lambda: mask_of(group).setPixelData(bytes(100), 45, 45, 10, 10),
        "a mask of the group, hidden": lambda: mask_of(group).setVisible(False),
        "passed through": lambda: group.setPassThroughMode(True),
    }
    watch = r.canvas.Watch()

    def seen(choice):
        """Whether one of the next looks sees a change; it goes on until it sees none."""
        looks = [watch.has_changed(document, choice, area) for _ in range(3 * LOOKS)]
        h.check("nothing else", not any(looks[-LOOKS:]), looks)
        return any(looks[:LOOKS])

    h.check("the first look", seen(ident(layer)))
    h.check("no change", not seen(ident(layer)))
    for name, change in changes.items():
        change()
        document.refreshProjection()
        document.waitForDone()
        yield 0.1
        h.check(f"seen: {name}", seen(ident(layer)))
    h.check("another choice", seen(ident(group)))
    stroke(layer, 300, 15)
    document.refreshProjection()
    yield 0.1
    h.check("a stroke in a group that is passed through", seen(ident(group)))


def moving_choices(h, r):
    yield from r.new()
    document, c = r.document, r.canvas
    low = paint(document, "low", (*RED, 255), 0, 0, 40, 40)
    high = paint(document, "high", (*BLUE, 255), 20, 20, 40, 40)
    top = paint(document, "top", (*GREEN, 255), 50, 50, 40, 40)
    yield 0.3
    document.setActiveNode(high)
    yield 0.3
    sent = r.read(c.BELOW)
    h.check("everything below", [sent(10, 10), sent(30, 30)] == [(*RED, 255), (*RED, 255)], sent(30, 30))
    h.check("and the background", [sent(50, 50), sent(100, 100)] == [(255,) * 4] * 2, sent(50, 50))
    sent = r.read(c.VISIBLE)
    h.check("everything visible", [sent(10, 10), sent(30, 30), sent(55, 55), sent(100, 100)] == [
        (*RED, 255), (*BLUE, 255), (*GREEN, 255), (255,) * 4,
    ])  # fmt: skip
    h.check("the active layer", r.read(c.ACTIVE)(30, 30) == (*BLUE, 255))
    h.check("is one layer", c.layer_of(document, c.ACTIVE) == ident(high))
    document.setActiveNode(low)
    yield 0.3
    h.check("another layer is active", r.read(c.ACTIVE)(10, 10) == (*RED, 255))
    document.setActiveNode(nodes(document)[0])
    yield 0.3
    h.check("below the bottom is nothing", "Nothing" in r.refused(c.BELOW), r.refused(c.BELOW))
    top.setVisible(False)
    h.krita.action("select_visible_layers").trigger()
    yield 0.5
    nodes(document)[0].setVisible(False)
    document.refreshProjection()
    yield 0.3
    sent = r.read(c.SELECTED)
    h.check("all selected layers", [sent(10, 10)[:3], sent(30, 30)] == [RED, (*BLUE, 255)], sent(30, 30))
    h.check("but the hidden ones", sent(55, 100)[3] == 0 and sent(80, 80)[3] == 0, (sent(55, 100), sent(80, 80)))
    bounds = c.bounds_of(document, c.SELECTED)
    h.check("their bounds", (bounds.x, bounds.y, bounds.width, bounds.height) == (0, 0, 60, 60), bounds)


def hidden_and_empty(h, r):
    yield from r.new()
    document = r.document
    red = paint(document, "red", (*RED, 255), 100, 100, 10, 10)
    red.setVisible(False)
    h.check("a hidden layer is not sent", "“red” is hidden" in r.refused(ident(red)), r.refused(ident(red)))
    red.setVisible(True)
    h.check("shown again it is", r.read(ident(red))(105, 105) == (*RED, 255))
    nothing = paint(document, "nothing", (*RED, 0), 0, 0, SIDE, SIDE)
    h.check("nor is an empty one", "empty" in r.refused(ident(nothing)), r.refused(ident(nothing)))
    h.check("nor one that is gone", "not in this document" in r.refused("{gone}"), r.refused("{gone}"))
    yield 0.1


def part_of_the_document(h, r):
    from layer_diffusion.geometry import Area

    yield from r.new()
    red = paint(r.document, "red", (*RED, 255), 32, 32, 32, 32)
    rgba = r.canvas.capture(r.document, (ident(red),), Area(32, 0, 64, 64)).rgba((128, 128))
    corners = [rgba_at(rgba, 128, *at) for at in ((10, 100), (10, 20), (100, 100))]
    h.check("an area, scaled", [c[3] for c in corners] == [255, 0, 0] and corners[0][:3] == RED, corners)
    image = r.canvas.image_of(rgba, (128, 128))
    colour = image.pixelColor(10, 100)
    h.check("the thumbnail shows it", (colour.red(), colour.green(), colour.blue(), colour.alpha()) == (*RED, 255))
    rgba = r.canvas.capture(r.document, (ident(red),), Area(-64, -64, 128, 128)).rgba((128, 128))
    inside, outside = (rgba_at(rgba, 128, at, at) for at in (100, 10))
    h.check("an area beyond the canvas", inside == (*RED, 255) and outside[3] == 0, (inside, outside))


def bands_are_not_seen(h):
    """Large pictures are scaled in bands of rows, to the pixels that Qt makes of the whole, whose rounding adds up."""
    from layer_diffusion.qt import QtCore, QtGui
    from layer_diffusion.scaling import scaled

    noise = random.Random(1).randbytes(1024 * 600 * 4)
    for size in ((512, 300), (2048, 1200), (1000, 900)):
        image = QtGui.QImage(noise, 1024, 600, QtGui.QImage.Format.Format_ARGB32_Premultiplied)
        ways = QtCore.Qt.AspectRatioMode.IgnoreAspectRatio, QtCore.Qt.TransformationMode.SmoothTransformation
        image = image.scaled(*size, *ways)
        whole = image.constBits()
        whole.setsize(4 * size[0] * size[1])
        off = max(abs(a - b) for a, b in zip(bytes(whole)[::7], scaled(noise, (1024, 600), size)[::7], strict=True))
        h.check(f"scaled to {size}, no seam", off <= 4, off)


def preview_is_never_sent(h, r):
    from layer_diffusion import composing
    from layer_diffusion.pixels import Picture

    yield from r.new()
    document, overlay = r.document, r.canvas.Overlay()
    before, steps = state(document), history(h)
    picture = Picture("seed 1", r.area, bytes((*reversed(GREEN), 255)) * (SIDE * SIDE), 1.0, True)
    overlay.show(document, *composing.seen([picture]))
    yield 0.3
    yield h.screenshot("preview")
    h.check("it is shown", overlay.is_shown)
    h.check("and not sent", r.read(r.canvas.VISIBLE)(60, 60) == (255,) * 4)
    h.check("nor part of the document", (state(document), history(h), document.modified()) == (before, steps, False))
    overlay.hide()
    h.check("gone", not overlay.is_shown)
    h.check("with no step to undo", history(h) == steps, history(h))


def ident(node):
    """The choice that means this layer."""
    return node.uniqueId().toString()


def near(colour, wanted):
    """Whether two colours are the same but for rounding."""
    return all(abs(one - other) <= 2 for one, other in zip(colour, wanted, strict=True))
