"""Driver: where in the stack results go, each taken back by one undo; with the stand-in."""

from cards import click
from vocabulary import Docker, history, names, nodes, paint, pixel, select, state, step, steps_done

SIDE = 128
BLUE, GREEN = (20, 60, 200, 255), (10, 180, 90, 255)


def run(h):
    d = Docker(h)
    document = h.new_document(SIDE, SIDE)
    yield 0.5
    yield d.ready()
    low = paint(document, "low", BLUE, 0, 0, 20, 20)
    folder = document.createGroupLayer("folder")
    document.rootNode().addChildNode(folder, nodes(document)[-1])
    inner = paint(document, "inner", GREEN, 0, 0, 10, 10, folder)
    paint(document, "inner top", GREEN, 20, 0, 10, 10, folder)
    document.refreshProjection()
    yield 0.5
    stack = ["Background", "low", "folder"]
    for place, active, order in (
        ("top", low, [*stack, "made"]),
        ("above", low, ["Background", "low", "made", "folder"]),
        ("below", low, ["Background", "made", "low", "folder"]),
        ("group", low, [*stack, "made"]),
        ("above", folder, [*stack, "made"]),
        ("below", nodes(document)[0], ["made", *stack]),
    ):
        yield from placed(h, d, document, place, active, lambda: names(document), order)
    for place, order in (
        ("group", ["inner", "inner top", "made"]),
        ("above", ["inner", "made", "inner top"]),
        ("below", ["made", "inner", "inner top"]),
    ):
        yield from placed(h, d, document, place, inner, lambda: [n.name() for n in folder.childNodes()], order)
    yield from placed(
        h, d, document, "group", folder, lambda: [n.name() for n in folder.childNodes()], ["inner", "inner top", "made"]
    )
    yield from says_where(h, d)
    yield from replaced(h, d, document, low)
    yield from replaced_in_part(h, d, document, low)
    yield from nothing_else_replaced(h, d, document, low)
    yield from unforeseen(h, d, document)
    yield from clipped_by_a_soft_selection(h, d)


def placed(h, d, document, place, active, order, wanted):
    yield from d.pick("place", place)
    document.setActiveNode(active)
    yield 0.4
    what = f"{place} of {active.name()}"
    before, done = state(document), steps_done(h)
    yield from made(h, d, order, what)
    h.check(f"{what}: its place", order() == wanted, order())
    h.check(f"{what}: the active layer stayed", document.activeNode() == active, document.activeNode().name())
    after, steps = state(document), steps_done(h) - done
    h.check(f"{what}: Krita's steps", steps == (4 if wanted[0] == "made" else 1), history(h))
    yield from step(h, document, "undo")
    yield 0.3
    h.check(f"{what}: undone", state(document) == before and steps_done(h) == done, (order(), history(h)))
    yield from step(h, document, "redo")
    yield 0.3
    h.check(f"{what}: done again", state(document) == after and order() == wanted, order())
    h.check(f"{what}: all of it", steps_done(h) == done + steps, history(h))
    yield from step(h, document, "undo")
    yield 0.3


def made(h, d, order, what):
    yield from d.start("made")
    yield h.until(lambda: "made" in order() and not d.session.jobs, 30, f"the result {what}")
    yield 0.6


def replaced(h, d, document, low):
    """Refining a layer puts the new one in its place."""
    yield from d.pick("operation", "refine")
    document.setActiveNode(low)
    yield from d.pick("place", "replace")
    yield 0.5
    before, done = state(document), steps_done(h)
    yield from d.start("made")
    yield h.until(lambda: "made" in names(document) or d.error(), 30, "the refined layer")
    yield 0.8
    h.check("replaced: no error", d.error() == "", d.error())
    h.check("replaced: in its place", names(document) == ["Background", "made", "folder"], names(document))
    after, steps = state(document), steps_done(h) - done
    yield from step(h, document, "undo")
    yield 0.5
    h.check("replaced: two steps", steps == 2, history(h))
    h.check("replaced: one undo for both", steps_done(h) == done, (steps_done(h), history(h)))
    h.check("replaced: it brings the layer back", state(document) == before, names(document))
    yield from step(h, document, "redo")
    yield 0.5
    h.check("replaced: one redo takes it away again", state(document) == after, names(document))
    h.check("replaced: one redo for both", steps_done(h) == done + 2, (steps_done(h), history(h)))
    yield from step(h, document, "undo")
    yield 0.5
    yield from d.pick("operation", "object")
    yield d.ready()


