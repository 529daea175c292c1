"""The size of the result."""

from __future__ import annotations

from ..protocol.limits import MAX_SIDE, MIN_SIDE
from ..qt import QtWidgets
from ..settings import SizeMode
from ..translation import mark, tr
from . import fields
from .parts import Note

NAMES = {
    SizeMode.SELECTION: mark("Selection, else all"),
    SizeMode.DOCUMENT: mark("Document"),
    SizeMode.OWN: mark("Own size"),
}


class Size(QtWidgets.QWidget):
    """Which part of the document the result is for, and how large that is; `fields` are its settings by name."""

    def __init__(self) -> None:
        super().__init__()
        self.mode = fields.choices("size_mode", NAMES, tr("Which part of the document the result is for."))
        self.own_width, self.own_height = _side("own_width"), _side("own_height")
        self.own = fields.row(self.own_width, QtWidgets.QLabel("×"), self.own_height)
        self.note = Note("size_note")
        self.note.hide()
        self.clip = QtWidgets.QCheckBox(tr("Clip to the selection's edge"))
        self.clip.setObjectName("clip")
        self.clip.setToolTip(tr("Where an area is selected in part, at a soft edge, the result is as transparent."))
        fields.grid(self, [(tr("Size"), self.mode), ("", self.own), ("", self.note), ("", self.clip)])
        self.fields = {
            "size_mode": fields.choice(self.mode, SizeMode),
            "width": fields.number(self.own_width),
            "height": fields.number(self.own_height),
            "clip": fields.check(self.clip),
        }
        self._is_selected = False
        self.mode.currentIndexChanged.connect(lambda *_: self._show_parts())
        self._show_parts()

    def show_area(self, note: str, is_selected: bool) -> None:
        """Say how large the result will be; only what is selected has an edge to clip to."""
        self.note.say(note)
        self._is_selected = is_selected
        self._show_parts()

    def _show_parts(self) -> None:
        mode = self.mode.currentData()
        self.own.setVisible(mode == SizeMode.OWN.value)
        self.clip.setVisible(self._is_selected and mode == SizeMode.SELECTION.value)


def _side(name: str):
    field = fields.whole(name, MIN_SIDE, MAX_SIDE, "")
    field.setSingleStep(64)
    field.setSuffix(" px")
    field.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
    return field
