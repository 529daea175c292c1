"""Driver: how the docker looks, dark, light and narrow, with each operation, while it runs and with an error.

With the real backend and the built-in model. The folder `args["folder"]` gets the pictures of the plugin's README.
"""

import re
from dataclasses import replace
from pathlib import Path

from fitting import cut_off, outside
from vocabulary import Docker, paint, through_menus

WIDE, NARROW = (330, 880), (250, 880)
FRAME = 40
"""Left of a low screen, below which nothing could be clicked on."""
DARK, LIGHT = "Krita dark", "Krita bright"
COLUMNS, GAP = 3, 12
TRIES = 5
"""Jobs until one is seen in its middle."""


def run(h):
    document = h.new_document(512, 512)
    paint(document, "meadow", (96, 150, 70, 255), 0, 300, 512, 212)
    document.setActiveNode(paint(document, "apple", (200, 50, 40, 255), 180, 180, 150, 150))
    yield 0.5
    d = Docker(h)
    yield d.ready()
    d.dock.setFloating(True)
    yield from sized(d, WIDE)
    shown = d.find("results_view")
    h.check("without results their head line is on top", shown.live.y() < shown.live.height(), shown.live.geometry())
    yield from results(h, d)
    below = shown.height() - shown.buttons.geometry().bottom()
    h.check("the results reach down to the edge", below < shown.live.height(), below)
    for name in (DARK, LIGHT):
        yield from themed(h, d, name)
        shot(h, d, name.split()[1])
    light = d.find("status").styleSheet()
    yield from themed(h, d, DARK)
    dark = d.find("status").styleSheet()
    h.check("side notes follow the theme at once", dark != light, (dark, light))
    yield from running(h, d, "docker")
    shown = yield from operations(h, d)
    side_by_side(shown).save(str(Path(h.args["folder"]) / "operations.png"))
    yield from failed(h, d)
    yield from narrow(h, d)
    yield from d.pick("model", "builtin")
    yield from d.pick("operation", "object")
    yield 0.6
    yield from running(h, d, "narrow")


def sized(d, size):
    d.dock.resize(*size)
    yield 0.4


def shot(h, d, name):
    """Save the docker as a picture."""
    d.dock.panel.grab().save(str(Path(h.args["folder"]) / f"{name}.png"))


def themed(h, d, name):
    """Switch the theme by Settings > Themes."""

    def is_light():
        return d.dock.palette().color(d.dock.backgroundRole()).lightness() > 128

    yield from through_menus(h, h.main_window().menuBar(), "Settings", "Themes", name)
    yield h.until(lambda: is_light() is (name == LIGHT), 10, f"the docker as {name}")
    yield 0.3


def results(h, d):
    for prompt in ("a candle", "a tropical fish", "a butterfly", "a teapot", "a green apple", "a red apple"):
        yield from d.made(h.krita.activeDocument(), prompt)
    yield from d.enter("prompt", "a red apple, (glossy:1.2), on a table")
    yield 0.3
    said, last = d.find("seed").placeholderText(), d.find("results").cards[0].request.seed
    h.check("says that the seed is random, and the last one", said == f"Random, last {last}", (said, last))


def running(h, d, name):
    """A job that can be seen coming into being, and one that waits."""
    place = on_screen(h, d)
    for _ in range(TRIES):
        yield from d.enter("batch", 4)  # takes long enough to be seen
        yield from d.start("a red balloon")
        first = d.session.unfinished[0]
        yield from d.enter("batch", 1)
        yield from d.start("a green apple")
        yield h.until(lambda job=first: is_shown(job) or not job.unfinished, 120, "a job in its middle, or its end")
        if first.unfinished:
            break
        yield d.ready()
    h.check(f"{name}: a job in its middle with a preview", first.unfinished, first)
    yield 0.3
    shot(h, d, name)
    h.check(f"{name}: Generate stays under the mouse", on_screen(h, d) == place, (place, on_screen(h, d)))
    h.check(f"{name}: while it runs, nothing is cut off", not cut_off(d), cut_off(d))
    yield d.ready()


def is_shown(job):
    """Whether it is in its middle and has a preview; on a busy machine one may have no time for any."""
    return job.thumbnail and job.fraction > 0.4


def on_screen(h, d):
    return h.screen_position(d.find("generate"))


