"""Driver: results as cards: shown, inserted, made again, saved, and back with the document."""


from vocabulary import Docker, names, state


def run(h):
    document = h.new_document(320, 240)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from without_inserting(h, d, document)


def without_inserting(h, d, document):
    """A click shows a result on the canvas, a double-click puts it into the document."""
    before = state(document)
    yield h.click(d.find("apply_at_once"), at=(8, 8))
    yield h.until(lambda: not d.find("apply_at_once").isChecked(), 5, "the unchecked box")
    yield from d.type_and_generate("a red apple")
    cards = d.find("results")
    yield h.until(lambda: cards.count() == 1, 30, "the card")
    yield d.ready()
    h.check("nothing was inserted", state(document) == before, names(document))
    yield h.screenshot("card")
    yield h.click(cards.viewport(), at=(40, 40))
    yield h.until(lambda: preview(h) is not None, 5, "the preview")
    yield 0.5
    yield h.screenshot("preview")
    h.check("the document is as it was", state(document) == before, names(document))


def preview(h):
    """The sheet over the canvas, if it is shown."""
    from harness_driver.qt import QtWidgets

    sheets = h.main_window().findChildren(QtWidgets.QWidget, "layer_diffusion_preview")
    return next((sheet for sheet in sheets if sheet.isVisible()), None)
