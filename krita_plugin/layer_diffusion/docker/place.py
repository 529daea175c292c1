"""Where results go."""

from __future__ import annotations

from ..qt import QtCore
from ..translation import mark, tr
from . import fields

REPLACE, ABOVE = "replace", "above"
PLACES = {
    "top": mark("On top of all layers"),
    ABOVE: mark("Above the active layer"),
    "below": mark("Below the active layer"),
    "group": mark("In the active group"),
    REPLACE: mark("In place of the layer"),
}
"""Values of `canvas.Place`, and what they are called."""


class PlaceBox(fields.Box):
    """The places in the stack of layers. Where there is no layer to replace, it says what happens instead."""

    wanted_another = QtCore.pyqtSignal()

    def __init__(self) -> None:
        super().__init__("place", tr("Where in the stack of layers the result goes."))
        for place, name in PLACES.items():
            self.addItem(tr(name), place)
        self.fit(*map(tr, PLACES.values()))
        self._wanted, self._replaces = self.currentData(), True
        self.currentIndexChanged.connect(lambda *_: self._chosen())
        # To choose what is shown changes what is wanted, too.
        self.activated.connect(lambda *_: self._chosen())

    def wanted(self) -> str:
        """Return the chosen place, also while there is no layer to replace."""
        return self._wanted

    @property
    def shown(self) -> str:
        """Where a result goes now."""
        return self.currentData()

    def want(self, place: str) -> None:
        """Choose a place; an unknown one is the first."""
        self._wanted = place if place in PLACES else self.itemData(0)
        shown = ABOVE if self._wanted == REPLACE and not self._replaces else self._wanted
        self.blockSignals(True)
        self.setCurrentIndex(self.findData(shown))
        self.blockSignals(False)

    def show_for(self, replaces: bool) -> None:
        """Offer to replace a layer, or not."""
        self._replaces = replaces
        self.model().item(self.findData(REPLACE)).setEnabled(replaces)
        self.want(self._wanted)

    def _chosen(self) -> None:
        self._wanted = self.currentData()
        self.wanted_another.emit()
