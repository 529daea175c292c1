"""Driver: what people do while a picture is made; with the stand-in."""

from pathlib import Path

from vocabulary import Docker, acknowledged, box, close, names, nodes, shortcut, step


def run(h):
    gate = Path(h.args["root"]) / "gate"
    document = h.new_document(300, 300)
    yield 1
    d = Docker(h)
    yield d.ready()
    yield from names_of_things(h, d)
    yield from weights_and_earlier_prompts(h, d)
    yield from completed_anywhere(h, d)
    yield from remembered_in_each_field(h, d)
    yield from stroke(h, d, document, gate)
    gate.unlink()
    yield from asked_during_a_stroke(h, d, document)
    yield from cancelled(h, d, document)
    yield from errors(h, d, document)
    yield from closed(h, d, document, gate)


def names_of_things(h, d):
    edit, listed = d.find("prompt"), suggestions_of(d, "prompt")
    yield h.click(edit)
    yield h.type_text("a red ap")
    yield h.until(listed.isVisible, 5, "the suggestions")
    yield h.screenshot("suggestions")
    first = listed.item(0).text()
    yield h.key("Tab")
    yield h.until(lambda: edit.toPlainText() == "a red apple", 5, f"the suggestion {first}")
    h.check("the suggestions are gone", not listed.isVisible())
    yield h.click(d.find("objects"))
    yield h.until(d.find("objects_popup").isVisible, 5, "the list of objects")
    yield h.type_text("tea")
    yield 0.3
    yield h.screenshot("objects")
    rows = [d.find("objects_names").item(row) for row in range(d.find("objects_names").count())]
    left = [item for item in rows if not item.isHidden()]
    h.check("the list can be searched", [item.text() for item in left] == ["teapot"], [item.text() for item in left])
    place = d.find("objects_names").visualItemRect(left[0]).center()
    yield h.click(d.find("objects_names").viewport(), at=(place.x(), place.y()))
    yield h.until(lambda: edit.toPlainText() == "a red apple, teapot", 5, "the chosen object")
    yield h.click(edit)
    yield h.key("ctrl+Return")
    yield h.until(lambda: d.session.jobs, 5, "a job by Ctrl+Enter")
    yield h.until(lambda: h.krita.activeDocument() and len(nodes(h.krita.activeDocument())) == 2, 20, "its layer")
    yield d.ready()
    yield from step(h, h.krita.activeDocument(), "undo")


def suggestions_of(d, field):
    return d.dock.window().findChild(type(d.find("objects_names")), f"{field}_suggestions")


def weights_and_earlier_prompts(h, d):
    edit = d.find("prompt")
    yield h.click(edit)
    yield h.key("ctrl+a", "BackSpace")
    yield h.type_text("a pear <lo")
    yield h.key("Tab")
    yield h.until(lambda: edit.toPlainText() == "a pear <lora:ink drawing:1>", 5, "the tag of a LoRA")
    for _ in "ar <lora:ink drawing:1>":
        yield h.key("Left")
    for _ in range(2):
        yield h.key("ctrl+Up")
    yield h.until(lambda: edit.toPlainText() == "a (pear:1.1) <lora:ink drawing:1>", 5, "a weight")
    yield h.key("ctrl+Down")
    yield h.key("ctrl+Down")
    yield h.until(lambda: edit.toPlainText() == "a pear <lora:ink drawing:1>", 5, "no weight")
    yield h.key("alt+Up")
    yield h.until(lambda: edit.toPlainText() == "a red apple, teapot", 5, "the earlier prompt")
    yield h.key("alt+Down")
    yield h.until(lambda: edit.toPlainText() == "a pear <lora:ink drawing:1>", 5, "what was typed")


def completed_anywhere(h, d):
    """In the middle of a prompt, and in that of a single layer; fields grow with what they hold."""
    edit = d.find("prompt")
    yield from d.enter("prompt", " on a wooden table")
    yield h.key("ctrl+Home")
    yield h.type_text("a red ap")
    yield h.until(suggestions_of(d, "prompt").isVisible, 5, "the suggestions")
    yield h.key("Tab")
    yield h.until(lambda: edit.toPlainText() == "a red apple on a wooden table", 5, "the name before the rest")
    yield h.type_text(", ripe")
    yield h.until(lambda: edit.toPlainText() == "a red apple, ripe on a wooden table", 5, "the cursor behind it")
    low = edit.height()
    yield h.key(*("Return",) * 5)
    yield h.until(lambda: edit.height() > low, 5, "a higher field")
    yield from d.enter("prompt", "")
    yield h.until(lambda: edit.height() == low, 5, "its usual height")
    yield from d.pick("operation", "scene")
    yield from d.tick("layer_prompts", True)
    line = d.find("foreground_prompt")
    yield from d.press("foreground_prompt")
    yield h.type_text("tea")
    yield h.until(suggestions_of(d, "foreground_prompt").isVisible, 5, "the suggestions for a layer")
    yield h.screenshot("suggestions for a layer")
    yield h.key("Tab")
    yield h.until(lambda: line.toPlainText() == "teapot", 5, "the name in its prompt")
    yield from d.enter("foreground_prompt", "")
    yield from d.tick("layer_prompts", False)
    yield from d.pick("operation", "object")


