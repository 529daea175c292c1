"""Driver: how results come into documents; with the stand-in, whose results are discs on padded colour."""

import json
import time
from pathlib import Path

from vocabulary import Docker, acknowledged, box, history, names, nodes, pixel, select, state, step, to_canvas


def run(h):
    d = Docker(h)
    prompt = d.find("prompt").toPlainText()
    h.check("remembered from the last start", prompt == "gläser\n“two”", prompt)
    h.check("remembered steps", d.find("steps").value() == 33)
    document = h.new_document(320, 240)
    yield 0.5
    yield from kept_by_the_last_krita(h, d, document)
    yield d.ready()
    document = h.new_document(320, 240)
    yield 0.5
    yield from one_undo_step(h, d, document)
    yield from selection_and_own_size(h, d, document)
    yield from drawn_selection(h, d, document)
    yield from batch(h, d, document)
    yield from several_layers(h, d, document)
    yield from large_page(h, d)
    yield from sixteen_bits(h, d)
    yield from time_to_insert(h, d)
    yield from events_while_inserting(h, d)
    yield 1.2
    kept = json.loads(h.krita.readSetting("layer_diffusion", "fields", ""))
    h.check("fields are kept", kept["prompt"] == "timed" and kept["steps"] == 33, kept)


def kept_by_the_last_krita(h, d, document):
    yield h.until(lambda: d.find("kept").isVisible(), 20, "the offer of the kept result")
    said = d.find("kept_text").text()
    h.check("says which", said.startswith("“kept glass”: The document was closed; the result is kept."), said)
    h.check("and that another file is damaged", "damaged" in d.error(), d.error())
    yield h.screenshot("kept_before")
    yield h.click(d.find("insert"))
    yield h.until(lambda: len(nodes(document)) == 2, 10, "the kept layer")
    yield d.ready()
    layer = nodes(document)[-1].childNodes()[0]
    h.check("as it was", pixel(layer, 3, 5) == (3, 2, 1, 0) and pixel(layer, 4, 5) == (30, 20, 10, 255))
    left = [path.suffix for path in (Path(h.krita.getAppDataLocation()) / "layer_diffusion" / "kept").iterdir()]
    h.check("its file is gone, the damaged one is not", left == [".damaged"], left)
    yield from step(h, document, "undo")
    document.setModified(False)
    document.close()
    yield 0.5


def one_undo_step(h, d, document):
    before = state(document)
    known = len(acknowledged(h))
    active = document.activeNode().uniqueId()
    yield from d.type_and_generate("a red apple, shiny")
    yield h.until(lambda: len(nodes(document)) == 2, 30, "the layer")
    yield d.ready()
    yield 0.5
    group = nodes(document)[-1]
    layer = group.childNodes()[0]
    h.check("a group", group.type() == "grouplayer", group.type())
    h.check("named after the prompt", group.name() == "a red apple, shiny", group.name())
    h.check("holding one paint layer", [n.type() for n in group.childNodes()] == ["paintlayer"])
    h.check("the disc's colour", pixel(layer, 160, 120) == (200, 30, 40, 255), pixel(layer, 160, 120))
    h.check("transparent beside the disc, with its colour", pixel(layer, 60, 120) == (200, 30, 40, 0))
    h.check("nothing far from it", pixel(layer, 0, 0) == (0, 0, 0, 0), pixel(layer, 0, 0))
    h.check("the canvas shows it", bytes(document.pixelData(160, 120, 1, 1)) == bytes((40, 30, 200, 255)))
    h.check("the active layer stayed", document.activeNode().uniqueId() == active, document.activeNode().name())
    h.check("acknowledged once", len(acknowledged(h)) == known + 1, acknowledged(h))
    h.check("the document is modified", document.modified())
    h.check("no document is left over", len(h.krita.documents()) == 1, len(h.krita.documents()))
    h.check("one undo step", history(h) == ["Add Layer"], history(h))
    after = state(document)
    yield from step(h, document, "undo")
    h.check("one undo brings everything back", state(document) == before, names(document))
    yield from step(h, document, "redo")
    h.check("one redo brings it again", state(document) == after, names(document))
    again = nodes(document)[-1].childNodes()[0]
    h.check("with the colour under zero alpha", pixel(again, 60, 120) == (200, 30, 40, 0))


