"""Several of Krita's undo steps as one for the person.

Krita's plugins cannot join undo steps. Where a change takes several, the states between them can be told by layers that
are together in the document then and never otherwise; undo and redo that end in such a state go on.
"""

from __future__ import annotations

from krita import Krita

from ..qt import QtCore
from .documents import active_document, id_of, is_open, within

CONNECTED = "layer_diffusion_connected"
_between: list[tuple[object, frozenset[str]]] = []


def never_stop_at(document, *nodes) -> None:
    """Let undo and redo go on in every state of the document that holds all of these nodes."""
    _between[:] = [(other, marks) for other, marks in _between if is_open(other)]
    _between.append((document, frozenset(id_of(node) for node in nodes)))


def follow_undo() -> None:
    """See to it in the window in front, each of which has actions of its own; the docker of each window calls it."""
    for name in ("edit_undo", "edit_redo"):
        action = Krita.instance().action(name)
        if action is not None and not action.property(CONNECTED):
            action.setProperty(CONNECTED, True)
            # By its name: a slot that held the action would make a cycle, which is collected, and the slot with it.
            action.triggered.connect(lambda *_, name=name: QtCore.QTimer.singleShot(0, lambda: _go_on(name)))


def _go_on(name: str) -> None:
    document = active_document()
    if document is None:
        return
    document.waitForDone()
    there = {id_of(node) for node in within(document.rootNode())}
    if any(other == document and marks <= there for other, marks in _between):
        Krita.instance().action(name).trigger()
