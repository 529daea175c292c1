"""Driver: a red apple from the prompt to the layer, with the real backend and the built-in model."""

import os
import signal

from family import backend, running, worker_of
from vocabulary import Docker, history, names, nodes, state, step

SIDE = 256
PREVIEWS = 3
"""Pictures of a job in its middle that are seen at least."""
TRIES = 5
"""Jobs until so many are: on a busy machine one may have no time for them."""


def run(h):
    document = h.new_document(SIDE, SIDE)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from d.enter("seed", "2")
    before = state(document)
    yield from d.type_and_generate("a red apple")
    yield h.until(lambda: d.find("progress").text().startswith("Denoising"), 200, "the denoising")
    yield h.screenshot("denoising")
    yield h.until(lambda: len(nodes(document)) == 2 or d.error(), 200, "the layer or an error")
    h.check("no error", d.error() == "", d.error())
    yield d.ready()
    yield 0.5
    yield h.screenshot("a_red_apple")
    apple(h, document)
    yield from undo(h, document, before)
    yield from previews(h, d, document)
    yield from worker_killed(h, d, document)
    yield from backend_killed(h, d, document)


def apple(h, document):
    group = nodes(document)[-1]
    h.check("a group", group.type() == "grouplayer", group.type())
    h.check("named after the prompt", group.name() == "a red apple", group.name())
    layer = group.childNodes()[0]
    h.check("holding one paint layer", [node.type() for node in group.childNodes()] == ["paintlayer"])
    pixels = bytes(layer.pixelData(0, 0, SIDE, SIDE))
    blue, green, red, alpha = (pixels[channel::4] for channel in range(4))
    solid = [index for index, value in enumerate(alpha) if value > 200]
    share = len(solid) / SIDE**2
    h.check("an object of some size", 0.08 < share < 0.8, share)
    means = [sum(channel[index] for index in solid) / max(1, len(solid)) for channel in (red, green, blue)]
    h.check("red above all", means[0] > 1.6 * means[1] and means[0] > 1.6 * means[2] and means[0] > 110, means)
    soft = sum(8 < value < 247 for value in alpha)
    h.check("soft edges", soft > SIDE // 4, soft)
    h.check("edges, not a haze", soft < 0.25 * SIDE**2, soft / SIDE**2)
    corners = [alpha[y * SIDE + x] for y in (0, SIDE - 1) for x in (0, SIDE - 1)]
    h.check("transparent corners", corners == [0, 0, 0, 0], corners)
    corner = bytes(document.pixelData(0, 0, 1, 1))
    h.check("the canvas is untouched there", corner == b"\xff" * 4, list(corner))


def undo(h, document, before):
    after = state(document)
    h.check("one undo step", history(h) == ["Add Layer"], history(h))
    yield from step(h, document, "undo")
    h.check("undo brings the document back exactly", state(document) == before, names(document))
    yield from step(h, document, "redo")
    h.check("redo brings the layer back exactly", state(document) == after, names(document))


def previews(h, d, document):
    """From the second job of a model on its card shows what comes into being."""
    yield from d.enter("steps", 20)
    for _ in range(TRIES):
        yield from d.start("a red apple")
        [job] = d.session.unfinished
        seen = []
        yield h.until(lambda job=job, seen=seen: watched(job, seen) or not job.unfinished, 200, "three previews")
        if len(seen) >= PREVIEWS:
            break
        yield h.until(lambda: len(nodes(document)) == 3, 200, "the second layer")
        yield d.ready()
        yield from step(h, document, "undo")
    h.check("three previews", len(seen) >= PREVIEWS, len(seen))
    yield h.until(lambda: middle(d).alpha() == 255, 10, "a picture in the card of the job")
    colour = middle(d)
    h.check("and it is the apple", colour.red() > 1.5 * max(colour.green(), colour.blue()), colour.getRgb())
    yield h.screenshot("previews")
    yield h.until(lambda: len(nodes(document)) == 3, 200, "the second layer")
    yield d.ready()
    yield from step(h, document, "undo")


def watched(job, seen):
    if job.thumbnail is not None and job.thumbnail not in seen:
        seen.append(job.thumbnail)
    return len(seen) >= PREVIEWS


def middle(d):
    """The colour in the middle of the first card; an empty frame has none."""
    cards = d.find("results")
    image = cards.item(0).icon().pixmap(cards.iconSize()).toImage()
    return image.pixelColor(image.width() // 2, image.height() // 2)


def worker_killed(h, d, document):
    yield from d.enter("steps", 100)
    yield from d.start("a green apple")
    yield h.until(lambda: d.find("progress").text().startswith("Denoising"), 100, "the denoising")
    os.kill(worker_of(backend()), signal.SIGKILL)
    yield h.until(d.error, 30, "the error")
    h.check("says that the process ended", "ended" in d.error() and "Generate again" in d.error(), d.error())
    h.check("nothing was inserted", len(nodes(document)) == 2, names(document))
    yield from d.enter("steps", 4)
    yield from d.made(document, "a green apple")
    h.check("the next job works", names(document)[-1] == "a green apple", names(document))
    h.check("and the error is gone", d.error() == "", d.error())


def backend_killed(h, d, document):
    """A new one does what the old one was at, after the docker has connected to it."""
    first = backend()
    worker = worker_of(first)
    yield from d.enter("steps", 8)
    yield from d.start("a ghost")
    yield h.until(lambda: d.find("progress").text().startswith("Denoising"), 100, "the denoising")
    os.kill(first, signal.SIGKILL)
    yield h.until(lambda: d.session.link.name != "READY", 20, "the end of the connection")
    yield h.until(lambda: len(nodes(document)) == 4 or d.error(), 300, "the layer of the new backend")
    h.check("no error after the end of the backend", d.error() == "", d.error())
    h.check("the job is done", names(document)[-1] == "a ghost", names(document))
    h.check("by another backend", backend() != first)
    yield h.until(lambda: not running(worker), 20, "the end of the old worker")
    yield d.ready()