def remembered_in_each_field(h, d):
    """Each field has its own earlier prompts, by its keys and by the button in its corner."""
    yield from d.tick("apply_at_once", False)
    yield from d.pick("model", "all")
    yield from d.pick("operation", "scene")
    yield from d.tick("layer_prompts", True)
    typed = {"prompt": "salt & pepper", "negative": "blurry", "foreground_prompt": "shiny"}
    for name, words in typed.items():
        yield from d.enter(name, words)
    known = len(d.find("results").cards)
    yield from d.press("generate")
    yield h.until(lambda: len(d.find("results").cards) == known + 1, 30, "its card")
    yield d.ready()
    for name, words in typed.items():
        edit = d.find(name)
        yield from d.enter(name, "")
        yield h.key("alt+Up")
        yield h.until(lambda edit=edit, words=words: edit.toPlainText() == words, 5, f"what was in {name}")
        h.check(f"{name}: its keys are said", "Alt+Up" in edit.toolTip(), edit.toolTip())
    edit, menu = d.find("prompt"), d.find("prompt_earlier_menu")
    yield from d.press("prompt_earlier")
    yield h.until(menu.isVisible, 5, "the earlier prompts")
    yield h.screenshot("earlier prompts")
    listed = [entry.text() for entry in menu.actions()]
    h.check("newest first", listed == ["salt && pepper", "a red apple, teapot"], listed)
    centre = menu.actionGeometry(menu.actions()[1]).center()
    yield h.click(menu, at=(centre.x(), centre.y()))
    yield h.until(lambda: edit.toPlainText() == "a red apple, teapot", 5, "the chosen one")
    yield h.click(edit, at=(8, 8))
    yield h.key("alt+Down")
    yield h.until(lambda: edit.toPlainText() == "salt & pepper", 5, "the one after it")
    h.check("nothing earlier, nothing to choose", not d.find("blend_prompt_earlier").isEnabled())
    for name in typed:
        yield from d.enter(name, "")
    yield from d.tick("layer_prompts", False)
    yield from d.pick("operation", "object")
    yield from d.pick("model", "builtin")
    yield from d.tick("apply_at_once", True)


def stroke(h, d, document, gate):
    known = len(acknowledged(h))
    yield from d.start("held while painting")
    yield h.until(lambda: "4/8" in d.find("progress").text(), 30, "a job in its middle")
    yield h.screenshot("generating")
    x, y = h.canvas_point()
    yield h.drag([(x - 120, y), (x, y + 10), (x + 60, y)], hold=True)
    gate.touch()
    yield d.waiting_layers()
    yield 0.6
    h.check("nothing is inserted during the stroke", names(document) == ["Background"], names(document))
    h.check("nor acknowledged", len(acknowledged(h)) == known)
    yield h.release()
    yield h.until(lambda: len(nodes(document)) == 2, 20, "the layer after the stroke")
    yield d.ready()
    document.waitForDone()
    painted = bytes(nodes(document)[0].pixelData(0, 0, 300, 300))
    h.check("the stroke is whole", painted.count(b"\xff" * 4) < 300 * 300)


def asked_during_a_stroke(h, d, document):
    """A layer is read when the stroke on it is over, without being asked for again."""
    before = len(nodes(document))
    yield from d.pick("operation", "refine")
    document.setActiveNode(nodes(document)[0])
    yield h.until(lambda: d.find("generate").isEnabled(), 5, "the button")
    x, y = h.canvas_point()
    yield from d.enter("prompt", "a stroke of it")
    yield h.drag([(x - 120, y + 60), (x, y + 70), (x + 60, y + 60)], hold=True)
    yield shortcut(h, "generate")
    yield 0.6
    h.check("it waits without an error", not d.session.jobs and not d.error(), (d.stages(), d.error()))
    yield h.release()
    yield h.until(lambda: len(nodes(document)) == before + 1, 20, "the layer after the stroke")
    yield d.ready()
    h.check("no error afterwards", not d.error(), d.error())
    yield from d.pick("operation", "object")


