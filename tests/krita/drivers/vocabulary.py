"""What the driver scripts speak in: the docker's widgets, layers and pixels."""


class Docker:
    """The docker under test and the document's layers."""

    def __init__(self, h):
        self.h = h
        self.dock = h.docker("layer_diffusion")

    def find(self, name):
        """The widget of this object name."""
        for kind in self.dock.findChildren(object):
            if kind.objectName() == name:
                return kind
        raise LookupError(name)

    @property
    def session(self):
        return self.dock.controller.session

    def ready(self):
        """Wait until the docker is connected."""
        return self.h.until(lambda: self.find("status").text() == "Ready", 60, "the connection")

    def error(self):
        """The text of the error line, or nothing while it is hidden."""
        frame = self.find("error")
        return self.find("error_text").text() if frame.isVisible() else ""

    def set_prompt(self, text):
        """Put the prompt in without the keyboard."""
        self.find("prompt").setPlainText(text)

    def generate(self, prompt):
        """Real keys and a real click, to be gone through with `yield from`."""
        edit = self.find("prompt")
        yield self.h.click(edit)
        yield self.h.key("ctrl+a")
        yield self.h.type_text(prompt)
        yield self.h.until(lambda: edit.toPlainText() == prompt, 5, f"the typed prompt, it is {edit.toPlainText()!r}")
        yield self.h.click(self.find("generate"))


def layers(document):
    """The names of the layers of the document, bottom first, without masks."""
    return [node.name() for node in nodes(document)]


def nodes(document):
    """The layers of the document, bottom first, without masks."""
    return [node for node in document.rootNode().childNodes() if not node.type().endswith("mask")]


def state(document):
    """Everything of the document that an undo must bring back."""
    box = (0, 0, document.width(), document.height())
    return (
        [(node.name(), node.type(), node.uniqueId().toString(), bytes(node.pixelData(*box))) for node in nodes(document)],
        bytes(document.pixelData(*box)),
    )


def pixel(node, x, y):
    """(red, green, blue, alpha) of a layer."""
    blue, green, red, alpha = bytes(node.pixelData(x, y, 1, 1))
    return red, green, blue, alpha


def box(node):
    """(x, y, width, height) of what a layer shows."""
    bounds = node.bounds()
    return bounds.x(), bounds.y(), bounds.width(), bounds.height()
