"""Driver: what was on its way when the last Krita ended comes without a click."""

from models import opened, row


def run(h):
    d = yield from opened(h)
    yield h.until(lambda: row(d, 0)[1:] == ["installed"], 60, "all of it")
    h.check("nothing more is said", not d.find("install_note").isVisible(), d.find("install_note").text())
    h.check("without an error", d.error() == "", d.error())
