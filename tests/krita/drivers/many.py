"""Driver: a hundred results in a row leave nothing behind but their layers; with the stand-in."""

import gc
import threading

from vocabulary import Docker, box, history, names, nodes, paint

SIDE = 512
COUNT, WARM = 100, 20
MOST_MB = 65
"""Growth from the 20th result to the 100th beyond that of the history, and of as many groups and layers given to Krita
by itself. Some 40 MB are what malloc and Qt keep; the pixels of each result left behind would be 80 MB more, those of
its layer 56 MB."""


def run(h):
    from harness_driver.qt import QtCore

    document = h.new_document(SIDE, SIDE)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    for number in range(1, COUNT + 1):
        yield from d.start("a red apple")
        yield h.until(lambda number=number: len(nodes(document)) == number + 1 and not d.session.jobs, 30, f"{number}")
        if number == WARM:
            yield 1
            before = left(h, d, QtCore), resident() - kept(d)
    yield 1
    after = left(h, d, QtCore), resident() - kept(d)
    h.check("every result is there", names(document) == ["Background", *["a red apple"] * COUNT], names(document))
    h.check("one layer in each", all(len(node.childNodes()) == 1 for node in nodes(document)[1:]))
    h.check("one undo step for each", len(history(h)) == COUNT, len(history(h)))
    h.check("each in the history", len(d.find("results").cards) == COUNT, len(d.find("results").cards))
    h.check("no document, widget, timer, thread or job is left over", after[0] == before[0], (before[0], after[0]))
    h.check("the only document", after[0]["documents"] == 1, after[0])
    grown = after[1] - before[1]
    own = yield from by_itself(h, box(nodes(document)[-1]))
    h.record("grown by, MB; Krita by itself", [round(size / 2**20, 1) for size in (grown, own)])
    h.check("memory", grown - own <= MOST_MB * 2**20, (grown, own))


def left(h, d, core):
    """What of ours could pile up."""
    from layer_diffusion.jobs import Job

    gc.collect()
    return {
        "documents": len(h.krita.documents()),
        "parts of the docker": len(d.dock.findChildren(core.QObject)),
        "timers": len(d.dock.findChildren(core.QTimer)),
        "threads": threading.active_count(),
        "jobs": sum(isinstance(one, Job) for one in gc.get_objects()),
    }


def kept(d):
    """Bytes of the history."""
    return sum(len(one.record) + len(one.thumbnail[2]) for one in d.find("results").cards)


def by_itself(h, area):
    """Bytes that as many groups with a layer of this size take in Krita."""
    x, y, width, height = area
    document = h.new_document(SIDE, SIDE, "by itself")
    yield 1
    start = 0
    for number in range(COUNT):
        group = document.createGroupLayer(str(number))
        document.rootNode().addChildNode(group, nodes(document)[-1])
        paint(document, "layer", (200, 30, 40, 255), x, y, width, height, group)
        document.refreshProjection()
        document.waitForDone()
        yield 0.05
        if number + 1 == WARM:
            start = resident()
    yield 1
    return resident() - start


def resident():
    """Bytes of memory that this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
