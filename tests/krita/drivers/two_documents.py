"""Driver: jobs of two documents at the same time, each result in its own document and history; with the stand-in."""

from pathlib import Path

from vocabulary import Docker, close, front, names, nodes, state, step


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
    yield from below_the_bottom(h, d, first, second, gate)
    yield from both_running(h, d, first, second)
    yield from close(h, second)
    gate.touch()
    yield h.until(lambda: len(nodes(first)) == 3, 30, "the layer of the document that is still open")
    yield h.until(lambda: d.stages() == ["KEPT"], 30, "the kept result of the closed one")
    left = ["held pear", "held low", "held pear"]
    yield h.until(lambda: prompts(d) == left, 10, f"the history of the open one, not {prompts(d)}")
    yield h.click(d.find("kept_close"))
    yield d.ready()


def below_the_bottom(h, d, first, second, gate):
    """A result for a document that is not in front goes below its bottom layer as soon as it is."""
    yield from front(h, first, 0)
    bottom = nodes(first)[0]
    first.setActiveNode(bottom)
    yield 0.5
    before = state(first)
    yield from d.pick("place", "below")
    yield from d.start("held low")
    yield h.until(lambda: d.stages() == ["RUNNING"], 30, "a job that runs")
    yield from front(h, second, 1)
    gate.touch()
    yield h.until(lambda: "held low" in names(first), 30, f"the result, not {names(first)}")
    yield d.ready()
    gate.unlink()
    yield from front(h, first, 0)
    wanted = ["held low", "Background", "held pear"]
    yield h.until(lambda: names(first) == wanted, 10, f"the result below all others, not {names(first)}")
    yield 0.5
    h.check("the active layer stayed", first.activeNode() == bottom, first.activeNode().name())
    after = state(first)
    yield from step(h, first, "undo")
    yield 0.5
    h.check("one undo for all of it", state(first) == before, names(first))
    yield from step(h, first, "redo")
    yield 0.5
    h.check("one redo too", state(first) == after, names(first))
    yield from step(h, first, "undo")
    yield 0.5
    yield from d.pick("place", "top")


def both_running(h, d, first, second):
    """One job of each document, both in their middle; the second one's document is left in front."""
    for document, view, prompt in ((first, 0, "held pear"), (second, 1, "held plum")):
        yield from front(h, document, view)
        yield from d.start(prompt)
        yield h.until(lambda view=view: d.stages() == ["RUNNING"] * (view + 1), 30, f"a job that runs: {prompt}")


def prompts(d):
    return [card.request.prompt for card in d.find("results").cards]
