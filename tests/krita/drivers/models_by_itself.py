"""Driver: what was on its way when the last Krita ended comes without a click."""

from models import row
from vocabulary import Docker


def run(h):
    h.new_document(128, 128)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    d.find("fields").ensureWidgetVisible(d.find("models"))
    yield 0.3
    yield h.click(d.find("models"))
    yield h.until(lambda: d.find("models_view").isVisible(), 5, "the window")
    yield h.until(lambda: row(d, 0)[1:] == ["installed"], 60, "all of it")
    h.check("nothing more is said", not d.find("install_note").isVisible(), d.find("install_note").text())
    h.check("without an error", d.error() == "", d.error())
