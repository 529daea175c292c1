"""Driver: a style is saved, used, changed under the name of one of the plugin's, and deleted; with the stand-in."""

from results import requests
from vocabulary import Docker, nodes


def run(h):
    document = h.new_document(128, 128)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    d.find("fields").ensureWidgetVisible(d.find("style_edit"))
    yield 0.3
    yield h.click(d.find("style_edit"))
    yield h.until(d.find("style_name").isVisible, 5, "the editor")
    yield from saved(h, d, document)
    yield from changed(h, d)
    h.check("no error", d.error() == "", d.error())


def saved(h, d, document):
    """The typed texts with the fields as they are, which the request carries."""
    yield from typed(h, d, "style_name", "Ink")
    yield from typed(h, d, "style_prompt", "ink")
    h.check("a prompt without its place cannot be saved", not d.find("style_save").isEnabled())
    yield from typed(h, d, "style_prompt", "ink of {prompt}, fine")
    d.find("steps").setValue(13)
    yield h.screenshot("editor")
    yield from pressed(h, d, "style_save")
    yield h.until(lambda: d.find("style").currentData() == "Ink", 5, "the new style in the list")
    d.find("steps").setValue(20)
    choose(d, "")
    choose(d, "Ink")
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
    choose(d, shipped)
    before, words = d.find("steps").value(), d.find("style_prompt").text()
    h.check("what came with the plugin cannot be deleted", not d.find("style_delete").isEnabled())
    yield from typed(h, d, "style_prompt", "{prompt}, mine")
    d.find("steps").setValue(before + 5)
    yield from pressed(h, d, "style_save")
    yield h.until(d.find("style_delete").isEnabled, 5, "the changed style")
    names = [d.find("style").itemData(row) for row in range(d.find("style").count())]
    h.check("it is there once, in its place", names.index(shipped) == 1 and names.count(shipped) == 1, names)
    yield from pressed(h, d, "style_delete")
    yield h.until(lambda: d.find("style_prompt").text() == words, 5, "the words that it came with")
    choose(d, shipped)
    h.check("and its steps", d.find("steps").value() == before, d.find("steps").value())


def choose(d, name):
    box = d.find("style")
    box.setCurrentIndex(box.findData(name))
    box.activated.emit(box.currentIndex())


def typed(h, d, name, text):
    """Real keys into a line of the editor."""
    d.find("fields").ensureWidgetVisible(d.find(name))
    yield 0.2
    yield h.click(d.find(name))
    yield h.key("ctrl+a")
    yield h.type_text(text)
    yield h.until(lambda: d.find(name).text() == text, 5, f"{text!r} in {name}")


def pressed(h, d, name):
    d.find("fields").ensureWidgetVisible(d.find(name))
    yield 0.2
    yield h.click(d.find(name))
