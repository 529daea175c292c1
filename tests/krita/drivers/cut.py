"""Driver: the connection to the real backend breaks in the middle of a result."""

from pathlib import Path

from vocabulary import Docker, box, nodes


def run(h):
    document = h.new_document(1024, 1024)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from d.enter("steps", 4)
    yield from d.start("a red apple")
    yield h.until(lambda: len(nodes(document)) > 1 or d.error(), 200, "the layer or an error")
    h.check("no error", d.error() == "", d.error())
    yield d.ready()
    h.check("the connection was cut", (Path(h.args["root"]) / "cuts").exists())
    h.check("the layer came once", len(nodes(document)) == 2, len(nodes(document)))
    x, y, width, height = box(nodes(document)[-1])
    h.check("and whole", width > 100 and height > 100, (x, y, width, height))
