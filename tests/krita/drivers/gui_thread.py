"""Driver: a session in a document of a given size, with every stretch that the plugin holds the GUI thread timed."""

import secrets
from pathlib import Path

from blocks import Blocks
from vocabulary import Docker, nodes, paint

PREFIX = "layer_diffusion_result_"
SMALL = 60
"""Small results in the history, beside the large ones."""
LARGE_BYTES = 32 * 1024**2
"""That these take together at least."""


def run(h):
    side = h.args["side"]
    document = h.new_document(side, side)
    for number in range(4):
        paint(document, f"layer {number}", (40 * number, 90, 160, 200), side // 8 * number, 0, side // 2, side // 2)
    document.refreshProjection()
    document.waitForDone()
    yield 1
    d = Docker(h)
    yield d.ready()
    yield from d.pick("model", "other")
    d.find("live_preview").setChecked(True)
    yield 1
    blocks = Blocks()
    blocks.start()
    yield from session(h, d, document, blocks)
    blocks.stop()
    for (phase, name), (seconds, own) in blocks.longest.items():
        h.record(f"{phase}\t{name}", [round(1000 * seconds, 1), round(1000 * own, 1)])


def session(h, d, document, blocks):
    """What a person does; the results are made by the stand-in."""
    before = len(nodes(document))
    blocks.phase = "typing"
    yield from d.type_and_generate("noisy scene with an apple")
    blocks.phase = "previews, result, insertion"
    yield h.until(lambda: len(nodes(document)) == before + 1, 90, "the layers")
    yield d.ready()
    blocks.phase = "after the result"
    yield 2
    blocks.phase = "another active layer"
    for node in nodes(document)[:3]:
        document.setActiveNode(node)
        yield 0.7
    blocks.phase = "selection"
    yield h.click(d.find("results").viewport(), at=(50, 50))
    yield 1
    blocks.phase = "card on the canvas"
    yield h.key("Escape")
    yield 0.5
    yield h.click(d.find("results").viewport(), at=(50, 50))
    yield 1
    blocks.phase = "card inserted"
    yield h.click(d.find("card_apply"))
    yield h.until(lambda: len(nodes(document)) == before + 2, 60, "the layers of the card")
    yield 1
    blocks.phase = "undo"
    h.krita.action("edit_undo").trigger()
    document.waitForDone()
    yield 1
    blocks.phase = "layers as condition"
    document.setActiveNode(nodes(document)[1])
    yield from d.pick("operation", "refine")
    yield 1
    yield h.click(d.find("generate"))
    yield h.until(lambda: d.session.jobs or d.error(), 60, "a request")
    h.check("no error", not d.error(), d.error())
    yield d.ready()
    yield from pickers(h, d, document, blocks)
    yield from reblending(h, d, document, blocks)
    yield from queue(h, d, blocks)
    yield from history(h, d, document, blocks)


def pickers(h, d, document, blocks):
    """What they follow, while another layer becomes active and is painted on."""
    yield from d.pick("model", "all")
    yield from d.pick("operation", "object_on_background")
    h.krita.action("select_visible_layers").trigger()
    for choice in ("below", "visible", "selected"):
        blocks.phase = f"picker: {choice}"
        d.dock.panel.pickers["background"].want(choice)
        yield 1.5
        document.setActiveNode(nodes(document)[3])
        nodes(document)[1].setPixelData(bytes((1, 2, 3, 255)) * 400, 0, 0, 20, 20)
        document.refreshProjection()
        document.waitForDone()
        yield 1.5


def reblending(h, d, document, blocks):
    """The blend of layers as they are, which is shown, hidden and shown again."""
    yield from d.pick("operation", "reblend")
    document.setActiveNode(nodes(document)[-1])
    yield 1
    newest = newest_of(d)
    blocks.phase = "re-blend"
    yield h.click(d.find("generate"))
    yield h.until(lambda: d.session.jobs or d.error(), 60, "a request")
    h.check("no error", not d.error(), d.error())
    yield d.ready()
    yield h.until(lambda: newest_of(d) != newest, 30, "the blend")
    yield 1
    blocks.phase = "compare"
    for _ in range(2):
        yield h.click(d.find("compare"))
        yield 1


def queue(h, d, blocks):
    """A list of jobs that is looked at while they run."""
    yield from d.pick("operation", "object")
    yield from d.tick("apply_at_once", False)
    yield from d.size("own", 256, 256)
    blocks.phase = "queue popup"
    for number in range(8):
        yield from d.start(f"apple {number} in line")
    yield h.click(d.find("queue"))
    yield h.until(lambda: not d.session.jobs, 120, "the end of the queue")
    yield d.ready()


def history(h, d, document, blocks):
    """A history as people have it, which comes back with its document, and what is done with it then."""
    blocks.phase = "large results"
    yield from d.size("own", 1024, 1024)
    while sum(map(len, records(document).values())) < LARGE_BYTES:
        newest = newest_of(d)
        yield from d.start("noisy scene")
        yield h.until(lambda newest=newest: newest_of(d) != newest, 60, "another result")
        yield d.ready()
    blocks.phase = "favourite"
    d.find("results").setCurrentRow(0)
    yield 0.5
    yield h.click(d.find("card_favourite"))
    yield 1
    yield from d.size("own", 512, 512)
    yield from d.start("noisy apple")
    yield d.ready()
    blocks.phase = ""
    card = d.find("results").cards[0]
    small = records(document)[card.id]
    for _ in range(SMALL):
        job = secrets.token_hex(16)
        document.setAnnotation(f"{PREFIX}{job}-0", "", small.replace(card.job.encode(), job.encode()))
    kept = records(document)
    h.record("history", [len(kept), sum(map(len, kept.values()))])
    blocks.phase = "file saved"
    path = Path(h.args["folder"]) / f"{document.width()}.kra"
    document.setBatchmode(True)
    h.check("saved", document.saveAs(str(path)))
    yield 1
    blocks.phase = "file closed"
    document.close()
    yield 1
    blocks.phase = "file opened"
    again = h.krita.openDocument(str(path))
    h.krita.activeWindow().addView(again)
    yield h.until(lambda: d.find("results").count() == len(kept), 30, "the history from the file")
    yield 2
    blocks.phase = "favourite in a long history"
    d.find("results").setCurrentRow(0)
    yield 0.5
    yield h.click(d.find("card_favourite"))
    yield 1
    blocks.phase = "large card on the canvas"
    large = max(range(len(kept)), key=lambda row: len(kept[d.find("results").cards[row].id]))
    d.find("results").setCurrentRow(large)
    h.krita.action("layer_diffusion_preview_result").trigger()
    yield 3
    blocks.phase = "result in a long history"
    yield from d.start("noisy scene")
    yield h.until(lambda: d.session.jobs, 10, "a job")
    yield d.ready()
    yield 1


def newest_of(d):
    """The id of the newest card: their number stays the same where the oldest had to go."""
    return d.find("results").cards[0].id


def records(document):
    """The records of the history, by the ids of their cards."""
    kinds = [kind for kind in document.annotationTypes() if kind.startswith(PREFIX)]
    return {kind[len(PREFIX) :]: bytes(document.annotation(kind)) for kind in kinds}
