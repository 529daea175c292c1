"""What the driver scripts speak in: the docker's widgets, layers, pixels and undo."""

from pathlib import Path


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

    def start(self, prompt):
        """Ask for a job without the keyboard."""
        self.find("prompt").setPlainText(prompt)
        self.find("generate").click()

    def type_and_generate(self, prompt):
        """Real keys and a real click, to be gone through with `yield from`."""
        edit = self.find("prompt")
        yield self.h.click(edit)
        yield self.h.key("ctrl+a")
        yield self.h.type_text(prompt)
        yield self.h.until(lambda: edit.toPlainText() == prompt, 5, f"the typed prompt, not {edit.toPlainText()!r}")
        yield self.h.click(self.find("generate"))

    def made(self, document, prompt):
        """Start a job and wait until its group is in the document, with `group = yield from`."""
        before = len(nodes(document))
        self.start(prompt)
        yield self.h.until(lambda: len(nodes(document)) == before + 1, 120, f"the layer of {prompt!r}")
        yield self.ready()
        document.waitForDone()
        return nodes(document)[-1]

    def size(self, mode, width=512, height=512):
        """Choose the size."""
        box = self.find("size_mode")
        box.setCurrentIndex(box.findData(mode))
        self.find("own_width").setValue(width)
        self.find("own_height").setValue(height)


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


def step(h, document, action):
    """Undo or redo once, with `yield from`."""
    h.krita.action(f"edit_{action}").trigger()
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
