"""Driver: SDXL layers at the first start; after a restart the download is offered again, ends, and can be removed."""

from models import row
from vocabulary import Docker


def run(h):
    h.new_document(128, 128)
    yield 0.5
    d = Docker(h)
    yield from d.press("first_layers")
    yield h.until(lambda: d.find("models_view").isVisible(), 5, "the window")
    yield d.ready()
    yield h.until(lambda: "not come whole" in d.find("install_note").text(), 5, "the offer to go on")
    yield h.screenshot("offered_again")
    yield h.until(lambda: row(d, 1) == ["2.0 GB", "1.0 GB are here"], 5, "what came before")
    yield h.until(lambda: d.find("models_view").chosen == "sdxl-layers", 5, "the bundle that lacks no checkpoint")
    yield h.click(d.find("models_install"))
    yield h.until(lambda: row(d, 1)[1] == "installed", 20, "the whole bundle")
    h.check("nothing more to install", not d.find("models_install").isEnabled())
    h.check("nor to say", not d.find("install_note").isVisible())
    yield h.click(d.find("models_remove"))
    yield h.until(lambda: question(d) is not None, 5, "the question")
    yield 0.3
    yield h.screenshot("remove")
    h.check("it says how much", "Delete 2 files, 2.0 GB?" in question(d).text(), question(d).text())
    yield h.click(question(d).buttons()[0])
    yield h.until(lambda: row(d, 1)[1] == "not here", 5, "the removed bundle")
    h.check("what another program has stays", row(d, 0, 2)[1] == "found", row(d, 0, 2))


def question(d):
    from harness_driver.qt import QtWidgets

    return d.find("models_view").findChild(QtWidgets.QMessageBox, "models_question")
