"""Driver: what takes Krita several steps is one undo in every window, a later one too; with the stand-in."""

from vocabulary import Docker, names, nodes, paint, state, step


def run(h):
    document = h.new_document(128, 128)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    paint(document, "low", (20, 60, 200, 255), 0, 0, 20, 20)
    yield 0.5
    yield from d.pick("place", "below")
    document.setActiveNode(nodes(document)[0])
    yield 0.5
    before = state(document)
    yield from d.start("made")
    yield h.until(lambda: names(document) == ["made", "Background", "low"], 30, "the result below all others")
    yield d.ready()
    yield 0.5
    after = state(document)
    window = h.krita.openWindow()
    window.qwindow().show()
    window.addView(document)
    yield 1
    yield h.screenshot("second_window")
    yield from to_front(h, window)
    for action, wanted in (("undo", before), ("redo", after), ("undo", before)):
        yield from step(h, document, action)
        yield 0.5
        h.check(f"{action} in the other window", state(document) == wanted, names(document))
    document.setModified(False)


def to_front(h, window):
    """Click beside the menus, and wait until Krita acts on this window and its docker has looked."""
    bar = window.qwindow().menuBar()
    window.qwindow().raise_()
    yield h.click(bar, at=(bar.width() - 4, bar.height() // 2))
    yield h.until(lambda: h.krita.activeWindow().qwindow() == window.qwindow(), 10, "the other window in front")
    yield 0.7
