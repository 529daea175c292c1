"""Driver: results as cards: shown, inserted, made again, saved, and back with the document."""

import io
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from cards import card, cards, choose_in_menu, click, count, preview, requests
from vocabulary import (
    Docker,
    acknowledged,
    box,
    close,
    history,
    in_file_dialog,
    names,
    nodes,
    pixel,
    shortcut,
    state,
    step,
    to_canvas,
)

DISC = (200, 30, 40, 255)


def run(h):
    document = h.new_document(320, 240)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from shown_and_inserted(h, d, document)
    yield from while_it_runs(h, d, document)
    yield from copied(h, d)
    yield from saved(h, d)
    yield from made_again(h, d, document)
    yield from used_as_condition(h, d, document)
    yield from favourites_and_deletion(h, d)
    yield from by_actions(h, d, document)
    yield from during_a_stroke(h, d, document)
    yield from one_layer_again(h, d, document)
    yield from back_with_the_document(h, d, document)


def shown_and_inserted(h, d, document):
    """A click shows a result on the canvas, a double-click puts it into the document."""
    before, known = state(document), len(acknowledged(h))
    yield h.click(d.find("apply_at_once"), at=(8, 8))
    yield h.until(lambda: not d.find("apply_at_once").isChecked(), 5, "the unchecked box")
    yield from d.type_and_generate("a red apple")
    yield h.until(lambda: count(d) == 1, 30, "the card")
    yield d.ready()
    h.check("nothing was inserted", state(document) == before, names(document))
    h.check("and the backend may forget it", len(acknowledged(h)) == known + 1, acknowledged(h))
    yield from click(h, d, 0)
    yield h.until(lambda: preview(h) is not None, 5, "the preview")
    yield 0.3
    yield h.screenshot("preview")
    h.check("the document is as it was", state(document) == before, names(document))
    h.check("there is nothing to undo", history(h) == [], history(h))
    yield from click(h, d, 0)
    yield h.until(lambda: preview(h) is None, 5, "no preview after a second click")
    yield 0.6  # or the next click would be a double-click with this one
    yield from click(h, d, 0, double=True)
    yield h.until(lambda: len(nodes(document)) == 2, 30, "the layers")
    yield 0.5
    group = nodes(document)[-1]
    h.check("named after the prompt", group.name() == "a red apple", group.name())
    h.check("with its pixels", pixel(group.childNodes()[0], 160, 120) == DISC, pixel(group.childNodes()[0], 160, 120))
    h.check("the colour under zero alpha too", pixel(group.childNodes()[0], 60, 120) == (200, 30, 40, 0))
    h.check("one undo step", history(h) == ["Add Layer"], history(h))
    h.check("and the preview is gone", preview(h) is None)
    yield from step(h, document, "undo")
    h.check("undone at once", state(document) == before, names(document))


