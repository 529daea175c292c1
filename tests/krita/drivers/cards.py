"""What the driver scripts say of the history of results: its cards, their menu and what is shown of them."""

import json
from pathlib import Path

from vocabulary import at_rest, through_menus


def cards(d):
    """The cards of the document in front."""
    return list(d.find("results").cards)


def card(d, index):
    return cards(d)[index]


def count(d):
    """How many cards are shown, without the jobs that are going on."""
    return d.find("results").count() if not d.session.unfinished else -1


def click(h, d, index, double=False, button=1):
    """A click on a card, once the docker's layout is at rest: a document's fields may just have come in above it."""
    view = d.find("results")

    def where():
        view.scrollToItem(view.item(index))
        centre = view.visualItemRect(view.item(index)).center()
        on_screen = view.viewport().mapToGlobal(centre)
        return centre.x(), centre.y(), on_screen.x(), on_screen.y()

    place = yield from at_rest(h, where)
    yield h.click(view.viewport(), at=place[:2], double=double, button=button)


def choose_in_menu(h, d, index, name):
    """The context menu of a card, and an entry in it or in its submenu."""
    menu = d.find("card_menu")
    yield from click(h, d, index, button=3)
    yield h.until(menu.isVisible, 20, "the menu of the card")
    below = ("Use as condition",) if name.startswith("use_") else ()
    yield from through_menus(h, menu, *below, f"card_{name}")
    yield h.until(lambda: not menu.isVisible(), 20, "the closed menu")


def preview(h):
    """The sheet over the canvas, if it is shown."""
    from harness_driver.qt import QtWidgets

    sheets = h.main_window().findChildren(QtWidgets.QWidget, "layer_diffusion_preview")
    return next((sheet for sheet in sheets if sheet.isVisible()), None)


def requests(h):
    """What the stand-in was asked for, in order."""
    lines = (Path(h.args["root"]) / "requests").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["request"] for line in lines]
