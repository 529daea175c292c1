"""Driver: the docker with the stand-in, from the first look to the last error."""

from pathlib import Path

from vocabulary import Docker, layers, nodes, pixel, state


def run(h):
    document = h.new_document(640, 480)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield h.screenshot("docker")
    before = state(document)
    yield from d.generate("a red apple")
    yield h.screenshot("generating")
    yield h.until(lambda: len(layers(document)) == 2, 30, "the layer")
    yield 0.5
    yield h.screenshot("inserted")
    h.record("state", [before[0][0][:2], layers(document)])
