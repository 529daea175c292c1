"""Driver: the plugin as the installer left it, from the first start to the first layer, and what can be installed."""

from vocabulary import Docker, nodes


def run(h):
    document = h.new_document(256, 256)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield h.click(d.find("first_builtin"))
    yield h.until(lambda: len(nodes(document)) == 2 or d.error(), 300, "the layer or an error")
    h.check("no error", d.error() == "", d.error())
    yield d.ready()
    yield h.screenshot("first_layer")
    group = nodes(document)[-1]
    h.check("a group with a layer", [node.type() for node in group.childNodes()] == ["paintlayer"], group.name())
    d.find("fields").ensureWidgetVisible(d.find("models"))
    yield 0.3
    yield h.click(d.find("models"))
    models = d.find("models_list")
    yield h.until(lambda: models.topLevelItemCount() > 0, 30, "the list of models")
    yield h.screenshot("models")
    bundles = [models.topLevelItem(number).text(0) for number in range(models.topLevelItemCount())]
    h.check("bundles of both families", {"SD", "St"} <= {words[:2] for words in bundles}, bundles)
