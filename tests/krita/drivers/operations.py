"""Driver: every operation of the selector with the real backend; tiny models of both families, which make noise."""

from cards import preview
from overlay import different, screen
from vocabulary import Docker, at_rest, box, history, names, nodes, step

SIDE = 64
EXPECTED = {
    "tiny15": {
        "object": ["foreground"],
        "scene": ["background", "foreground", "blend"],
        "object_on_background": ["foreground", "blend"],
        "background_for_object": ["background", "blend"],
    },
    "tinyxl": {
        "scene": ["background", "foreground", "blend"],
        "object_on_background": ["foreground", "blend"],
        "background_for_object": ["background", "blend"],
        "blend": ["blend"],
        "extract_foreground": ["foreground"],
        "extract_background": ["background"],
        "refine": ["foreground"],
    },
}
"""Model → operation → roles of the layers, bottom first; the first one also has what SDXL does the same way."""


def run(h):
    document = h.new_document(SIDE, SIDE)
    object_layer(document)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from d.enter("steps", 2)
    yield from reasons(h, d)
    for model, operations in EXPECTED.items():
        yield from d.pick("model", model)
        for operation, roles in operations.items():
            yield from one(h, d, document, operation, roles)
    yield from reblended(h, d, document)
    yield from hidden_layer(h, d, document)


def object_layer(document):
    """A square in the middle of a layer of its own, which is active."""
    layer = document.createNode("square", "paintlayer")
    layer.setPixelData(bytes((40, 80, 200, 255)) * 32 * 32, 16, 16, 32, 32)
    document.rootNode().addChildNode(layer, nodes(document)[-1])
    document.setActiveNode(layer)


def reasons(h, d):
    """What the built-in model cannot do is disabled and says why, where it is pointed at too."""
    from harness_driver.qt import QtCore, QtWidgets

    operation, tip = d.find("operation"), QtWidgets.QToolTip
    yield from d.pick("model", "builtin")
    disabled(h, d, "blend")
    index = operation.findData("blend")
    reason = operation.itemData(index, QtCore.Qt.ItemDataRole.ToolTipRole)
    view = operation.view()
    yield from d.press("operation")
    yield h.until(view.isVisible, 5, "the list of operations")
    centre = view.visualRect(operation.model().index(index, 0)).center()
    yield h.hover(view.viewport(), (centre.x(), centre.y()))
    yield h.until(lambda: tip.isVisible() and tip.text() == reason, 5, f"why, not {tip.text()!r}")
    yield h.screenshot("why_not")
    yield h.key("Escape")
    yield h.until(lambda: not view.isVisible(), 5, "the closed list")
    # By keys: the second entry that is enabled is chosen.
    yield from d.press("operation")
    yield h.until(view.isVisible, 5, "the list of operations")
    yield h.key("Down")
    yield h.key("Return")
    chosen = "the operation that was chosen by keys"
    yield h.until(lambda: operation.currentData() == "object_on_background", 5, chosen)
    h.check("its inputs are shown", d.find("background_picker").isVisible())
    h.check("and no others", not d.find("init_picker").isVisible() and not d.find("strength").isVisible())
    button = d.find("generate").text()
    h.check("the button says what it does", button == "Generate object on background", button)


def disabled(h, d, task):
    """An entry of the selector is grey and says why."""
    from harness_driver.qt import QtCore

    operation = d.find("operation")
    index = operation.findData(task)
    h.check(f"{task} is disabled", not operation.model().item(index).isEnabled())
    reason = operation.itemData(index, QtCore.Qt.ItemDataRole.ToolTipRole)
    h.check(f"{task}: it says why", "Built-in" in reason and "cannot" in reason, reason)


def one(h, d, document, operation, roles, prompt="", look=lambda layers: None):
    """Ask for an operation, look at the layers it makes, and undo them."""
    yield from d.pick("operation", operation)
    active, before = document.activeNode(), len(nodes(document))
    yield from d.type_and_generate(prompt or operation)
    yield h.until(lambda: len(nodes(document)) > before or d.error(), 120, f"the layers of {operation}")
    h.check(f"{operation}: no error", not d.error(), d.error())
    yield d.ready()
    group = nodes(document)[-1]
    shown = [layer.visible() for layer in group.childNodes()]
    h.check(f"{operation}: layers", len(shown) == len(roles), [layer.name() for layer in group.childNodes()])
    h.check(f"{operation}: blend hidden beside others", shown == [role != "blend" or len(roles) == 1 for role in roles])
    _, _, width, height = box(group)
    inside = width <= document.width() and height <= document.height()
    h.check(f"{operation}: inside of the canvas", inside, box(group))
    h.check(f"{operation}: one undo step", history(h)[-1] == "Add Layer", history(h))
    look(group.childNodes())
    # Noise would cover what the next operation starts from.
    yield from step(h, document, "undo")
    h.check(f"{operation}: undone", len(nodes(document)) == before, names(document))
    document.setActiveNode(active)
    yield h.until(lambda: document.activeNode() == active, 5, "the active layer")


def reblended(h, d, document):
    """The layers as they now stand give a blend that lies on the canvas, for a comparison, and not in the document."""
    known = d.find("results").count()
    yield from d.pick("operation", "reblend")
    yield h.click(d.find("generate"))
    yield h.until(lambda: preview(h) or d.error(), 120, "the new blend on the canvas")
    h.check("reblend: no error", not d.error(), d.error())
    yield d.ready()
    yield h.screenshot("reblended")
    h.check("reblend: a card and no layer", d.find("results").count() == known + 1 and len(nodes(document)) == 2)
    blend = yield from at_rest(h, lambda: screen(h))
    yield h.click(d.find("compare"))
    yield h.until(lambda: preview(h) is None, 10, "the blend hidden")
    yield h.until(lambda: different(screen(h), blend) > len(blend) / 20, 10, "a canvas that looks different")
    yield h.click(d.find("compare"))
    yield h.until(lambda: preview(h), 10, "the blend shown")
    yield h.until(lambda: different(screen(h), blend) < len(blend) / 100, 10, "the canvas with the blend again")
    yield h.click(d.find("card_apply"))
    yield h.until(lambda: len(nodes(document)) == 3, 20, "the blend as a layer")
    yield from step(h, document, "undo")
    document.setActiveNode(nodes(document)[-1])
    yield h.until(lambda: document.activeNode().name() == "square", 5, "the active layer")


def hidden_layer(h, d, document):
    """A layer that cannot be sent is said before anything is asked for, and cured by showing it."""
    nodes(document)[-1].setVisible(False)
    document.refreshProjection()
    yield from d.pick("operation", "refine")
    yield h.click(d.find("generate"))
    yield h.until(d.error, 10, "the error")
    h.check("names picker and layer", d.error().startswith("Layer: The layer “square” is hidden."), d.error())
    h.check("nothing was asked for", not d.session.jobs and names(document) == ["Background", "square"], d.session.jobs)
    nodes(document)[-1].setVisible(True)
    document.refreshProjection()
