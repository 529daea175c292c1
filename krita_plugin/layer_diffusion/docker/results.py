"""The history of results: thumbnails, and what can be done with the chosen one."""

from __future__ import annotations

from collections.abc import Sequence

from ..cards import Card
from ..qt import QtCore, QtWidgets
from ..translation import told, tr
from . import fields
from .icons import IconButton, eye, menu
from .parts import ShortNote
from .results_list import CardList, Going
from .results_menu import REMAKES, Act, WhyNot, add, fill

Policy = QtWidgets.QSizePolicy.Policy


class ResultsView(QtWidgets.QWidget):
    """A head line, the cards, what is wrong with the newest one, and a row of buttons.

    Without results it is the head line alone.
    """

    previewed = QtCore.pyqtSignal(str)
    """Id of the card to show on the canvas, "" for none."""
    asked = QtCore.pyqtSignal(object, object, object)
    """An `Act`, the `Card` that it is for, and what `results_menu.fill` says of it."""
    applying = QtCore.pyqtSignal(bool)
    """Whether new results go into the document at once."""

    def __init__(self, why_not: WhyNot) -> None:
        super().__init__()
        self.setObjectName("results_view")
        self.why_not = why_not
        self.title = QtWidgets.QLabel(tr("Results"))
        self.applies = QtWidgets.QCheckBox(tr("Insert at once"))
        self.applies.setObjectName("apply_at_once")
        self.applies.setToolTip(tr("New results go into the document as layers; without it they wait here."))
        self.applies.setChecked(True)
        self.applies.toggled.connect(self.applying)
        tip = tr("Show on the canvas what comes into being while a job runs.")
        self.live = IconButton("live_preview", eye, tip, checkable=True)
        self.cards = CardList()
        self.cards.clicked_card.connect(self._clicked)
        self.cards.moved_to.connect(self._moved)
        self.cards.acted.connect(lambda act: self._ask(act, None))
        self.cards.itemSelectionChanged.connect(lambda: self._enable())
        self.cards.customContextMenuRequested.connect(self._open_menu)
        self.advice = ShortNote("results_advice")
        self._make_buttons()
        self._previewed = ""
        head = QtWidgets.QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.applies)
        head.addWidget(self.live)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(fields.SPACE, 2, fields.RIGHT, fields.SPACE)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.cards, 1)
        column.addWidget(self.advice)
        column.addWidget(self.buttons)
        column.addStretch()  # has the room while there are no cards, which take it first
        self._show_parts()

    def show_cards(self, cards: Sequence[Card]) -> None:
        """Show the history of the document in front, newest first."""
        self.cards.show_cards(cards)
        # Not for the chosen card, at which its mark points: a note that comes at a click moves what is clicked on.
        self.advice.say(told(cards[0].advice) if cards else "")
        self._show_parts()

    def show_going(self, going: Sequence[Going]) -> None:
        """Show the jobs that are going on for the document in front."""
        self.cards.show_going(going)
        self._show_parts()

    def show_previewed(self, card_id: str) -> None:
        """Say which card is on the canvas, "" for none."""
        self._previewed = card_id

    def _make_buttons(self) -> None:
        self.insert = QtWidgets.QPushButton(tr("Insert"))
        self.insert.setObjectName("card_apply")
        self.insert.setToolTip(tr("Put it into the document as layers."))
        self.insert.setSizePolicy(Policy.Ignored, Policy.Fixed)
        self.insert.clicked.connect(lambda: self._ask(Act.APPLY, None))
        self.again = QtWidgets.QToolButton()
        self.again.setObjectName("card_again")
        self.again.setText(tr("Again"))
        self.again.setToolTip(tr("The same with another seed; the arrow offers single layers."))
        self.again.setPopupMode(QtWidgets.QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.again.clicked.connect(lambda: self._ask(Act.AGAIN, None))
        self.again_menu = QtWidgets.QMenu(self)
        self.again_menu.setObjectName("again_menu")
        self.again_menu.aboutToShow.connect(self._fill_again)
        self.again.setMenu(self.again_menu)
        self.star = QtWidgets.QToolButton()
        self.star.setObjectName("card_favourite")
        self.star.setText("★")
        self.star.setCheckable(True)
        self.star.setToolTip(tr("Favourites stay when the history has no more room."))
        self.star.clicked.connect(lambda: self._ask(Act.FAVOURITE, None))
        self.more = IconButton("card_more", menu, tr("Copy, save, use as condition, delete"))
        # A button with a menu of its own would draw an arrow over the icon.
        self.more.clicked.connect(lambda: self.menu.popup(self.more.mapToGlobal(self.more.rect().topLeft())))
        self.menu = QtWidgets.QMenu(self)
        self.menu.setObjectName("card_menu")
        self.menu.aboutToShow.connect(self._fill_menu)
        self.buttons = QtWidgets.QWidget()
        row = QtWidgets.QHBoxLayout(self.buttons)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.insert, 1)
        for button in (self.again, self.star, self.more):
            row.addWidget(button)

    def _show_parts(self) -> None:
        is_empty = self.cards.count() == 0
        for part in (self.cards, self.buttons):
            part.setVisible(not is_empty)
        self._enable()

    def _enable(self) -> None:
        card = self.cards.current
        for button in (self.insert, self.again, self.star, self.more):
            button.setEnabled(card is not None)
        self.star.setChecked(card is not None and card.favourite)

    def _fill_menu(self) -> None:
        card = self.cards.current
        if card is not None:
            fill(self.menu, card, self._ask, self.why_not)

    def _fill_again(self) -> None:
        card = self.cards.current
        if card is not None:
            self.again_menu.clear()
            self.again_menu.setToolTipsVisible(True)
            for act in (Act.AGAIN, *REMAKES):
                add(self.again_menu, card, act, self._ask, self.why_not)

    def _ask(self, act: Act, detail: object) -> None:
        card = self.cards.current
        if card is not None:
            self.asked.emit(act, card, detail)

    def _clicked(self, card_id: str) -> None:
        """A second click takes the card from the canvas again."""
        self.previewed.emit("" if card_id == self._previewed else card_id)

    def _moved(self, card_id: str) -> None:
        if self._previewed:
            self.previewed.emit(card_id)

    def _open_menu(self, point) -> None:
        if self.cards.itemAt(point) is not None and self.cards.current is not None:
            self.menu.popup(self.cards.viewport().mapToGlobal(point))
