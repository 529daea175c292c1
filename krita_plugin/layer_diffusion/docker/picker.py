"""A picker for a layer that goes along with a request, with a thumbnail of exactly what will be sent."""

from __future__ import annotations

from collections.abc import Sequence

from ..qt import QtCore, QtWidgets
from ..translation import tr
from . import fields, look

SIDE = 44
"""Pixels, of the square that the thumbnail fits into."""


class LayerPicker(QtWidgets.QWidget):
    """The name of what the layer is for, a list of what the document offers for it, and the thumbnail."""

    changed = QtCore.pyqtSignal()

    def __init__(self, name: str, label: str, usual: Sequence[str]) -> None:
        """`usual` are names that every document offers."""
        super().__init__()
        self.setObjectName(f"{name}_picker")
        self.box = fields.Box(name)
        self.box.fit(*usual)
        self.box.activated.connect(lambda *_: self._chosen())
        self.picture = QtWidgets.QLabel()
        self.picture.setObjectName(f"{name}_thumbnail")
        self.picture.setFixedSize(SIDE, SIDE)
        self.picture.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        fields.grid(self, [(label, fields.row(self.box, self.picture, stretch=self.box))])
        self._offered: list[tuple[str, str]] = []
        self._wanted = ""
        self.show_picture(None, "")

    def wanted(self) -> str:
        """Return the choice's text; it stays chosen while the document has no such layer."""
        return self._wanted

    def want(self, text: str) -> None:
        """Choose by a choice's text."""
        self._wanted = text
        self._select()

    def offer(self, choices: Sequence[tuple[str, str]]) -> None:
        """Show what can be chosen, as (text of the choice, name for people)."""
        if list(choices) == self._offered:
            return
        self._offered = list(choices)
        self.box.clear()
        for text, name in choices:
            self.box.addItem(name, text)
        self._select()

    def show_picture(self, image, trouble: str) -> None:
        """Show a `QImage` of what will be sent over a checkerboard, or nothing and why in the tooltip."""
        self.picture.setPixmap(look.on_checkerboard(image, self.palette(), SIDE, self.devicePixelRatioF()))
        self.picture.setToolTip(trouble or tr("Exactly this is sent."))

    def _select(self) -> None:
        index = self.box.findData(self._wanted)
        self.box.setCurrentIndex(index if index >= 0 or self._wanted else 0)
        self.box.setToolTip(self.box.currentText().strip())  # where there is no room for all of it

    def _chosen(self) -> None:
        self.want(self.box.currentData())
        self.changed.emit()
