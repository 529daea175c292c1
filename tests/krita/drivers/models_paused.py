"""Driver: a download waits, goes on, is cancelled, begun again, and Krita ends in the middle of it.

`args["models"]` is the models' folder. The hub sends the rest of what it began when the door is opened, `paused` or
`cancelled` in `args["doors"]`.
"""

from pathlib import Path

from models import choose, label, opened, row, words
from models_again import question


def run(h):
    d = yield from opened(h)
    yield h.until(lambda: row(d, 0)[1:] == ["not here"], 20, "the list")
    yield from choose(d, 0)
    yield from install(h, d)
    yield h.until(lambda: len(begun(h)) == 2, 30, "the beginning of both files")
    yield from paused(h, d)
    yield h.click(d.find("models_remove"))
    yield h.until(lambda: question(d) is not None, 5, "the question")
    yield 0.3
    yield h.click(question(d).buttons()[0])
    yield h.until(lambda: row(d, 0)[1] == "not here", 10, "the removed bundle")
    yield from install(h, d)
    yield h.until(lambda: len(begun(h)) == 2, 30, "the beginning of both files again")
    yield from cancelled(h, d)
    yield from install(h, d)


def install(h, d):
    """Press the button, until the window has the room that the download takes."""
    yield h.until(lambda: d.find("models_install").isEnabled(), 10, "the button")
    yield h.click(d.find("models_install"))
    yield h.until(lambda: d.find("models_bar").isVisible(), 20, "the download")
    yield 0.5


def paused(h, d):
    """What is sent is not taken, and then all of it is."""
    yield h.click(d.find("models_pause"))
    yield h.until(lambda: words(d).endswith("paused"), 10, "the pause")
    open_door(h, "paused")
    yield 1.0
    h.check("neither came meanwhile", len(begun(h)) == 2 and words(d).endswith("paused"), words(d))
    h.check("the docker says that it waits", d.find("install_note").text().endswith("paused"))
    yield h.screenshot("paused")
    yield h.click(d.find("models_pause"))
    yield h.until(lambda: row(d, 0)[1] == "installed", 30, "the files")


def cancelled(h, d):
    """What came is kept, and the docker says nothing of it any more."""
    # While it waits it takes nothing of what is sent: it cannot be whole before it is cancelled.
    yield h.click(d.find("models_pause"))
    yield h.until(lambda: words(d).endswith("paused"), 10, "another pause")
    open_door(h, "cancelled")
    yield h.click(d.find("models_cancel"))
    yield h.until(lambda: not d.find("models_bar").isVisible(), 30, "the end of the download")
    yield h.until(lambda: row(d, 0)[1].endswith("are here"), 10, "what came")
    h.check("it can go on", label(d, "models_install") == "Go on installing", label(d, "models_install"))
    h.check("it is not asked for any more", not d.find("install_note").isVisible(), d.find("install_note").text())
    h.check("a person's own wish is no error", d.error() == "", d.error())


def begun(h):
    """The files that have not come whole."""
    return list((Path(h.args["models"]) / "layers").glob("*.part"))


def open_door(h, name):
    (Path(h.args["doors"]) / name).write_text("")
