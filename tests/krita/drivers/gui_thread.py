"""Driver: a session in a document of a given size, with every stretch that the plugin holds the GUI thread timed."""

from pathlib import Path

from blocks import Blocks
from vocabulary import Docker, nodes, paint


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
    d.find("model").setCurrentIndex(d.find("model").findData("other"))
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
    yield from d.type_and_generate("scene with an apple")
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
    d.dock.panel.operation.choose("refine")
    yield 1
    yield h.click(d.find("generate"))
    yield h.until(lambda: d.session.jobs or d.error(), 60, "a request")
    h.check("no error", not d.error(), d.error())
    yield d.ready()
    blocks.phase = "file saved"
    path = Path(h.args["folder"]) / f"{document.width()}.kra"
    document.setBatchmode(True)
    h.check("saved", document.saveAs(str(path)))
    yield 1
    blocks.phase = "file closed and opened"
    document.close()
    yield 1
    again = h.krita.openDocument(str(path))
    h.krita.activeWindow().addView(again)
    yield h.until(lambda: d.find("results").count() >= 1, 20, "the history from the file")
    yield 1
