"""Driver: a hundred results in a row leave nothing behind but their layers; with the stand-in."""

import gc
import threading

from vocabulary import Docker, history, names, nodes, paint

COUNT, WARM = 100, 30
MOST_MB = 40
"""Growth from the 30th result to the 100th beyond that of as many groups and layers given to Krita by itself: cards
with their thumbnails, undo steps, and what malloc and Qt keep. A document that stays for each result takes more."""


def run(h):
    from harness_driver.qt import QtCore

    document = h.new_document(64, 64)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    for number in range(1, COUNT + 1):
        d.start(f"number {number}")
        yield h.until(lambda number=number: len(nodes(document)) == number + 1 and not d.session.jobs, 30, f"{number}")
        if number == WARM:
            yield 1
            before = left(h, d, QtCore), resident()
    yield 1
    after = left(h, d, QtCore), resident()
    wanted = ["Background", *(f"number {number}" for number in range(1, COUNT + 1))]
    h.check("every result is there, in order", names(document) == wanted, names(document)[-3:])
    h.check("one layer in each", all(len(node.childNodes()) == 1 for node in nodes(document)[1:]))
    h.check("one undo step for each", len(history(h)) == COUNT, len(history(h)))
    h.check("no document, widget, timer, thread or job is left over", after[0] == before[0], (before[0], after[0]))
    grown = after[1] - before[1]
    own = yield from by_itself(h)
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


def by_itself(h):
    """Bytes that as many groups with a layer take in Krita."""
    document = h.new_document(64, 64, "by itself")
    yield 1
    start = 0
    for number in range(COUNT):
        group = document.createGroupLayer(str(number))
        document.rootNode().addChildNode(group, nodes(document)[-1])
        paint(document, "layer", (200, 30, 40, 255), 0, 0, 64, 64, group)
        document.refreshProjection()
        document.waitForDone()
        yield 0.05
        if number == WARM:
            start = resident()
    yield 1
    return resident() - start


def resident():
    """Bytes of memory that this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
