"""Driver: the plugin as the installer left it, from its docker to the first layer."""

from vocabulary import Docker, nodes


def run(h):
    document = h.new_document(256, 256)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from d.type_and_generate("a red apple")
    yield h.until(lambda: len(nodes(document)) == 2 or d.error(), 300, "the layer or an error")
    h.check("no error", d.error() == "", d.error())
    yield d.ready()
    yield h.screenshot("first_layer")
    group = nodes(document)[-1]
    h.check("a group with a layer", [node.type() for node in group.childNodes()] == ["paintlayer"], group.name())
