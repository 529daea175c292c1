"""Driver: the first start, and the window of the models: install, pause, go on, cancel."""

from vocabulary import Docker, at_rest, nodes


def run(h):
    document = h.new_document(128, 128)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield h.screenshot("first_start")
    h.check("three ways", all(d.find(f"first_{way}").isVisible() for way in ("builtin", "layers", "remote")))
    style = d.find("style").currentData()
    h.check("the first model with its style, which nobody had to choose", style == "Built-in model", style)
    yield from d.press("first_builtin")
    yield h.until(lambda: len(nodes(document)) == 2 or d.error(), 60, "the first picture")
    h.check("without an error", d.error() == "", d.error())
    h.check("asked once", not d.find("first_start").isVisible())
    h.check("and remembered", h.krita.readSetting("layer_diffusion", "first_start", "") == "done")
    yield d.ready()
    yield from installing(h, d)
    yield from looked_after(h, d)
    yield from left(h, d)


def opened(h):
    """A docker with the window of the models open, with `d = yield from`."""
    h.new_document(128, 128)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from window(h, d)
    return d


def window(h, d):
    """Open the window of the models."""
    yield from d.press("models")
    yield h.until(d.find("models_view").isVisible, 20, "the window")


def installing(h, d):
    """The list, and a download that waits, goes on and is cancelled."""
    yield from window(h, d)
    yield h.until(lambda: row(d, 1) == ["2.0 GB", "not here"], 5, "the list")
    yield from choose(d, 0)
    yield h.key("Right")
    yield h.until(d.find("models_list").topLevelItem(0).isExpanded, 5, "its files")
    yield h.screenshot("models_list")
    h.check("what another program has", row(d, 0, 2) == ["7 MB", "found"], row(d, 0, 2))
    yield from choose(d, 0, 0)
    told = d.find("models_note").text()
    h.check("where it is from, and what it takes", "someone/layers, main" in told and "6.0 GB" in told, told)
    yield from choose(d, 1)
    h.check("nothing to remove", not d.find("models_remove").isEnabled())
    yield h.click(d.find("models_install"))
    yield h.until(lambda: "1.0 GB of 2.0 GB" in words(d), 10, "half of it")
    h.check("how fast and how long", "25 MB/s · 40 s left" in words(d), words(d))
    h.check("one at a time", not d.find("models_install").isEnabled())
    h.check("the docker says it too", "1.0 GB of 2.0 GB" in d.find("install_note").text())
    yield h.screenshot("models_download")
    yield h.click(d.find("models_pause"))
    yield h.until(lambda: words(d).endswith("paused"), 5, "the pause")
    h.check("can go on", label(d, "models_pause") == "Go on")
    yield h.click(d.find("models_pause"))
    yield h.until(lambda: not words(d).endswith("paused"), 5, "the end of the pause")
    yield h.click(d.find("models_cancel"))
    yield h.until(lambda: row(d, 1)[1] == "1.0 GB are here", 5, "what came")
    h.check("the docker says nothing of it any more", not d.find("install_note").isVisible())
    h.check("the download is gone", not d.find("models_bar").isVisible())
    h.check("offered again", label(d, "models_install") == "Go on installing")
    h.check("a person's own wish is no error", d.error() == "", d.error())


def looked_after(h, d):
    """What is there is checked, and what other programs have is found."""
    yield from choose(d, 0)
    yield h.click(d.find("models_verify"))
    yield h.until(lambda: "layer_one.safetensors is damaged" in d.error(), 5, "what is wrong")
    h.check("the window says it too", "layer_one" in d.find("models_outcome").text(), d.find("models_outcome").text())
    yield h.screenshot("models_damaged")
    yield h.click(d.find("error_close"))
    h.check("one model of the person's own", own(d) == [("old", "cannot be used")], own(d))
    yield h.click(d.find("models_scan"))
    yield h.until(lambda: own(d) == [("turbo", "SDXL"), ("old", "cannot be used")], 5, "what was found")
    for number, note in enumerate(("few steps", "Convert it")):
        yield from choose(d, 2, number)
        h.check(f"and why: {note}", note in d.find("models_note").text(), d.find("models_note").text())
    h.check("nothing to install there", not d.find("models_install").isEnabled())
    yield h.screenshot("models_own")
    yield from choose(d, 1)


def left(h, d):
    """A download goes on when Krita ends: the next one has what came."""
    yield h.click(d.find("models_install"))
    yield h.until(lambda: d.find("models_bar").isVisible(), 5, "the download")


def own(d):
    """The models that are no part of the catalogue, and what they are."""
    head = d.find("models_list").topLevelItem(2)
    return [(head.child(number).text(0), head.child(number).text(2)) for number in range(head.childCount())]


def item(d, number, child=None):
    """A row of the list, which is filled anew now and then; None while it is not there."""
    head = d.find("models_list").topLevelItem(number)
    return head if head is None or child is None else head.child(child)


def row(d, number, child=None):
    there = item(d, number, child)
    return [] if there is None else [there.text(1), there.text(2)]


def choose(d, number, child=None):
    """Click on a row of the list, with `yield from`."""
    tree = d.find("models_list")

    def where():
        tree.scrollToItem(item(d, number, child))
        centre = tree.visualItemRect(item(d, number, child)).center()
        return centre.x(), centre.y(), *d.h.screen_position(tree.viewport())

    place = yield from at_rest(d.h, where)
    yield d.h.click(tree.viewport(), at=place[:2])
    yield d.h.until(lambda: tree.currentItem() is item(d, number, child), 10, "the chosen row")


def words(d):
    return d.find("models_download").text()


def label(d, name):
    """What a button says, without the underlined letter that Krita gives it."""
    return d.find(name).text().replace("&", "")
