"""The list of what a small model can draw, to look through and to choose from."""

from __future__ import annotations

from collections.abc import Sequence

from ..qt import QtCore, QtWidgets
from ..translation import tr

SIZE = (230, 320)


class ObjectList(QtWidgets.QFrame):
    """A popup with a search field and the names; a click on a name emits it."""

    chosen = QtCore.pyqtSignal(str)

    def __init__(self, parent) -> None:
        super().__init__(parent, QtCore.Qt.WindowType.Popup)
        self.setObjectName("objects_popup")
        self.setFrameShape(QtWidgets.QFrame.Shape.StyledPanel)
        self.search = QtWidgets.QLineEdit()
        self.search.setObjectName("objects_search")
        self.search.setPlaceholderText(tr("Search"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.names = QtWidgets.QListWidget()
        self.names.setObjectName("objects_names")
        self.names.itemClicked.connect(self._choose)
        self.names.itemActivated.connect(self._choose)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.addWidget(self.search)
        column.addWidget(self.names)
        self.resize(*SIZE)

    def open_at(self, widget, names: Sequence[str]) -> None:
        """Show the names below a widget, inside of the screen."""
        self.names.clear()
        self.names.addItems(sorted(names, key=str.lower))
        self.search.clear()
        corner = widget.mapToGlobal(QtCore.QPoint(widget.width() - self.width(), widget.height() + 2))
        room = widget.window().geometry()
        corner.setX(max(room.left(), corner.x()))
        corner.setY(max(room.top(), min(corner.y(), room.bottom() - self.height())))
        self.move(corner)
        self.show()
        self.search.setFocus()

    def _filter(self, text: str) -> None:
        for row in range(self.names.count()):
            item = self.names.item(row)
            item.setHidden(text.lower() not in item.text().lower())

    def _choose(self, item) -> None:
        if self.isVisible():  # a click can also be an activation, depending on the desktop
            self.hide()
            self.chosen.emit(item.text())
