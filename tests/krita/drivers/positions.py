"""Driver: where in the stack results go, each taken back by one undo; with the stand-in."""

from vocabulary import Docker, names, nodes, paint, pixel, select, state, step

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
    yield from replaced(h, d, document, low)
    yield from clipped_by_a_soft_selection(h, d)


def placed(h, d, document, place, active, order, wanted):
    choose(d, place)
    document.setActiveNode(active)
    yield 0.4
    what = f"{place} of {active.name()}"
    before = state(document)
    yield from made(h, d, order, what)
    h.check(f"{what}: its place", order() == wanted, order())
    h.check(f"{what}: the active layer stayed", document.activeNode() == active, document.activeNode().name())
    after = state(document)
    yield from step(h, document, "undo")
    yield 0.3
    h.check(f"{what}: undone", state(document) == before, order())
    yield from step(h, document, "redo")
    yield 0.3
    h.check(f"{what}: done again", state(document) == after and order() == wanted, order())
    yield from step(h, document, "undo")
    yield 0.3


def made(h, d, order, what):
    d.start("made")
    yield h.until(lambda: "made" in order() and not d.session.jobs, 30, f"the result {what}")
    yield 0.6


def replaced(h, d, document, low):
    """Refining a layer puts the new one in its place."""
    d.dock.panel.operation.choose("refine")
    document.setActiveNode(low)
    choose(d, "replace")
    yield 0.5
    before = state(document)
    d.start("made")
    yield h.until(lambda: "made" in names(document) or d.error(), 30, "the refined layer")
    yield 0.8
    h.check("replaced: no error", d.error() == "", d.error())
    h.check("replaced: in its place", names(document) == ["Background", "made", "folder"], names(document))
    yield from step(h, document, "undo")
    yield 0.5
    for _ in range(3):
        if state(document) != before:
            yield from step(h, document, "undo")
            yield 0.3
    h.check("replaced: undo brings the layer back", state(document) == before, names(document))
    d.dock.panel.operation.choose("object")
    yield d.ready()


def clipped_by_a_soft_selection(h, d):
    """A result for a selection stays whole, unless its softness is to clip it."""
    document = h.new_document(SIDE, SIDE, "soft")
    yield 0.5
    choose(d, "top")
    d.size("selection")
    select(document, 32, 32, 64, 64, 128)
    yield 0.6
    group = yield from d.made(document, "made")
    h.check("not clipped", pixel(group.childNodes()[0], 64, 64)[3] == 255, pixel(group.childNodes()[0], 64, 64))
    d.find("clip").setChecked(True)
    group = yield from d.made(document, "made")
    d.find("clip").setChecked(False)
    alpha = pixel(group.childNodes()[0], 64, 64)[3]
    h.check("clipped", abs(alpha - 128) <= 1, alpha)
    document.setModified(False)


def choose(d, place):
    box = d.find("place")
    box.setCurrentIndex(box.findData(place))
