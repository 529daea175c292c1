"""Driver: the window of the models with a real server: install, check, repair, find what others have, remove.

`args["models"]` is the models' folder, `args["folder"]` one with the model `mine`, which is found when asked; what lies
in `args["later"]` comes into the hub's cache, `args["cache"]`, in between. The bundle is `small`, of two files.
"""

from pathlib import Path

from looks import DARK, LIGHT, themed
from models import choose, opened, row
from models_again import question

WIDE = (760, 460)


def run(h):
    d = yield from opened(h)
    d.find("models_view").resize(*WIDE)
    yield h.until(lambda: row(d, 0)[1:] == ["not here"], 10, "the list")
    yield from installed(h, d)
    yield from repaired(h, d)
    yield from others(h, d)
    yield from removed(h, d)
    h.check("no error is left", d.error() == "", d.error())


def installed(h, d):
    """The bundle comes from the hub and is whole."""
    yield from choose(d, 0)
    yield h.click(d.find("models_install"))
    yield h.until(lambda: row(d, 0)[1] == "installed", 30, "the files")
    files = list((Path(h.args["models"]) / "layers").glob("*.safetensors"))
    h.check("both lie in their place", len(files) == 2, files)
    yield h.click(d.find("models_verify"))
    yield h.until(lambda: "nothing is damaged" in outcome(d), 30, "the end of the check")


def repaired(h, d):
    """A file that is damaged is named, and comes again."""
    path = next((Path(h.args["models"]) / "layers").glob("*decoder*"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    yield h.click(d.find("models_verify"))
    yield h.until(lambda: path.name in outcome(d), 30, "its name")
    yield h.until(lambda: d.find("models_install").isEnabled(), 10, "the way to repair it")
    h.check("the docker says it too", path.name in d.error(), d.error())
    yield h.screenshot("damaged")
    yield h.click(d.find("error_close"))
    yield h.click(d.find("models_install"))
    yield h.until(lambda: row(d, 0)[1] == "installed", 30, "the whole file")
    h.check("as it was", path.read_bytes() == whole)


def others(h, d):
    """What the person has is told with what to expect of it, and what other programs have is found."""
    h.check("own models", sorted(own(d)) == ["cut", "dreams_turbo", "old"], own(d))
    for folder in Path(h.args["later"]).iterdir():
        folder.rename(Path(h.args["cache"]) / folder.name)
    yield h.click(d.find("models_scan"))
    yield h.until(lambda: "search is over" in outcome(d), 60, "the end of the search")
    yield h.until(lambda: "theirs" in own(d), 10, "what was found")
    for name, state, note in (
        ("theirs", "SD1.5", "snapshots"),
        ("dreams_turbo", "SD1.5", "Made for few steps"),
        ("cut", "cannot be used", "download it again"),
        ("old", "cannot be used", "convert it"),
    ):
        item = own(d)[name]
        yield from choose(d, 1, list(own(d)).index(name))
        told = d.find("models_note").text()
        h.check(f"what {name} is", item.text(2) == state, item.text(2))
        h.check(f"what to know of {name}", note in told, told)
    yield from chosen_folder(h, d)
    for name in (LIGHT, DARK):
        yield from themed(h, d, name)
        yield h.screenshot(name.split()[1])
    yield h.click(d.find("models_verify"))
    yield h.until(lambda: "nothing is damaged" in outcome(d), 30, "the check of everything")


def chosen_folder(h, d):
    """A folder that no other program is known to use is looked into when the person chooses it."""
    yield h.click(d.find("models_scan_folder"))
    yield h.until(lambda: asked(d) is not None and asked(d).isVisible(), 5, "the question for a folder")
    yield 0.5
    yield h.type_text(h.args["folder"])
    yield h.screenshot("which_folder")
    yield h.key("Return")
    yield h.until(lambda: asked(d) is None, 5, "the closed question")
    yield h.until(lambda: "mine" in own(d), 60, "what was found there")
    h.check("where it lies", own(d)["mine"].text(2) == "SD1.5", own(d)["mine"].text(2))


def asked(d):
    from harness_driver.qt import QtWidgets

    return d.find("models_view").findChild(QtWidgets.QFileDialog, "models_folder")


def removed(h, d):
    yield from choose(d, 0)
    yield h.click(d.find("models_remove"))
    yield h.until(lambda: question(d) is not None, 5, "the question")
    yield 0.3
    yield h.click(question(d).buttons()[0])
    yield h.until(lambda: row(d, 0)[1] == "not here", 10, "the removed bundle")


def own(d):
    """Name → row of each model that is no part of the catalogue."""
    head = d.find("models_list").topLevelItem(1)
    rows = [head.child(number) for number in range(head.childCount())]
    return {item.text(0): item for item in rows}


def outcome(d):
    return d.find("models_outcome").text()
