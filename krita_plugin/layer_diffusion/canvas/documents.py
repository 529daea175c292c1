"""Documents, their layers and colour spaces, and what Krita keeps for the plugin."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from krita import Krita

from ..geometry import Area
from ..notices import Trouble
from ..qt import QtCore
from ..settings import SizeMode
from ..translation import tr

GROUP = "layer_diffusion"
SRGB = ("RGBA", "U8", "sRGB-elle-V2-srgbtrc.icc")


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


def space_of(thing) -> tuple[str, str, str]:
    """Return the colour model, depth and profile of a document or a node."""
    return thing.colorModel(), thing.colorDepth(), thing.colorProfile()


def id_of(node) -> str:
    """Return what names a node for as long as its document is open; undo and redo keep it."""
    return node.uniqueId().toString()


def is_layer(node) -> bool:
    """Whether a node is a layer and no mask; a selection is a mask of the root."""
    return not node.type().endswith("mask")


def is_passed_through(node) -> bool:
    """Whether a node is a group whose layers blend with what lies below it; it has no pixels of its own then."""
    return node.type() == "grouplayer" and node.passThroughMode()


def layers_in(node) -> list:
    """Return the layers directly in a group, bottom first."""
    return [child for child in node.childNodes() if is_layer(child)]


def within(node) -> Iterator:
    """Yield the node and everything in it."""
    yield node
    for child in node.childNodes():
        yield from within(child)


@contextlib.contextmanager
def hidden(document):
    """A document without a view, closed afterwards."""
    try:
        yield document
    finally:
        document.waitForDone()
        document.setModified(False)
        document.close()


def hold_on(*handles) -> None:
    """Keep handles of layers and documents until a later turn: the last one to go frees pixels, which takes time."""
    QtCore.QTimer.singleShot(0, lambda: handles and None)


def is_selected(document) -> bool:
    """Whether an area of the document is selected."""
    selection = document.selection()
    return selection is not None and selection.width() > 0 and selection.height() > 0


def area_of(document, mode: SizeMode, width: int, height: int) -> Area:
    """Return the area to generate for.

    `width` and `height` are those of `SizeMode.OWN`, which begins where the selection does or lies in the middle.
    Raises `Trouble` when the selection lies outside of the canvas.
    """
    selection = document.selection()
    if mode is SizeMode.OWN:
        if selection is not None:
            return Area(selection.x(), selection.y(), width, height)
        return Area(0, 0, width, height).centred_in(document.width(), document.height())
    if mode is SizeMode.DOCUMENT or not is_selected(document):
        return Area(0, 0, document.width(), document.height())
    # A selection may reach beyond the canvas, where nobody would see the result.
    left, top = max(0, selection.x()), max(0, selection.y())
    right = min(document.width(), selection.x() + selection.width())
    bottom = min(document.height(), selection.y() + selection.height())
    if left >= right or top >= bottom:
        raise Trouble(tr("The selection lies outside the canvas."), tr("Select an area on the canvas."))
    return Area(left, top, right - left, bottom - top)


def softness(document, area: Area) -> bytes | None:
    """Return how far each pixel of an area is selected, one byte each, 0 to 255; None when nothing is selected."""
    selection = document.selection()
    if selection is None:
        return None
    return bytes(selection.pixelData(area.x, area.y, area.width, area.height))


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
