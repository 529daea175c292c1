"""What a person is asked at the first start: three ways to a first picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from ..qt import QtCore, QtWidgets
from ..translation import mark, tr
from .parts import Note

Policy = QtWidgets.QSizePolicy.Policy


class Way(Enum):
    """The ways, with what is written on their buttons."""

    BUILTIN = mark("Try the built-in model now")
    LAYERS = mark("Install SDXL layers…")
    REMOTE = mark("Connect to another machine…")


ABOUT = {
    Way.BUILTIN: mark("Small pictures of a few hundred things, on any computer, without a download."),
    Way.LAYERS: mark("For real work, with a graphics card. What you have in other programs is used."),
    Way.REMOTE: mark("The backend runs there, Krita here."),
}


class FirstStart(QtWidgets.QFrame):
    """A button for each way that `ways` has, with a sentence below it; after a choice it is `done`."""

    done = QtCore.pyqtSignal()

    def __init__(self, ways: Mapping[Way, Callable[[], None]]) -> None:
        super().__init__()
        self.setObjectName("first_start")
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(4)
        for way, does in ways.items():
            button = QtWidgets.QPushButton(tr(way.value))
            button.setObjectName(f"first_{way.name.lower()}")
            button.setSizePolicy(Policy.Ignored, Policy.Fixed)
            button.clicked.connect(lambda _checked, does=does: self._go(does))
            note = Note(f"first_{way.name.lower()}_about")
            note.say(tr(ABOUT[way]))
            column.addWidget(button)
            column.addWidget(note)

    def leave(self) -> None:
        """Go away for good: the person has found a way."""
        self.hide()
        self.done.emit()

    def _go(self, does: Callable[[], None]) -> None:
        self.leave()
        does()