def replaced_in_part(h, d, document, low):
    """What of the layer lies outside of the area is kept."""
    yield from d.pick("operation", "refine")
    document.setActiveNode(low)
    yield from d.pick("place", "replace")
    yield from d.size("selection")
    select(document, 0, 0, 12, 64, 255)
    yield 0.6
    before = state(document)
    yield from made(h, d, lambda: names(document), "in a part")
    group = nodes(document)[1]
    yield from d.size("document")
    rest = group.childNodes()[0]
    h.check("the rest keeps its name", rest.name() == "low", [node.name() for node in group.childNodes()])
    h.check("the rest is there", pixel(rest, 16, 10) == BLUE, pixel(rest, 16, 10))
    h.check("but not what was made anew", pixel(rest, 6, 10)[3] == 0, pixel(rest, 6, 10))
    h.check("in the place of the layer", names(document) == ["Background", "made", "folder"], names(document))
    yield from step(h, document, "undo")
    yield 0.5
    h.check("the part: undone", state(document) == before, names(document))
    h.krita.action("deselect").trigger()
    document.waitForDone()


def says_where(h, d):
    """Where there is no layer to replace, the docker says what happens instead, and remembers what is wanted."""
    shown = []
    yield from d.pick("operation", "refine")
    yield from d.pick("place", "replace")
    for task in ("object", "refine", "object"):
        yield from d.pick("operation", task)
        shown.append(d.find("place").currentText())
    above = "Above the active layer"
    h.check("says where results go", shown == [above, "In place of the layer", above], shown)
    yield from d.pick("place", "top")


def nothing_else_replaced(h, d, document, low):
    """A result of the history replaces no layer that it was not made from."""
    folder = nodes(document)[2]
    document.setActiveNode(folder.childNodes()[0])
    yield 0.5
    before = names(document), [node.name() for node in folder.childNodes()]
    yield h.click(d.find("results").viewport(), at=(50, 50))
    yield h.click(d.find("card_apply"))
    yield h.until(lambda: "made" in names(document), 30, "the layers of the card")
    yield 0.6
    order = names(document), [node.name() for node in folder.childNodes()]
    h.check("the layer that it was made from is replaced", order[0] == ["Background", "made", "folder"], order)
    h.check("not the active one", order[1] == before[1], order)
    low_again = nodes(document)[1]
    yield h.click(d.find("results").viewport(), at=(50, 50))
    yield h.click(d.find("card_apply"))
    yield h.until(lambda: names(document).count("made") + len(folder.childNodes()) > 3, 30, "the layers again")
    yield 0.6
    h.check("where that is gone, none is", nodes(document)[1] == low_again, names(document))
    left = [node.name() for node in folder.childNodes()]
    h.check("but the result is above the active one", left == ["inner", "made", "inner top"], left)
    yield from d.pick("place", "top")
    yield from d.pick("operation", "object")
    yield d.ready()


def unforeseen(h, d, document):
    """Whatever fails while a result is put in, it is said in the docker, and the result is kept."""
    from layer_diffusion import canvas

    count, insert = len(nodes(document)), canvas.insert

    def fails(*_):
        canvas.insert = insert
        raise RuntimeError("a fault of ours")

    canvas.insert = fails
    yield from d.start("made")
    yield h.until(lambda: "RuntimeError: a fault of ours" in d.find("kept_text").text(), 30, "what went wrong")
    h.check("nothing was put in", len(nodes(document)) == count, names(document))
    yield h.click(d.find("insert"))
    yield h.until(lambda: len(nodes(document)) == count + 1, 30, "the kept result")
    yield d.ready()


def clipped_by_a_soft_selection(h, d):
    """A result for a selection stays whole, unless its softness is to clip it."""
    document = h.new_document(SIDE, SIDE, "soft")
    yield 0.5
    yield from d.pick("place", "top")
    yield from d.size("selection")
    select(document, 32, 32, 64, 64, 128)
    yield 0.6
    group = yield from d.made(document, "made")
    h.check("not clipped", pixel(group.childNodes()[0], 64, 64)[3] == 255, pixel(group.childNodes()[0], 64, 64))
    yield from d.tick("clip", True)
    group = yield from d.made(document, "made")
    yield from d.tick("clip", False)
    alpha = pixel(group.childNodes()[0], 64, 64)[3]
    h.check("clipped", abs(alpha - 128) <= 1, alpha)
    document.setSelection(None)
    before = len(nodes(document))
    yield from click(h, d, 0)
    yield h.click(d.find("card_again"), at=(8, 8))
    yield h.until(lambda: len(nodes(document)) == before + 1, 30, "the same again")
    yield d.ready()
    alpha = pixel(nodes(document)[-1].childNodes()[0], 64, 64)[3]
    h.check("clipped again, without the selection", abs(alpha - 128) <= 1, alpha)
    document.setModified(False)
