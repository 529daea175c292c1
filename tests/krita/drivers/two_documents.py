"""Driver: jobs of two documents at the same time, each result in its own document and history; with the stand-in."""

from pathlib import Path

from vocabulary import Docker, names, nodes


def run(h):
    gate = Path(h.args["root"]) / "gate"
    first = h.new_document(160, 128, "first")
    second = h.new_document(128, 160, "second")
    yield 1
    d = Docker(h)
    yield d.ready()
    yield from both_running(h, d, first, second)
    h.check("nothing yet", [names(first), names(second)] == [["Background"]] * 2, (names(first), names(second)))
    gate.touch()
    yield h.until(lambda: len(nodes(first)) == len(nodes(second)) == 2, 30, "a layer in each")
    yield d.ready()
    for document, view, prompt in ((first, 0, "held pear"), (second, 1, "held plum")):
        h.check("its own result", names(document)[-1] == prompt, names(document))
        yield from front(h, document, view)
        yield h.until(lambda prompt=prompt: prompts(d) == [prompt], 10, f"the history of {prompt!r}, not {prompts(d)}")
        middle = nodes(document)[-1].childNodes()[0].bounds().center()
        off = abs(middle.x() - document.width() / 2), abs(middle.y() - document.height() / 2)
        h.check("in the middle of its document", max(off) <= 3, off)
    gate.unlink()
    yield from both_running(h, d, first, second)
    second.setModified(False)
    second.close()
    gate.touch()
    yield h.until(lambda: len(nodes(first)) == 3, 30, "the layer of the document that is still open")
    yield h.until(lambda: d.stages() == ["KEPT"], 30, "the kept result of the closed one")
    yield h.until(lambda: prompts(d) == ["held pear"] * 2, 10, f"the history of the open one, not {prompts(d)}")
    yield h.click(d.find("kept_close"))
    yield d.ready()


def both_running(h, d, first, second):
    """One job of each document, both in their middle; the second one's document is left in front."""
    for document, view, prompt in ((first, 0, "held pear"), (second, 1, "held plum")):
        yield from front(h, document, view)
        d.start(prompt)
        yield h.until(lambda view=view: d.stages() == ["RUNNING"] * (view + 1), 30, f"a job that runs: {prompt}")


def front(h, document, view):
    """Bring a document to the front, and wait until the docker has seen it."""
    h.krita.activeWindow().views()[view].setVisible()
    yield h.until(lambda: h.krita.activeDocument() == document, 10, "the document in front")
    yield 0.7


def prompts(d):
    return [card.request.prompt for card in d.find("results").cards]