def while_it_runs(h, d, document):
    """The card shows what comes into being over a checkerboard, and the canvas too if that is wanted."""
    before = state(document)
    yield from d.start("held hazy apple")
    view = d.find("results")
    yield h.until(lambda: "Denoising 4/8" in d.find("progress").text(), 20, "the fourth step")
    yield 0.3
    picture = view.item(0).icon().pixmap(84, 84).toImage()
    colours = {picture.pixelColor(x, picture.height() // 2).getRgb()[:3] for x in range(10, picture.width() - 10)}
    h.check("green over light and dark", len(colours) == 2 and all(g > r + 40 for r, g, b in colours), colours)
    h.check("nothing is on the canvas", preview(h) is None)
    yield h.click(d.find("live_preview"))
    yield h.until(lambda: preview(h) is not None, 5, "the steps on the canvas")
    yield 0.3
    yield h.screenshot("live")
    h.check("the document is as it was", state(document) == before, names(document))
    yield h.click(d.find("live_preview"))
    yield h.until(lambda: preview(h) is None, 5, "the canvas alone")
    (Path(h.args["root"]) / "gate").touch()
    yield d.ready()
    advice = d.find("results_advice")
    yield h.until(lambda: count(d) == 2, 5, "its card")
    h.check("what is wrong with it is said", advice.isVisible() and "faint haze" in advice.text(), advice.text())
    h.check("also where it is pointed at", "faint haze" in view.item(0).toolTip(), view.item(0).toolTip())
    yield h.screenshot("advice")
    yield from click(h, d, 0)
    yield h.key("Delete")
    yield h.until(lambda: count(d) == 1, 5, "the cards from before")
    h.check("nothing is wrong with those", not advice.isVisible(), advice.text())


def copied(h, d):
    """What made a result goes to the clipboard."""
    from harness_driver.qt import QtWidgets

    clipboard = QtWidgets.QApplication.clipboard()
    seed = card(d, 0).request.seed
    for name, expected in (("copy_prompt", "a red apple"), ("copy_seed", str(seed))):
        yield from choose_in_menu(h, d, 0, name)
        h.check(name, clipboard.text() == expected, clipboard.text())
    yield from choose_in_menu(h, d, 0, "copy_all")
    h.check("all settings", f"Seed: {seed}, Size: 320x240" in clipboard.text(), clipboard.text())


def saved(h, d):
    """Files with straight alpha: the colour under zero alpha is in them."""
    folder = Path(h.args["folder"])
    for name in ("apple.png", "apple.ora"):
        yield from save_as(h, d, folder / name)
        yield h.until((folder / name).exists, 10, name)
    text, seed = parameters((folder / "apple.png").read_bytes()), card(d, 0).request.seed
    h.check("the prompt is in it", text.split("\n")[0] == "a red apple", text)
    h.check("and the settings", f"Seed: {seed}, Size: 320x240" in text, text)
    archive = zipfile.ZipFile(folder / "apple.ora")
    h.check("the first file says what it is", archive.infolist()[0].filename == "mimetype", archive.namelist())
    merged = io.BytesIO(archive.read("mergedimage.png")).getvalue()
    h.check("the layers as one picture", merged.startswith(b"\x89PNG"), merged[:8])
    opened = h.krita.openDocument(str(folder / "apple.png"))
    h.check("as large as the document", (opened.width(), opened.height()) == (320, 240), opened.width())
    layer = nodes(opened)[-1]
    h.check("the disc", pixel(layer, 160, 120) == DISC, pixel(layer, 160, 120))
    h.check("colour under zero alpha", pixel(layer, 60, 120) == (200, 30, 40, 0), pixel(layer, 60, 120))
    opened.close()
    opened = h.krita.openDocument(str(folder / "apple.ora"))
    h.check("Krita opens it", [node.type() for node in nodes(opened)] == ["paintlayer"], names(opened))
    h.check("its layer lies where it did", pixel(nodes(opened)[0], 160, 120) == DISC)
    opened.close()
    yield 0.3


def parameters(data):
    """The text of a PNG file in which other programs look for its prompt."""
    at = data.index(b"tEXtparameters\0")
    length = int.from_bytes(data[at - 4 : at], "big")
    return data[at + 4 : at + 4 + length].split(b"\0")[1].decode("latin-1")


def openraster(h, d, path):
    """A scene as one file: its layers from the top, with what they look like, also as Krita opens them."""
    yield from save_as(h, d, path)
    yield h.until(path.exists, 10, path.name)
    layers = ElementTree.fromstring(zipfile.ZipFile(path).read("stack.xml")).findall("stack/layer")
    told = [(one.get("name"), one.get("visibility"), one.get("opacity")) for one in layers]
    wanted = [
        ("Blend: scene", "hidden", "0.4"), ("Foreground: scene", "visible", "1"), ("Background: scene", "visible", "1"),
    ]  # fmt: skip
    h.check("layers, topmost first", told == wanted, told)
    opened = h.krita.openDocument(str(path))
    there = [(node.name(), node.visible(), node.opacity()) for node in nodes(opened)]
    h.check("as they are in Krita", there == [
        ("Background: scene", True, 255), ("Foreground: scene", True, 255), ("Blend: scene", False, 102),
    ], there)  # fmt: skip
    yield 0.3
    opened.close()
    yield 0.3


def save_as(h, d, path):
    """Save the newest card by the file dialog."""
    yield from choose_in_menu(h, d, 0, "save")
    yield from in_file_dialog(h, path)


def made_again(h, d, document):
    """The whole of it, and one layer to fit the other one."""
    yield from click(h, d, 0)
    yield h.click(d.find("card_again"), at=(8, 8))
    yield h.until(lambda: count(d) == 2, 30, "another one")
    yield d.ready()
    h.check("with another seed", card(d, 0).request.seed != card(d, 1).request.seed)
    h.check("and the same prompt", card(d, 0).request.prompt == "a red apple", card(d, 0).request)
    yield from d.start("scene")
    yield h.until(lambda: count(d) == 3, 30, "a scene")
    yield d.ready()
    folder = Path(h.args["folder"])
    yield from save_as(h, d, folder / "scene.png")
    yield h.until((folder / "scene.blend.png").exists, 10, "the picture of the last layer")
    saved = sorted(path.name for path in folder.glob("scene*"))
    h.check("one for each layer", saved == ["scene.background.png", "scene.blend.png", "scene.foreground.png"], saved)
    yield from openraster(h, d, folder / "scene.ora")
    before = (folder / "scene.blend.png").read_bytes()
    (folder / "scene.background.png").unlink()
    yield from save_as(h, d, folder / "scene")  # the dialog adds no suffix
    yield h.until((folder / "scene-2.blend.png").exists, 10, "the picture of the last layer beside those")
    h.check("nothing is replaced unasked", (folder / "scene.blend.png").read_bytes() == before)
    h.check("they stay together", (folder / "scene-2.background.png").exists(), sorted(folder.glob("scene*")))
    yield from reasons(h, d)
    d.find("results_view").why_not = lambda operation, model: ""  # the stand-in does more than it says
    yield from choose_in_menu(h, d, 0, "background_again")
    yield h.until(lambda: count(d) == 4, 30, "another background")
    yield d.ready()
    asked = requests(h)[-1]
    h.check("for the foreground that is there", asked["operation"] == "background_for_object", asked)
    h.check("which went along", asked["inputs"] == [{"source": "foreground", "width": 320, "height": 240}], asked)
    h.check("no layers were inserted", len(nodes(document)) == 1, names(document))
    yield h.screenshot("cards")


def reasons(h, d):
    """What the model cannot do is disabled and says why."""
    from harness_driver.qt import QtWidgets

    menu, button, tip = d.find("again_menu"), d.find("card_again"), QtWidgets.QToolTip
    yield h.click(button, at=(button.width() - 5, button.height() // 2))
    yield h.until(menu.isVisible, 5, "the menu of what can be made again")
    entries = {entry.objectName(): entry for entry in menu.actions()}
    h.check("the same again is possible", entries["card_again"].isEnabled())
    h.check("a background is not", not entries["card_background_again"].isEnabled())
    centre = menu.actionGeometry(entries["card_background_again"]).center()
    yield h.hover(menu, (centre.x(), centre.y()))
    yield h.until(lambda: tip.isVisible() and tip.text().startswith("Built-in cannot do this"), 5, "why")
    yield h.key("Escape")
    yield h.until(lambda: not menu.isVisible(), 5, "the closed menu")


def used_as_condition(h, d, document):
    """A layer of a result becomes the background that the next one is for."""
    yield from choose_in_menu(h, d, 1, "use_background")
    yield h.until(lambda: len(nodes(document)) == 2, 10, "the layers of the scene")
    yield h.until(lambda: d.find("operation").currentData() == "object_on_background", 5, "the operation")
    ground = nodes(document)[-1].childNodes()[0]
    wanted = d.dock.panel.pickers["background"].wanted()
    h.check("its background is chosen", wanted == ground.uniqueId().toString(), wanted)
    yield from d.pick("operation", "object")
    yield from step(h, document, "undo")


def favourites_and_deletion(h, d):
    """Keys, as in a file manager."""
    yield from click(h, d, 1)
    yield h.key("space")
    yield h.until(lambda: card(d, 1).favourite, 5, "a favourite")
    yield from click(h, d, 2)
    yield h.key("Delete")
    yield h.until(lambda: count(d) == 3, 5, "one less")
    h.check("the others stay", [one.request.prompt for one in cards(d)] == ["scene", "scene", "a red apple"])
    h.check("in their order", [one.favourite for one in cards(d)] == [False, True, False])


def by_actions(h, d, document):
    """What Krita's shortcut editor offers, by the keys that it was told."""
    yield h.key("Escape")
    yield h.until(lambda: preview(h) is None, 5, "no preview after Escape")
    yield from click(h, d, 0)
    yield h.until(lambda: preview(h) is not None, 5, "the preview of the first one")
    yield shortcut(h, "next_result")
    yield h.until(lambda: d.find("results").current == card(d, 1), 5, "the next one")
    yield shortcut(h, "previous_result")
    yield h.until(lambda: d.find("results").current == card(d, 0), 5, "the first one again")
    yield h.until(lambda: preview(h) is not None, 5, "the first one on the canvas")
    yield shortcut(h, "preview_result")
    yield h.until(lambda: preview(h) is None, 5, "no preview")
    yield shortcut(h, "insert_result")
    yield h.until(lambda: len(nodes(document)) == 2, 30, "the layers")
    yield from step(h, document, "undo")


def during_a_stroke(h, d, document):
    """A card that is inserted while the brush is down comes when it is up again."""
    before = names(document)
    x, y = h.canvas_point()
    yield h.drag([(x - 60, y), (x, y + 10), (x + 40, y)], hold=True)
    yield shortcut(h, "insert_result")
    yield 0.6
    h.check("nothing comes during the stroke", names(document) == before, names(document))
    yield h.release()
    yield h.until(lambda: len(nodes(document)) == len(before) + 1, 20, "the layers after the stroke")
    h.check("two steps", len(history(h)) == 2, history(h))
    for _ in range(2):
        yield from step(h, document, "undo")
    h.check("both undone", names(document) == before, names(document))


def one_layer_again(h, d, document):
    """The layer that stays and the new ones are inserted as one group, like any scene."""
    yield from click(h, d, 1, double=True)
    yield h.until(lambda: len(nodes(document)) == 2, 30, "the layers of the scene")
    scene, before = layers(nodes(document)[-1]), card(d, 1)
    yield h.click(d.find("apply_at_once"), at=(8, 8))
    rolls = (("foreground_again", "background"), ("background_again", "foreground"))
    for number, (act_name, stays) in enumerate(rolls):
        yield from choose_in_menu(h, d, 1 + number, act_name)
        yield h.until(lambda groups=3 + number: len(nodes(document)) == groups, 30, f"{act_name}: its group")
        yield d.ready()
        made, found = card(d, 0), layers(nodes(document)[-1])
        h.check(f"{act_name}: a whole set", made.roles == before.roles, made.roles)
        named = [f"{role.value.capitalize()}: scene" for role in made.roles]
        h.check(f"{act_name}: named as any scene", [one[0] for one in found] == named, found)
        h.check(f"{act_name}: shown as any scene", [one[1] for one in found] == [True, True, False], found)
        named = [f"{role.value.capitalize()}: scene" for role in made.roles]
        h.check(f"{act_name}: named as any scene", [one[0] for one in found] == named, found)
        same = [role.value for role, old, new in zip(made.roles, scene, found, strict=True) if old[2:] == new[2:]]
        h.check(f"{act_name}: every pixel of the layer that stays", same == [stays], same)
        kept = [new for old, new in zip(before.layer_set.layers, made.layer_set.layers, strict=True) if old == new]
        h.check(f"{act_name}: and what it is", [layer.role.value for layer in kept] == [stays], made.layer_set.layers)
        asked = made.request.operation.value, [picture.source.value for picture in made.request.inputs]
        h.check(f"{act_name}: what was asked", asked == (requests(h)[-1]["operation"], [stays]), made.request)
    for _ in range(3):
        yield from step(h, document, "undo")
    for left in (4, 3):
        yield from click(h, d, 0)
        yield h.key("Delete")
        yield h.until(lambda left=left: count(d) == left, 5, "the cards from before")
    yield h.click(d.find("apply_at_once"), at=(8, 8))


def layers(group):
    """Name, whether it is shown, place and pixels of each layer of a group, bottom first."""
    return [(node.name(), node.visible(), box(node), bytes(node.pixelData(*box(node)))) for node in group.childNodes()]


def back_with_the_document(h, d, document):
    """The history is in the .kra, pixel for pixel; other documents have their own."""
    path = Path(h.args["folder"]) / "history.kra"
    other = h.new_document(64, 64, "other")
    yield h.until(lambda: count(d) == 0, 5, "the empty history of another document")
    other.setModified(False)
    other.close()
    yield h.until(lambda: count(d) == 3, 5, "the history of the first one")
    yield to_canvas(h)
    yield h.key("ctrl+s")
    yield from in_file_dialog(h, path)
    yield h.until(lambda: not document.modified() and path.exists(), 20, "the file")
    yield from click(h, d, 0)
    yield h.key("space")
    yield h.until(lambda: card(d, 0).favourite and document.modified(), 5, "a favourite more, which is not saved")
    here = cards(d)
    yield to_canvas(h)
    yield h.key("ctrl+s")
    yield h.until(lambda: not document.modified(), 20, "the file saved again, without a dialog")
    yield h.until(lambda: preview(h) is not None, 5, "the preview, which goes with the document")
    yield from close(h, document)
    yield h.until(lambda: count(d) == 0, 5, "no history without a document")
    yield h.key("ctrl+o")
    yield from in_file_dialog(h, path)
    yield h.until(lambda: count(d) == 3, 10, "the history from the file")
    again = h.krita.activeDocument()
    h.check("as it was", cards(d) == here)
    h.check("which is no change", not again.modified())
    yield from click(h, d, 2, double=True)
    yield h.until(lambda: len(nodes(again)) == 2, 10, "the layers of a card from the file")
    layer = nodes(again)[-1].childNodes()[0]
    found = layer.name(), pixel(layer, 160, 120), pixel(layer, 60, 120)
    h.check("every pixel", found[1:] == (DISC, (200, 30, 40, 0)), found)
    yield 0.5  # Krita 6 handles events, this driver's too, before it is done with the new layers
    again.setModified(False)
    again.close()
    yield 0.3
