"""Krita's documents, as this plugin needs them; the only module that calls libkis.

Everything here runs on the GUI thread. What Krita does with each of these calls, and which of them hang or crash when
they are made at the wrong moment, was measured on Krita 5.1, 5.2, 5.3 and 6.0.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from krita import Krita

from .geometry import Area
from .notices import Trouble
from .pixels import Picture
from .qt import QtCore
from .settings import SizeMode

GROUP = "layer_diffusion"
SRGB = ("RGBA", "U8", "sRGB-elle-V2-srgbtrc.icc")
ACTIVE_LATE_MS = 100


def active_document():
    """Return the document in front, or None."""
    return Krita.instance().activeDocument() if Krita.instance().activeWindow() else None


def is_open(document) -> bool:
    """Whether the document is still open; its handle stays harmless when it is not."""
    return any(document == other for other in Krita.instance().documents())


def is_idle(document) -> bool:
    """False while a brush stroke, a filter or an update runs.

    A node added then blocks Krita for over a second and cuts the stroke short. Nothing may be changed between the two
    calls below: `addChildNode` under a lock never returns.
    """
    if not document.tryBarrierLock():
        return False
    document.unlock()
    return True


def area_of(document, mode: SizeMode, width: int, height: int) -> Area:
    """Return the area to generate for.

    `width` and `height` are those of `SizeMode.OWN`, which begins where the selection does or lies in the middle.
    Raises `Trouble` when there is no selection to take.
    """
    selection = document.selection()
    if mode is SizeMode.OWN:
        if selection is not None:
            return Area(selection.x(), selection.y(), width, height)
        return Area(0, 0, width, height).centred_in(document.width(), document.height())
    if mode is SizeMode.DOCUMENT:
        return Area(0, 0, document.width(), document.height())
    if selection is None or not selection.width() or not selection.height():
        raise Trouble("Nothing is selected.", "Select an area, or set the size to Document.")
    # A selection may reach beyond the canvas, where nobody would see the result.
    left, top = max(0, selection.x()), max(0, selection.y())
    right = min(document.width(), selection.x() + selection.width())
    bottom = min(document.height(), selection.y() + selection.height())
    if left >= right or top >= bottom:
        raise Trouble("The selection lies outside the canvas.", "Select an area on the canvas.")
    return Area(left, top, right - left, bottom - top)


def insert(document, name: str, pictures: Sequence[Picture]) -> None:
    """Put pictures, bottom first, on top of the document as one group: one undo step.

    In a batch the images are alternatives: the first one is shown, and each that has several layers gets a group of its
    own. Selection and active layer stay as they are. Call it only when `is_idle`. Raises `Trouble` when Krita refuses.
    """
    active = document.activeNode()
    # Each node added is an undo step of its own, in a group outside of a document too: hence a second document. A clone
    # shares the pixels; a new document takes Krita many times as long.
    with _hidden(document.clone()) as stage:
        group = stage.createGroupLayer(name)
        _fill(stage, group, pictures)
        copy = group.clone()
    root = document.rootNode()
    layers = [node for node in root.childNodes() if not node.type().endswith("mask")]
    # Not above None: while something is selected that is above the selection mask, and after undo and redo the bottom.
    if not root.addChildNode(copy, layers[-1] if layers else None):
        raise Trouble("Krita did not accept the new layers.", "Press Insert to try again.")
    # A group that was never in a document has not been rendered, and adding it does not do it.
    document.refreshProjection()
    if active is not None:
        _keep_active(document, active, copy)


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
    """Paint layers in 8-bit sRGB, which Krita composites rightly in documents of any colour space."""
    if (stage.colorModel(), stage.colorDepth(), stage.colorProfile()) == SRGB:
        return [_layer(stage, picture) for picture in pictures]
    # A layer takes the colour space of the document that creates it; its pixels may lie outside of that document.
    with _hidden(Krita.instance().createDocument(1, 1, "staging", *SRGB, 300.0)) as source:
        return [_layer(source, picture).clone() for picture in pictures]


def _layer(source, picture: Picture):
    area = picture.area
    if len(picture.pixels) != area.width * area.height * 4:  # Krita says nothing
        raise ValueError(f"{len(picture.pixels)} bytes for {area}")
    layer = source.createNode(picture.name, "paintlayer")
    layer.setPixelData(picture.pixels, area.x, area.y, area.width, area.height)
    layer.setOpacity(round(picture.opacity * 255))
    layer.setVisible(picture.visible)
    return layer


@contextlib.contextmanager
def _hidden(document):
    """A document without a view, closed afterwards."""
    try:
        yield document
    finally:
        document.waitForDone()
        document.setModified(False)
        document.close()


def _keep_active(document, active, added) -> None:
    """Leave the person on the layer they work on. Krita moves to the new layer, some versions only some turns later."""

    def restore() -> None:
        now = document.activeNode() if is_open(document) else None
        if now is not None and now.uniqueId() in {node.uniqueId() for node in _within(added)}:
            document.setActiveNode(active)

    for delay in (0, ACTIVE_LATE_MS):
        QtCore.QTimer.singleShot(delay, restore)


def _within(node) -> Iterator:
    """The node and everything in it."""
    yield node
    for child in node.childNodes():
        yield from _within(child)


def read_setting(name: str, default: str) -> str:
    """Return a setting of the plugin from Krita's own settings."""
    return Krita.instance().readSetting(GROUP, name, default)


def write_setting(name: str, value: str) -> None:
    """Keep a setting of the plugin in Krita's own settings."""
    Krita.instance().writeSetting(GROUP, name, value)


def data_folder() -> Path:
    """Return the folder where the plugin may leave files."""
    return Path(Krita.instance().getAppDataLocation()) / GROUP


def version() -> str:
    """Return Krita's version."""
    return Krita.instance().version()


def on_closing(callback: Callable[[], None]) -> None:
    """Call back when Krita is about to quit."""
    Krita.instance().notifier().applicationClosing.connect(callback)
