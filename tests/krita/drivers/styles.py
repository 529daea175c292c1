"""Driver: a style is saved, used, changed under the name of one of the plugin's, and deleted; with the stand-in."""

from cards import requests
from vocabulary import Docker, nodes


def run(h):
    document = h.new_document(128, 128)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from d.press("style_edit")
    yield h.until(d.find("style_name").isVisible, 5, "the editor")
    yield from saved(h, d, document)
    yield from changed(h, d)
    h.check("no error", d.error() == "", d.error())


def saved(h, d, document):
    """The typed texts with the fields as they are, which the request carries."""
    yield from d.enter("style_name", "Ink")
    yield from d.enter("style_prompt", "ink")
    h.check("a prompt without its place cannot be saved", not d.find("style_save").isEnabled())
    yield from d.enter("style_prompt", "ink of {prompt}, fine")
    yield from d.enter("steps", 13)
    yield h.screenshot("editor")
    yield from d.press("style_save")
    yield h.until(lambda: d.find("style").currentData() == "Ink", 5, "the new style in the list")
    yield from d.enter("steps", 20)
    yield from d.pick("style", "")
    yield from d.pick("style", "Ink")
    h.check("its steps come back", d.find("steps").value() == 13, d.find("steps").value())
    yield from d.made(document, "a boat")
    asked = requests(h)[-1]
    h.check("its frame is around the prompt", asked["prompt"] == "ink of a boat, fine", asked["prompt"])
    group = nodes(document)[-1]
    h.check("the group is named as typed", group.name() == "a boat", group.name())
    named = [layer.name() for layer in group.childNodes()]
    h.check("and its layer, with what it is", named == ["Foreground: a boat"], named)


def changed(h, d):
    """One of the plugin's own under its name, and what it was after Delete."""
    shipped = d.find("style").itemData(1)
    yield from d.pick("style", shipped)
    before, words = d.find("steps").value(), d.find("style_prompt").text()
    h.check("what came with the plugin cannot be deleted", not d.find("style_delete").isEnabled())
    yield from d.enter("style_prompt", "{prompt}, mine")
    yield from d.enter("steps", before + 5)
    yield from d.press("style_save")
    yield h.until(d.find("style_delete").isEnabled, 5, "the changed style")
    names = [d.find("style").itemData(row) for row in range(d.find("style").count())]
    h.check("it is there once, in its place", names.index(shipped) == 1 and names.count(shipped) == 1, names)
    yield from d.press("style_delete")
    yield h.until(lambda: d.find("style_prompt").text() == words, 5, "the words that it came with")
    yield from d.pick("style", "")
    yield from d.pick("style", shipped)
    h.check("and its steps", d.find("steps").value() == before, d.find("steps").value())