def selection_and_own_size(h, d, document):
    yield from d.size("selection")
    whole = f"{document.width()} × {document.height()} px"
    yield h.until(lambda: d.find("size_note").text() == whole, 5, "all of it where nothing is selected")
    select(document, 900, 900, 10, 10)
    yield from d.start("selected elsewhere")
    yield h.until(d.error, 5, "an error")
    h.check("says what to do", d.error().startswith("The selection lies outside the canvas. Select"), d.error())
    h.check("the prompt is still there", d.find("prompt").toPlainText() == "selected elsewhere")
    select(document, 100, 40, 150, 100)
    yield h.until(lambda: d.find("size_note").text() == "150 × 100 px", 5, "the selection's size in the docker")
    group = yield from d.made(document, "selected")
    h.check("the error is gone", d.error() == "", d.error())
    # The disc's radius is 0.4 of the shorter side, its edge half a pixel wider and cut to whole pixels.
    x, y, width, height = box(group)
    h.check("at the selection", abs(x - 135) <= 2 and abs(y - 50) <= 2 and abs(width - 80) <= 3, box(group))
    chosen = document.selection()
    bounds = (chosen.x(), chosen.y(), chosen.width(), chosen.height())
    h.check("the selection stayed", bounds == (100, 40, 150, 100), bounds)
    before = names(document)
    yield from step(h, document, "undo")
    yield from step(h, document, "redo")
    h.check("its place in the stack is kept", names(document) == before, names(document))
    yield from d.size("own", 100, 64)
    group = yield from d.made(document, "own at the selection")
    x, y = box(group)[:2]
    h.check("own size begins at the selection", abs(x - 124) <= 2 and abs(y - 46) <= 2, box(group))
    document.setSelection(None)
    group = yield from d.made(document, "own centred")
    x, y = box(group)[:2]
    h.check("own size lies in the middle", abs(x - 134) <= 2 and abs(y - 94) <= 2, box(group))


def drawn_selection(h, d, document):
    """A rectangle drawn with Krita's own tool is what the result is for."""
    yield from d.size("selection")
    yield to_canvas(h)
    yield h.key("ctrl+r")
    x, y = h.canvas_point()
    yield h.drag([(x - 260, y - 200), (x - 200, y - 150), (x, y), (x + 260, y + 200)])
    yield h.until(lambda: document.selection() and document.selection().width() > 0, 5, "the selection")
    yield h.screenshot("drawn_selection")
    yield h.key("b")
    chosen = document.selection()
    width, height = chosen.width(), chosen.height()
    note = d.find("size_note")
    yield h.until(lambda: note.text().startswith(f"{width} × {height} px"), 5, f"the size {width} × {height}")
    group = yield from d.made(document, "drawn")
    middle = chosen.x() + width / 2, chosen.y() + height / 2
    left, top, wide, high = box(group)
    off = abs(left + wide / 2 - middle[0]), abs(top + high / 2 - middle[1]), abs(wide - 0.8 * min(width, height))
    h.check("in the middle of what was drawn, and as large", max(off) <= 4, (off, box(group), middle))
    yield to_canvas(h)
    yield h.key("ctrl+shift+a")
    yield h.until(lambda: document.selection() is None, 5, "nothing selected")
    yield from d.size("own", 100, 64)


def batch(h, d, document):
    yield from d.enter("batch", 3)
    group = yield from d.made(document, "three")
    yield from d.enter("batch", 1)
    inner = group.childNodes()
    h.check("a layer for each image", len(inner) == 3, [n.name() for n in inner])
    h.check("the first one is shown", [n.visible() for n in inner] == [True, False, False])
    greens = [pixel(n, 160, 120)[1] for n in inner]
    h.check("they are different", greens == [30, 70, 110], greens)
    yield 0.6