def cancelled(h, d, document):
    before = names(document)
    yield from d.start("held forever")
    yield from d.start("held as well")
    yield h.until(lambda: d.stages() == ["RUNNING", "RUNNING"], 20, "two jobs")
    h.check("says how many wait", d.find("progress").text().endswith("1 more"), d.find("progress").text())
    for _ in range(2):
        yield h.click(d.find("cancel"))
    yield d.ready()
    yield from d.start("held once more")
    yield from d.start("held and waiting")
    yield h.until(lambda: d.stages() == ["RUNNING", "RUNNING"], 20, "two jobs")
    button, menu = d.find("cancel"), d.find("cancel_menu")
    yield h.click(button, at=(button.width() - 5, button.height() // 2))
    yield h.until(menu.isVisible, 5, "the menu")
    h.check("offers to cancel all", menu.actions()[0].text() == "Cancel all 2 jobs", menu.actions()[0].text())
    yield h.screenshot("cancel_all")
    place = menu.actionGeometry(menu.actions()[0]).center()
    yield h.click(menu, at=(place.x(), place.y()))
    yield d.ready()
    h.check("by one message", (Path(h.args["root"]) / "cancelled_all").exists())
    h.check("cancelled jobs leave nothing", names(document) == before and not d.error(), (names(document), d.error()))
    h.check("nothing to cancel any more", not d.find("cancel").isEnabled())


def errors(h, d, document):
    for prompt, start, todo in (
        ("memory", "The device ran out of memory.", "smaller size"),
        ("refused", "The chosen model is not installed.", "Choose one"),
        ("   ", "The prompt is empty.", "Type what should appear"),
    ):
        if d.error():
            yield from d.press("error_close")
            yield h.until(lambda: not d.error(), 5, "the closed error")
        yield from d.start(prompt)
        yield h.until(d.error, 20, f"the error of {prompt!r}")
        h.check(f"error of {prompt!r}", d.error().startswith(start) and todo in d.error(), d.error())
        h.check(f"nothing is lost after {prompt!r}", d.find("prompt").toPlainText() == prompt)
        yield d.ready()
    yield h.screenshot("error")
    said = d.error()
    yield from d.press("error_copy")
    yield h.until(lambda: clipboard() == said, 5, f"the error on the clipboard, not {clipboard()!r}")
    yield from d.press("error_close")
    yield h.until(lambda: not d.find("error").isVisible(), 5, "the closed error")


def clipboard():
    from harness_driver.qt import QtWidgets

    return QtWidgets.QApplication.clipboard().text()


def closed(h, d, document, gate):
    known = len(acknowledged(h))
    yield from d.size("document")
    yield from d.start("held, then closed")
    yield h.until(lambda: "4/8" in d.find("progress").text(), 30, "a job in its middle")
    yield from close(h, document)
    gate.touch()
    yield h.until(lambda: d.stages() == ["KEPT"], 30, "the kept result")
    said = d.find("kept_text").text()
    h.check("says that it is kept", "The document was closed; the result is kept. Open a document" in said, said)
    h.check("not acknowledged yet", len(acknowledged(h)) == known)
    h.check("on the disk, in case Krita is closed", len(kept_files(h)) == 1, kept_files(h))
    yield 1
    d.find("insert").click()  # Krita 6 hides its dockers while no document is open
    said = d.find("error_text").text()
    h.check("says what to do", said == "No document is open. Create or open one, then press Insert.", said)
    other = h.new_document(200, 200, "other")
    yield 0.7
    yield h.screenshot("kept")
    yield h.click(d.find("insert"))
    yield h.until(lambda: len(nodes(other)) == 2, 10, "the kept layer")
    yield d.ready()
    h.check("centred in the other document", abs(box(nodes(other)[1])[0] + 20) <= 3, box(nodes(other)[1]))
    h.check("acknowledged after the insertion", len(acknowledged(h)) == known + 1)
    h.check("the offer is gone", not d.find("kept").isVisible())
    h.check("and so is what was said before", d.error() == "", d.error())
    h.check("and its file", kept_files(h) == [], kept_files(h))
    yield from discarded(h, d, other, gate)


def discarded(h, d, document, gate):
    gate.unlink()
    kept_folder(h).rmdir()
    kept_folder(h).touch()  # nothing can be written there now
    yield from d.start("held, then not wanted")
    yield h.until(lambda: "4/8" in d.find("progress").text(), 30, "a job in its middle")
    front = h.new_document(200, 200, "front")
    yield 0.5
    document.setModified(False)
    document.close()
    gate.touch()
    yield h.until(lambda: d.find("kept").isVisible(), 30, "the kept result")
    h.check("says that it is not on the disk", "kept only until Krita is closed" in d.error(), d.error())
    h.check("and what to do", d.error().endswith("Insert it before you close Krita."), d.error())
    yield h.click(d.find("kept_close"))
    yield d.ready()
    h.check("discarded", not d.find("kept").isVisible() and len(nodes(front)) == 1, names(front))


def kept_files(h):
    return sorted(path.name for path in kept_folder(h).iterdir())


def kept_folder(h):
    return Path(h.krita.getAppDataLocation()) / "layer_diffusion" / "kept"