def failed(h, d):
    """What the backend says of a model that it does not have."""
    yield from d.pick("operation", "object")
    yield 0.5
    place = on_screen(h, d)
    yield from d.start("a red apple")
    yield h.until(d.error, 20, "the error")
    yield 0.3
    h.check("with an error, Generate stays under the mouse", on_screen(h, d) == place, (place, on_screen(h, d)))
    h.check("says where it can be mended", d.find("error_fix").text() == "Models…", d.find("error_fix").text())
    # Of the machine that takes the picture nobody wants to know where its models are.
    text = d.find("error_text")
    text.setText(re.sub(r"\S*layer-diffusion/models", "~/.local/share/layer-diffusion/models", text.text()))
    yield 0.3
    shot(h, d, "error")
    yield h.click(d.find("error_fix"))
    yield h.until(d.find("models_view").isVisible, 10, "the window of the models")
    d.find("models_view").close()
    yield from d.press("error_close")


def operations(h, d):
    """Each one as it looks with a model that can do all of them; return the pictures."""
    from layer_diffusion.protocol.request import Operation

    yield from d.enter("prompt", "a red apple, (glossy:1.2), on a table")
    known = d.session.models
    sdxl = {"id": "sdxl", "name": "SDXL", "family": "sdxl", "note": "", "objects": ()}
    d.session.models = (*known, replace(known[0], operations=tuple(Operation), **sdxl))
    d.session.dismiss()
    selector, shown = d.find("operation"), []
    yield from d.pick("model", "sdxl")
    h.check("with the style of its family", d.find("style").currentData() == "SDXL", d.find("style").currentData())
    for index in range(selector.count()):
        yield from d.pick("operation", selector.itemData(index))
        yield 0.6
        name = selector.currentData()
        h.check(f"{name} is possible", not d.dock.panel.operation.reason)
        h.check(f"{name}: nothing is cut off", not cut_off(d), cut_off(d))
        shown.append(d.find("fields").widget().grab())
    return shown


def side_by_side(pictures):
    """One picture of several, in rows that are as high as their highest."""
    from harness_driver.qt import QtCore, QtGui

    rows = [pictures[start : start + COLUMNS] for start in range(0, len(pictures), COLUMNS)]
    heights = [max(picture.height() for picture in row) for row in rows]
    width = pictures[0].width()
    whole = QtGui.QPixmap(GAP + COLUMNS * (width + GAP), GAP + sum(heights) + GAP * len(rows))
    whole.fill(QtGui.QColor(36, 36, 36))
    painter, top = QtGui.QPainter(whole), GAP
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            painter.drawPixmap(QtCore.QPoint(GAP + column * (width + GAP), top), picture)
        top += height + GAP
    painter.end()
    return whole


def narrow(h, d):
    """Nothing is cut off or out of reach at 250 pixels, whatever is shown."""
    from layer_diffusion.jobs import PHASES
    from layer_diffusion.translation import tr

    panel, selector = d.dock.panel, d.find("operation")
    yield from d.tick("advanced", True)
    yield from sized(d, NARROW)
    h.check("as narrow as asked for", d.dock.width() <= NARROW[0], d.dock.width())
    for index in range(selector.count()):
        yield from d.pick("operation", selector.itemData(index))
        yield 0.3
        name = f"narrow, {selector.currentData()}"
        h.check(f"{name}: nothing reaches beyond the edge", not outside(panel), outside(panel))
        h.check(f"{name}: nothing is cut off", not cut_off(d), cut_off(d))
    yield from d.pick("operation", "object")
    yield from d.start(" ")  # an empty prompt
    yield h.until(d.error, 20, "the error")
    yield 0.3
    h.check("narrow, with an error: nothing is cut off", not cut_off(d), cut_off(d))
    width, height = NARROW
    yield from sized(d, (width, min(height, d.dock.screen().availableGeometry().height() - FRAME)))
    yield from d.press("error_close")
    yield h.until(lambda: not d.error(), 20, "no error any more")
    yield 0.3  # for what moves up into its room
    more = f"{tr('{seconds} s left', seconds=12)} · {tr('{count} more', count=3)}"
    for words in PHASES.values():
        panel.show_progress(f"{tr(words)} 8/8 · {more}", 0.5)
        h.check(f"narrow: “{tr(words)}” is whole", not cut_off(d), cut_off(d))
    panel.show_status(tr(d.session.link.value))
    yield from d.tick("advanced", False)
