"""Which layers a person can choose as a picture for a request, and which nodes a choice means just now."""

from __future__ import annotations

from collections.abc import Iterator

from krita import Krita

from ..geometry import Area
from ..notices import Trouble
from ..translation import mark, tr
from .documents import id_of, is_layer, layers_in

ACTIVE, SELECTED, BELOW, VISIBLE = "active", "selected", "below", "visible"
MOVING = {
    ACTIVE: mark("Active layer"),
    SELECTED: mark("All selected layers"),
    BELOW: mark("Everything below"),
    VISIBLE: mark("Everything visible"),
}
"""Choices that follow the person: the active layer, all layers selected in the layer list, everything below the active
layer, and the picture as the canvas shows it."""
WITHOUT_PIXELS = "filterlayer"
INDENT = "    "


def choices(document) -> tuple[tuple[str, str], ...]:
    """Return (text of the choice, name for people): the moving choices, then every shown layer, topmost first."""
    return (*((choice, tr(name)) for choice, name in MOVING.items()), *_listed(document.rootNode(), ""))


def _listed(group, indent: str) -> Iterator[tuple[str, str]]:
    for node in reversed(layers_in(group)):
        if node.visible() and node.type() != WITHOUT_PIXELS:
            yield id_of(node), indent + node.name()
            yield from _listed(node, indent + INDENT)


def layer_of(document, choice: str) -> str:
    """Return the id of the one layer that a choice means. Raises `Trouble` when it means none or several."""
    nodes = nodes_of(document, choice) if choice != VISIBLE else []
    if len(nodes) != 1:
        raise Trouble(tr("The choice is more than one layer."), tr("Choose a single layer."))
    return id_of(nodes[0])


def bounds_of(document, choice: str) -> Area:
    """Return the area that a choice covers on the canvas. Raises `Trouble` when it covers none of it."""
    canvas = Area(0, 0, document.width(), document.height())
    if choice == VISIBLE:
        return canvas
    boxes = [node.bounds().getRect() for node in nodes_of(document, choice)]
    boxes = [box for box in boxes if box[2] and box[3]]
    left = max(0, min((box[0] for box in boxes), default=0))
    top = max(0, min((box[1] for box in boxes), default=0))
    right = min(canvas.width, max((box[0] + box[2] for box in boxes), default=0))
    bottom = min(canvas.height, max((box[1] + box[3] for box in boxes), default=0))
    if left >= right or top >= bottom:
        raise empty()
    return Area(left, top, right - left, bottom - top)


def nodes_of(document, choice: str) -> list:
    """Return the topmost nodes that a choice other than `VISIBLE` means, all of them shown on the canvas.

    Raises `Trouble` when there are none.
    """
    if choice == ACTIVE:
        return [_shown(_active(document))]
    if choice == SELECTED:
        return _selected(document)
    if choice == BELOW:
        return _below(_active(document))
    return [_shown(find(document, choice))]


def find(document, layer: str):
    """Return the layer of this id. Raises `Trouble` when it is gone."""
    for node in _walk(document.rootNode()):
        if id_of(node) == layer:
            return node
    raise Trouble(tr("The chosen layer is not in this document."), tr("Choose another layer."))


def is_there(document, layer: str) -> bool:
    """Whether the document has a layer of this id."""
    return any(id_of(node) == layer for node in _walk(document.rootNode()))


def empty() -> Trouble:
    """What to say when there is nothing to see in a picture."""
    return Trouble(tr("The chosen layer is empty here."), tr("Choose another layer, or another area."))


def active_layer(document):
    """Return the active layer, or the one whose mask is active; None when there is none."""
    node = document.activeNode()
    while node is not None and not is_layer(node):
        node = node.parentNode()
    return node if node is not None and node.parentNode() is not None else None


def _active(document):
    node = active_layer(document)
    if node is None:
        raise Trouble(tr("No layer is active."), tr("Click on a layer in the layer list."))
    return node


def _selected(document) -> list:
    """The shown ones among the selected layers, without those that lie in another selected one."""
    window = Krita.instance().activeWindow()
    view = window.activeView() if window else None
    # Only the document in front tells which layers are selected.
    if view is None or view.document() != document:
        raise Trouble(tr("No layer is selected."), tr("Click on a layer in the layer list."))
    wanted = {id_of(node) for node in view.selectedNodes() if is_layer(node)}
    nodes = [node for node in _walk(document.rootNode()) if id_of(node) in wanted and _is_shown(node)]
    topmost = [node for node in nodes if not wanted & {id_of(parent) for parent in parents(node)}]
    if not topmost:
        raise Trouble(tr("No layer that is shown is selected."), tr("Click on a layer in the layer list."))
    return topmost


def _below(node) -> list:
    found = []
    for node in (node, *parents(node)):  # noqa: B020
        for sibling in layers_in(node.parentNode()):
            if id_of(sibling) == id_of(node):
                break
            if sibling.visible() and _is_shown(sibling):
                found.append(sibling)
    if not found:
        raise Trouble(tr("Nothing that is shown lies below the active layer."), tr("Choose another layer."))
    return found


def _shown(node):
    if not _is_shown(node):
        raise Trouble(tr("The layer “{name}” is hidden.", name=node.name()), tr("Show it, or choose another layer."))
    return node


def _is_shown(node) -> bool:
    return node.visible() and all(parent.visible() for parent in parents(node))


def parents(node) -> list:
    """Return the groups that a layer lies in, innermost first, without the root."""
    found = []
    parent = node.parentNode()
    while parent is not None and parent.parentNode() is not None:
        found.append(parent)
        parent = parent.parentNode()
    return found


def _walk(group) -> Iterator:
    for node in layers_in(group):
        yield node
        yield from _walk(node)
