"""What the driver scripts speak in: the docker's widgets, by real clicks and keys; layers, pixels and undo."""

from pathlib import Path

STILL = 5
"""Looks in a row at which a place must be the same."""
KEYS = {"undo": "ctrl+z", "redo": "ctrl+shift+z"}


class Docker:
    """The docker under test."""

    def __init__(self, h):
        self.h = h
        self.dock = h.docker("layer_diffusion")

    def find(self, name):
        """The widget of this object name."""
        from harness_driver.qt import QtWidgets

        widget = self.dock.findChild(QtWidgets.QWidget, name)
        if widget is None:
            raise LookupError(name)
        return widget

    @property
    def session(self):
        """The docker's session."""
        return self.dock.controller.session

    def ready(self):
        """Wait until the docker is connected and has nothing to do."""
        return self.h.until(
            lambda: self.session.link.name == "READY" and not self.session.jobs, 90, "a docker that is ready"
        )

    def waiting_layers(self):
        """Wait until a result has arrived and may not be inserted yet."""
        return self.h.until(lambda: "ARRIVED" in self.stages(), 60, "a result that waits")

    def stages(self):
        """Where the session's jobs are."""
        return [job.stage.name for job in self.session.jobs.values()]

    def error(self):
        """The text of the error line, or nothing while it is hidden."""
        return self.find("error_text").text() if self.find("error").isVisible() else ""

    def reach(self, name):
        """Have a widget in sight and at rest, and return it, with `yield from`."""
        widget = self.find(name)
        if not widget.isVisible() and self.dock.panel.advanced_fields.isAncestorOf(widget):
            yield from self.press("advanced")
        yield self.h.until(widget.isVisible, 20, f"{name} in sight")
        area = self.find("fields")

        def where():  # the wheel would change what it rolls over; what is laid out late takes it out of sight again
            if area.widget().isAncestorOf(widget):
                # Qt's own way has only the line with the caret of a text in sight.
                centre = widget.mapTo(area.widget(), widget.rect().center())
                area.ensureVisible(centre.x(), centre.y(), 0, min(widget.height(), area.viewport().height()) // 2)
            return self.h.screen_position(widget)

        yield from at_rest(self.h, where)
        return widget

    def press(self, name, at=None):
        """Click on a widget, with `yield from`."""
        widget = yield from self.reach(name)
        yield self.h.click(widget, at=at)

    def tick(self, name, on):
        """Check a box or press a button that stays down, or the opposite, with `yield from`."""
        box = self.find(name)
        if box.isChecked() != on:
            yield from self.press(name, at=(8, 8))
            yield self.h.until(lambda: box.isChecked() is on, 20, f"{name}: {on}")

    def pick(self, name, data):
        """Choose an entry of a combo box by two clicks, with `yield from`."""
        box = self.find(name)
        if box.currentData() == data:
            return
        row = next(row for row in range(box.count()) if box.itemData(row) == data)
        view, entry = box.view(), box.model().index(row, box.modelColumn())
        if not box.model().item(row).isEnabled():
            raise ValueError(f"{data!r} in {name} cannot be chosen")
        yield from self.press(name)
        yield self.h.until(lambda: on_screen(view), 20, f"the entries of {name}")
        view.scrollTo(entry)
        yield from at_rest(self.h, lambda: self.h.screen_position(view.viewport()))
        centre = view.visualRect(entry).center()
        yield self.h.click(view.viewport(), at=(centre.x(), centre.y()))
        chosen = f"{data!r} in {name}"
        yield self.h.until(lambda: box.currentData() == data and not view.isVisible(), 20, chosen)

    def enter(self, name, value):
        """Type a value into a field in place of what is there, with `yield from`."""
        yield from self.press(name)
        yield self.h.key("ctrl+a", "BackSpace")
        if value != "":
            yield self.h.type_text(str(value))
        field = self.find(name)
        read = next(getattr(field, read) for read in ("toPlainText", "value", "text") if hasattr(field, read))
        yield self.h.until(lambda: read() == value, 20, f"{value!r} in {name}")

    def start(self, prompt):
        """Type a prompt, unless it stands there, press Ctrl+Enter and wait for the job, with `yield from`."""
        edit, known = self.find("prompt"), set(self.session.jobs)
        if edit.toPlainText() != prompt:
            yield from self.enter("prompt", prompt)
        elif not edit.hasFocus():
            yield from self.press("prompt")
        yield self.h.key("ctrl+Return")
        yield self.h.until(lambda: set(self.session.jobs) - known or self.error(), 20, f"the job of {prompt!r}")

    def type_and_generate(self, prompt):
        """Type a prompt and click on the button, with `yield from`."""
        yield from self.enter("prompt", prompt)
        yield from self.press("generate")

    def made(self, document, prompt):
        """Start a job and wait until its group is in the document, with `group = yield from`."""
        before = len(nodes(document))
        yield from self.start(prompt)
        yield self.h.until(lambda: len(nodes(document)) == before + 1, 120, f"the layer of {prompt!r}")
        yield self.ready()
        document.waitForDone()
        return nodes(document)[-1]

    def size(self, mode, width=512, height=512):
        """Choose the size, with `yield from`."""
        yield from self.pick("size_mode", mode)
        if mode == "own":
            yield from self.enter("own_width", width)
            yield from self.enter("own_height", height)


def on_screen(widget):
    """Whether the screen shows a widget, which is some time after Qt does, and takes clicks on it."""
    handle = widget.window().windowHandle()
    return widget.isVisible() and handle is not None and handle.isExposed()


def at_rest(h, where):
    """Wait until a place stays the same for some looks, and return it, with `yield from`."""
    seen = []

    def still():
        seen.append(where())
        return len(seen) >= STILL and len(set(seen[-STILL:])) == 1

    yield h.until(still, 10, "a place at rest")
    return seen[-1]


def through_menus(h, menu, *names):
    """Click on entries of menus, each in what the one before opened, with `yield from`."""
    for name in names:
        yield h.until(lambda menu=menu: on_screen(menu), 20, f"the menu with {name}")
        entry = next(entry for entry in menu.actions() if name in (entry.objectName(), entry.text().replace("&", "")))
        yield from at_rest(h, lambda menu=menu: h.screen_position(menu))
        centre = menu.actionGeometry(entry).center()
        yield h.click(menu, at=(centre.x(), centre.y()))
        menu = entry.menu()


def shortcut(h, name):
    """Press the keys that this run of Krita has for an action of the plugin."""
    return h.key(h.args["shortcuts"][f"layer_diffusion_{name}"])


def front(h, document, number):
    """Bring a document to the front by its tab, and wait until the docker has seen it, with `yield from`."""
    from harness_driver.qt import QtWidgets

    tabs = h.main_window().centralWidget().findChild(QtWidgets.QTabBar)
    centre = tabs.tabRect(number).center()
    yield h.click(tabs, at=(centre.x(), centre.y()))
    yield h.until(lambda: h.krita.activeDocument() == document, 10, "the document in front")
    yield 0.7


def close(h, document):
    """Close the document in front by its keys, with `yield from`."""
    document.setModified(False)  # or Krita asks
    yield to_canvas(h)
    yield h.key("ctrl+w")
    yield h.until(lambda: document not in h.krita.documents(), 10, "the closed document")


def in_file_dialog(h, path):
    """Paste a path into the file dialog that comes, with `yield from`.

    Typed, it may become another one: at "…/first" Qt selects the first.kra that there is, and may write its name there.
    """
    from harness_driver.qt import QtWidgets

    def dialogs():
        every = QtWidgets.QApplication.topLevelWidgets()
        return [widget for widget in every if isinstance(widget, QtWidgets.QFileDialog) and widget.isVisible()]

    yield h.until(dialogs, 10, "the file dialog")
    yield h.until(dialogs()[0].isActiveWindow, 10, "the keys in the file dialog")
    QtWidgets.QApplication.clipboard().setText(str(path))
    for tries_left in (1, 0):
        yield 0.5
        yield h.key("ctrl+a", "ctrl+v", "Return")
        try:
            yield h.until(lambda: not dialogs(), 5, "the end of the file dialog")
            break
        except TimeoutError:  # a list of what the path may become takes the first Return
            if not tries_left:
                raise


def nodes(document):
    """The layers of the document, bottom first, without masks."""
    return [node for node in document.rootNode().childNodes() if not node.type().endswith("mask")]


def names(document):
    """The names of the layers of the document, bottom first."""
    return [node.name() for node in nodes(document)]


def state(document):
    """Everything of the document that an undo must bring back."""
    area = (0, 0, document.width(), document.height())
    tree = [(node.name(), node.type(), node.uniqueId().toString(), node.visible()) for node in nodes(document)]
    pixels = [node.projectionPixelData(*area) for node in nodes(document)] + [document.pixelData(*area)]
    return tree, [shown(bytes(each), document) for each in pixels]


def shown(pixels, document):
    """Pixels of the whole document's size with no colour where they are fully transparent.

    Krita leaves a colour or none under an alpha of 0 in a group's projection, by the way that it was rendered.
    """
    size = len(pixels) // (document.width() * document.height())
    alpha = {"U8": 1, "U16": 2, "F16": 2, "F32": 4}[document.colorDepth()]
    clear, nothing = bytes(alpha), bytes(size)
    each = (pixels[start : start + size] for start in range(0, len(pixels), size))
    return b"".join(pixel if pixel[-alpha:] != clear else nothing for pixel in each)


def history(h):
    """The undo steps of the document in front, as Krita's own list of them names them."""
    model = _undo_history(h).model()
    return [model.index(row, 0).data() for row in range(1, model.rowCount())]


def steps_done(h):
    """How many of those steps are done; the others can be done again."""
    return _undo_history(h).currentIndex().row()


def _undo_history(h):
    from harness_driver.qt import QtWidgets

    docker = next(dock for dock in h.krita.dockers() if dock.objectName() == "History")
    return docker.findChild(QtWidgets.QAbstractItemView)


def to_canvas(h):
    """Give the canvas the keys: a middle click would move it, and paints nothing."""
    return h.click(h.main_window().centralWidget(), button=2)


def step(h, document, action):
    """Undo or redo once by its keys, with `yield from`."""
    document.waitForDone()
    yield 0.3  # Krita's list of steps comes after the step, with much to do long after it
    last = {"undo": lambda: steps_done(h) > 0, "redo": lambda: steps_done(h) < len(history(h))}
    yield h.until(last[action], 10, f"a step to {action}")
    before = steps_done(h)
    for tries_left in (1, 0):
        yield to_canvas(h)
        yield h.key(KEYS[action])
        try:
            yield h.until(lambda: steps_done(h) != before, 10, f"the {action}")
            break
        except TimeoutError:  # Krita drops keys for undo while it is at work, with its own thumbnails too
            if not tries_left:
                raise
    document.waitForDone()
    yield 0.3


def pixel(node, x, y):
    """(red, green, blue, alpha) of a layer."""
    blue, green, red, alpha = bytes(node.pixelData(x, y, 1, 1))
    return red, green, blue, alpha


def box(node):
    """(x, y, width, height) of what a layer shows."""
    return node.bounds().getRect()


def select(document, x, y, width, height, value=255):
    """Select a rectangle, softly below 255."""
    from krita import Selection

    selection = Selection()
    selection.select(x, y, width, height, value)
    document.setSelection(selection)


def paint(document, name, rgba, x, y, width, height, parent=None):
    """Add a layer with a rectangle of one colour on top, to an 8-bit RGBA document or a group in it."""
    layer = document.createNode(name, "paintlayer")
    red, green, blue, alpha = rgba
    layer.setPixelData(bytes((blue, green, red, alpha)) * (width * height), x, y, width, height)
    others = [node for node in (parent or document.rootNode()).childNodes() if not node.type().endswith("mask")]
    (parent or document.rootNode()).addChildNode(layer, others[-1] if others else None)
    return layer


def rgba_at(rgba, width, x, y):
    """(red, green, blue, alpha) in straight RGBA pixels of this width."""
    return tuple(rgba[(y * width + x) * 4 : (y * width + x) * 4 + 4])


def acknowledged(h):
    """Ids of the jobs that the stand-in was told it may forget, in order."""
    log = Path(h.args["root"]) / "acknowledged"
    return log.read_text().split() if log.exists() else []
