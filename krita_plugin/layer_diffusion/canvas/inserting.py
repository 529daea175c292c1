"""Results as layers: one group in one undo step, at a place in the stack, in the document's colour space."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from enum import Enum

from krita import Krita

from ..geometry import Area
from ..notices import Trouble
from ..pixels import Picture
from ..qt import QtCore
from ..translation import tr
from .choices import active_layer, find
from .documents import SRGB, active_document, hidden, hold_on, id_of, is_idle, is_open, layers_in, space_of, within
from .undo import never_stop_at

ACTIVE_LATE_MS = 100


class Place(str, Enum):
    """Where in the stack a result goes."""

    TOP = "top"
    ABOVE = "above"
    BELOW = "below"
    GROUP = "group"
    REPLACE = "replace"


def insert(
    document, name: str, pictures: Sequence[Picture], area: Area, place: Place = Place.TOP, source: str = ""
) -> tuple[str, ...]:
    """Put pictures, bottom first, into the document as one group: one undo step. Return the ids of their layers.

    In a batch the images are alternatives: the first one is shown, and each that has several layers gets a group of its
    own. Selection and active layer stay as they are. `place` counts from the layer that is active now, and is the top
    when there is none; `Place.REPLACE` takes the place of the layer with the id `source`, which is removed. What of it
    lies outside of `area`, for which the pictures were made, stays as a layer below them; a group that reaches out of
    it is not replaced. Call it only when `is_idle`. Raises `Trouble` when Krita refuses or `source` is gone.
    """
    active = document.activeNode()
    anchor = find(document, source) if place is Place.REPLACE else active_layer(document)
    rest = None
    if place is Place.REPLACE and anchor is not None and not _bounds(anchor).is_in(area):
        if anchor.type() == "paintlayer":
            rest = _without(anchor, area)
        else:
            place = Place.ABOVE
    # Each node added is an undo step of its own, in a group outside of a document too: hence a second document. A clone
    # shares the pixels; a new document takes Krita many times as long.
    with hidden(document.clone()) as stage:
        group = stage.createGroupLayer(name)
        if rest is not None:
            group.addChildNode(rest, None)
        _fill(stage, group, pictures)
        copy = group.clone()
    parent, above = _position(document, place, anchor)
    helper = None
    if place is Place.BELOW and above is anchor:
        helper = document.createNode(name, "paintlayer")
        never_stop_at(document, helper)
        _add(parent, helper, anchor)
    _add(parent, copy, above)
    # A group that was never in a document has not been rendered, and adding it does not do it.
    document.refreshProjection()
    if place is Place.REPLACE and anchor is not None:
        never_stop_at(document, anchor, copy)
        anchor.remove()
        active = copy if id_of(active) in {id_of(node) for node in within(anchor)} else active
    if helper is not None:
        _lower(document, copy, active, helper)
    elif active is not None:
        _keep_active(document, active, copy)
    # Only now: Krita handled events on the way, and what they let go of would have gone with the return from here.
    hold_on(stage)
    hold_on(group)
    return tuple(id_of(node) for node in within(copy) if node.type() == "paintlayer")


def _bounds(node) -> Area:
    bounds = node.bounds()
    return Area(bounds.x(), bounds.y(), bounds.width(), bounds.height())


def _without(node, area: Area):
    """A copy of a paint layer that is empty in an area."""
    rest, place = node.clone(), dataclasses.astuple(area)
    rest.setPixelData(bytes(len(node.pixelData(*place))), *place)
    return rest


def _position(document, place: Place, anchor) -> tuple:
    """The group to add to and the layer in it to add above.

    None would be above the selection while something is selected, and after undo and redo the bottom. Above the anchor
    itself for `Place.BELOW` means that there is nothing below it.
    """
    if place is Place.TOP or anchor is None:
        parent = document.rootNode()
    elif place is Place.GROUP:
        parent = anchor if anchor.type() == "grouplayer" else anchor.parentNode()
    else:
        parent = anchor.parentNode()
        if place is not Place.BELOW:
            return parent, anchor
        ids = [id_of(node) for node in layers_in(parent)]
        lower = ids.index(id_of(anchor)) - 1
        return parent, layers_in(parent)[lower] if lower >= 0 else anchor
    return parent, (layers_in(parent) or [None])[-1]


def _add(parent, node, above) -> None:
    if not parent.addChildNode(node, above):
        raise Trouble(tr("Krita did not accept the new layers."), tr("Press Insert to try again."))


def _lower(document, copy, active, helper) -> None:
    """Move the layer above the bottom one below it, and take the helper away that marks the states until then.

    `addChildNode` cannot add below the bottom layer, but Krita's own step down moves the active layer there. That acts
    on the document in front only; in another one it is waited for until that comes to the front.
    """

    def begin() -> None:
        if not is_open(document) or helper.parentNode() is None:
            return
        if active_document() == document and is_idle(document):
            document.setActiveNode(copy)
            QtCore.QTimer.singleShot(ACTIVE_LATE_MS, finish)
        else:
            QtCore.QTimer.singleShot(ACTIVE_LATE_MS, begin)

    def finish() -> None:
        if not is_open(document) or helper.parentNode() is None:
            return
        if active_document() != document or not is_idle(document):
            begin()
            return
        if id_of(document.activeNode()) == id_of(copy):
            Krita.instance().action("move_layer_down").trigger()
            document.waitForDone()
        helper.remove()
        if active is not None:
            _keep_active(document, active, copy)

    begin()


def _fill(stage, group, pictures: Sequence[Picture]) -> None:
    """Put the layers of pictures into a group, bottom first."""
    images: dict[int, list] = {}
    for picture, layer in zip(pictures, _layers(stage, pictures), strict=True):
        images.setdefault(picture.image, []).append(layer)
    for number, layers in enumerate(images.values()):
        if len(images) > 1 and len(layers) > 1:
            inner = stage.createGroupLayer(f"{group.name()} {number + 1}")
            for layer in layers:
                inner.addChildNode(layer, None)
            layers = [inner]
        for layer in layers:
            if number:
                layer.setVisible(False)
            group.addChildNode(layer, None)


def _layers(stage, pictures: Sequence[Picture]) -> list:
    """Paint layers in the colour space of the document."""
    space = space_of(stage)
    if space == SRGB:
        return [_layer(stage, picture) for picture in pictures]
    # A layer takes the colour space of the document that creates it; its pixels may lie outside of that document.
    with hidden(Krita.instance().createDocument(1, 1, "staging", *SRGB, 300.0)) as source:
        root = source.rootNode()
        for node in layers_in(root):
            node.remove()
        for picture in pictures:
            root.addChildNode(_layer(source, picture), None)
        # Through the handles of the layers as they were before they were added this crashes.
        for layer in layers_in(root):
            layer.setColorSpace(*space)
        source.waitForDone()
        return [layer.clone() for layer in layers_in(root)]


def _layer(source, picture: Picture):
    area = picture.area
    if len(picture.pixels) != area.width * area.height * 4:  # Krita says nothing
        raise ValueError(f"{len(picture.pixels)} bytes for {area}")
    layer = source.createNode(picture.name, "paintlayer")
    layer.setPixelData(picture.pixels, area.x, area.y, area.width, area.height)
    layer.setOpacity(round(picture.opacity * 255))
    layer.setVisible(picture.visible)
    return layer


def _keep_active(document, active, added) -> None:
    """Leave the person on the layer they work on. Krita moves to the new layer, some versions only some turns later."""

    def restore() -> None:
        now = document.activeNode() if is_open(document) else None
        if now is not None and now.uniqueId() in {node.uniqueId() for node in within(added)}:
            document.setActiveNode(active)

    for delay in (0, ACTIVE_LATE_MS):
        QtCore.QTimer.singleShot(delay, restore)