def several_layers(h, d, document):
    before = state(document)
    group = yield from d.made(document, "scene")
    inner = group.childNodes()
    kinds = [n.name() for n in inner]
    h.check("bottom first", kinds == [f"{role}: scene" for role in ("Background", "Foreground", "Blend")], kinds)
    h.check("the blend is hidden", [n.visible() for n in inner] == [True, True, False])
    h.check("the ground shows", pixel(document, 112, 90) == (20, 30, 200, 255), pixel(document, 112, 90))
    h.check("under it", pixel(document, 160, 120) == (200, 30, 40, 255), pixel(document, 160, 120))
    yield from step(h, document, "undo")
    h.check("one undo for all of them", state(document) == before, names(document))
    yield from d.enter("batch", 2)
    group = yield from d.made(document, "scene")
    yield from d.enter("batch", 1)
    inner = group.childNodes()
    h.check("a group for each image", [n.name() for n in inner] == ["scene 1", "scene 2"], [n.name() for n in inner])
    h.check("only the first one is shown", [n.visible() for n in inner] == [True, False])
    h.check("each as it is", [[n.visible() for n in one.childNodes()] for one in inner] == [[True, True, False]] * 2)
    second = inner[1].childNodes()[1]
    h.check("numbered", second.name() == "Foreground: scene 2", second.name())
    h.check("with pixels of its own", pixel(second, 160, 120) == (200, 70, 40, 255), pixel(second, 160, 120))
    h.check("the canvas shows the first one", pixel(document, 112, 90) == (20, 30, 200, 255), pixel(document, 112, 90))
    yield h.screenshot("several_layers")
    yield from step(h, document, "undo")
    h.check("one undo for groups in the group", state(document) == before, names(document))
    yield 0.6


def large_page(h, d):
    page = h.new_document(2480, 1240, "page")
    yield 0.5
    yield from d.size("document")
    yield h.until(lambda: "made at 2048 × 1024" in d.find("size_note").text(), 5, "the size note")
    group = yield from d.made(page, "page")
    layer = group.childNodes()[0]
    x, y, width, height = box(layer)
    h.check("enlarged to the page", abs(x - 744) <= 4 and abs(y - 124) <= 4 and abs(width - 992) <= 8, box(layer))
    h.check("its colour", pixel(layer, 1240, 620) == (200, 30, 40, 255), pixel(layer, 1240, 620))
    h.check("the colour under zero alpha", pixel(layer, 738, 620) == (200, 30, 40, 0), pixel(layer, 738, 620))
    yield 0.6
    page.setModified(False)
    page.close()
    yield 0.5


def sixteen_bits(h, d):
    deep = h.new_document(128, 128, "deep", "RGBA", "U16", "sRGB-elle-V2-srgbtrc.icc")
    yield 0.5
    before = state(deep)
    group = yield from d.made(deep, "deep")
    shown = bytes(deep.pixelData(64, 64, 1, 1))
    red = int.from_bytes(shown[4:6], "little") / 257
    h.check("shown in a 16-bit document", abs(red - 200) <= 2, red)
    h.check("in its group", group.name() == "deep")
    yield from step(h, deep, "undo")
    h.check("undo in a 16-bit document", state(deep) == before, names(deep))


def time_to_insert(h, d):
    """From the arrival in the docker until the layer is on the canvas: recorded, not judged, as machines differ."""
    page = h.new_document(1024, 1024, "timed")
    yield 1
    took = []
    insert = d.dock.controller.arrivals._insert

    def timed(job):
        begin = time.perf_counter()
        insert(job)
        page.waitForDone()
        took.append(round((time.perf_counter() - begin) * 1000))

    d.dock.controller.arrivals._insert = timed
    for _ in range(3):
        yield from d.made(page, "timed")
    del d.dock.controller.arrivals._insert
    h.log("inserting 1024 x 1024 took", took, "ms")
    h.record("inserting 1024 x 1024, ms", took)
    h.check("each was inserted", len(took) == 3 and len(nodes(page)) == 4, took)


def events_while_inserting(h, d):
    """Krita handles events while it renders; here another result is reported at that moment."""
    from layer_diffusion import canvas

    page = h.new_document(64, 64, "again")
    yield 0.5
    insert = canvas.insert

    def interrupted(*arguments):
        canvas.insert = insert
        d.dock.controller.arrivals.insert()
        insert(*arguments)

    canvas.insert = interrupted
    yield from d.made(page, "timed")
    yield 0.5
    h.check("inserted once", len(nodes(page)) == 2, names(page))
