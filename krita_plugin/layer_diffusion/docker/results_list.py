"""The cards of the history, newest first, and before them the jobs that are going on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..cards import Card
from ..qt import QtCore, QtGui, QtWidgets
from ..translation import told, tr
from . import look
from .results_menu import Act

SIDE = 84
"""Pixels, of the square that a thumbnail fits into."""
MARGIN = 4
Key = QtCore.Qt.Key
KEYS = {
    Key.Key_Return: Act.APPLY, Key.Key_Enter: Act.APPLY, Key.Key_Delete: Act.DELETE, Key.Key_Space: Act.FAVOURITE,
}  # fmt: skip
_Id = QtCore.Qt.ItemDataRole.UserRole


@dataclass(frozen=True)
class Going:
    """A job that is going on, as its card shows it: `preview` is a `QImage` or None, `fraction` 0 to 1."""

    job: str
    text: str
    fraction: float
    preview: object = None


class CardList(QtWidgets.QListWidget):
    """Thumbnails over a checkerboard."""

    clicked_card = QtCore.pyqtSignal(str)
    """Id of the card that was clicked, "" for none."""
    moved_to = QtCore.pyqtSignal(str)
    """Id of the card that the keys went to."""
    acted = QtCore.pyqtSignal(object)
    """An `Act` for the current card, by double-click or key."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("results")
        self.setViewMode(QtWidgets.QListView.ViewMode.IconMode)
        self.setResizeMode(QtWidgets.QListView.ResizeMode.Adjust)
        self.setMovement(QtWidgets.QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setIconSize(QtCore.QSize(SIDE, SIDE))
        self.setGridSize(QtCore.QSize(SIDE + 2 * MARGIN, SIDE + 2 * MARGIN))
        self.setItemDelegate(_Framed(self))
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QtWidgets.QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setMinimumHeight(self.gridSize().height() + 2 * self.frameWidth())
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred)
        self.setContextMenuPolicy(QtCore.Qt.ContextMenuPolicy.CustomContextMenu)
        self.cards: tuple[Card, ...] = ()
        self._going: tuple[Going, ...] = ()
        self._is_double = False
        self._drawn: dict[tuple[str, bool], tuple[object, str]] = {}
        self._undrawn: list[tuple[Card, Any]] = []
        self._blank = _blank()
        self._drawing = QtCore.QTimer(self)
        self._drawing.timeout.connect(self._draw_next)

    @property
    def current(self) -> Card | None:
        """The chosen card."""
        item = self.currentItem()
        wanted = item.data(_Id) if item is not None and item.isSelected() else None
        return next((card for card in self.cards if card.id == wanted), None)

    def choose_next(self, by: int) -> Card | None:
        """Choose the card that lies `by` places after the chosen one, or the newest one; return what is chosen then."""
        if self.cards:
            first = self.count() - len(self.cards)
            row = self.currentRow() + by if self.current is not None else first
            self.setCurrentRow(min(max(row, first), self.count() - 1))
        return self.current

    def show_cards(self, cards: Sequence[Card]) -> None:
        """Show these cards; the one that was chosen stays so while it is there."""
        if tuple(cards) != self.cards:
            chosen, scrolled = self.current, self.verticalScrollBar().value()
            is_newest_known = bool(cards) and cards[0] in self.cards
            self.cards = tuple(cards)
            here = {card.id for card in self.cards}
            self._drawn = {key: drawn for key, drawn in self._drawn.items() if key[0] in here}
            self._fill(chosen)
            self.verticalScrollBar().setValue(scrolled if is_newest_known else 0)

    def show_going(self, going: Sequence[Going]) -> None:
        """Show jobs that are going on."""
        if [one.job for one in going] != [one.job for one in self._going]:
            self._going = tuple(going)
            self._fill(self.current)
        elif tuple(going) != self._going:
            self._going = tuple(going)
            for row, one in enumerate(self._going):
                self._draw_going(self.item(row), one)

    def sizeHint(self):  # noqa: N802 - Qt's name
        """One row of cards; there may be room for more."""
        return QtCore.QSize(0, self.minimumHeight())

    def event(self, event) -> bool:
        """Keep our keys from Krita's own shortcuts."""
        if event.type() == QtCore.QEvent.Type.ShortcutOverride and event.key() in KEYS:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """Act on the current card, or go to another one."""
        if event.key() in KEYS:
            self.acted.emit(KEYS[event.key()])
        elif event.key() == Key.Key_Escape:
            self.clicked_card.emit("")
        else:
            before = self.current
            super().keyPressEvent(event)
            if self.current is not None and self.current != before:
                self.moved_to.emit(self.current.id)

    def mouseReleaseEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """A click, with the first button, on a card or beside all of them."""
        super().mouseReleaseEvent(event)
        was_double, self._is_double = self._is_double, False
        if event.button() == QtCore.Qt.MouseButton.LeftButton and not was_double:
            item = self.itemAt(event.pos())
            if item is None:
                self.clearSelection()
            self.clicked_card.emit(item.data(_Id) if item is not None else "")

    def mouseDoubleClickEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """The second press of a double-click; the release after it is no click."""
        super().mouseDoubleClickEvent(event)
        self._is_double = True
        if self.current is not None:
            self.acted.emit(Act.APPLY)

    def changeEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """Follow the theme."""
        if event.type() == QtCore.QEvent.Type.PaletteChange and self.cards:
            self._drawn.clear()
            self._fill(self.current)
        super().changeEvent(event)

    def _fill(self, chosen: Card | None) -> None:
        self.clear()
        self._undrawn = []
        for one in self._going:
            item = QtWidgets.QListWidgetItem()
            item.setFlags(QtCore.Qt.ItemFlag.ItemIsEnabled)
            item.setData(_Id, "")
            self._draw_going(item, one)
            self.addItem(item)
        for card in self.cards:
            item = QtWidgets.QListWidgetItem()
            item.setData(_Id, card.id)
            icon, words = self._drawn.get(_look_of(card), (self._blank, ""))
            item.setIcon(icon)
            item.setToolTip(words)
            self.addItem(item)
            if icon is self._blank:
                self._undrawn.append((card, item))
            if chosen is not None and card.id == chosen.id:
                self.setAutoScroll(False)  # the chosen one need not be seen
                self.setCurrentItem(item)
                self.setAutoScroll(True)
        self._draw_next()  # most often it is the only one

    def _draw_next(self) -> None:
        """Drawing one takes a millisecond, and a history has many: one in each turn of the event loop."""
        if not self._undrawn:
            self._drawing.stop()
            return
        card, item = self._undrawn.pop(0)
        icon, words = self._drawn[_look_of(card)] = QtGui.QIcon(self._thumbnail(card)), _about(card)
        item.setIcon(icon)
        item.setToolTip(words)
        self._drawing.start()

    def _thumbnail(self, card: Card):
        width, height, pixels = card.thumbnail
        image = QtGui.QImage(pixels, width, height, width * 4, QtGui.QImage.Format.Format_ARGB32)
        picture = look.on_checkerboard(image, self.palette(), SIDE, self.devicePixelRatioF())
        if card.favourite:
            look.draw_star(picture, QtCore.QPointF(SIDE - 12, 12), 8)
        if card.advice:
            look.draw_warning(picture, QtCore.QPointF(12, SIDE - 12), 8)
        return picture

    def _draw_going(self, item, one: Going) -> None:
        picture = look.on_checkerboard(one.preview, self.palette(), SIDE, self.devicePixelRatioF())
        painter = QtGui.QPainter(picture)
        painter.fillRect(0, SIDE - 6, SIDE, 6, self.palette().color(look.Role.Window))
        painter.fillRect(0, SIDE - 6, round(SIDE * one.fraction), 6, self.palette().color(look.Role.Highlight))
        painter.end()
        item.setIcon(QtGui.QIcon(picture))
        item.setToolTip(one.text)


class _Framed(QtWidgets.QStyledItemDelegate):
    """Shows what is chosen by a frame, so that its colours stay as they are."""

    def paint(self, painter, option, index) -> None:
        """Draw one card."""
        style, state = QtWidgets.QStyle, QtWidgets.QStyle.StateFlag
        is_chosen = bool(option.state & state.State_Selected)
        option.state &= ~(state.State_Selected | state.State_HasFocus)
        super().paint(painter, option, index)
        if is_chosen:
            self.initStyleOption(option, index)
            part = style.SubElement.SE_ItemViewItemDecoration
            where = QtCore.QRectF(option.widget.style().subElementRect(part, option, option.widget))
            pen = QtGui.QPen(option.palette.color(look.Role.Highlight), 3)
            pen.setJoinStyle(QtCore.Qt.PenJoinStyle.MiterJoin)
            painter.setPen(pen)
            painter.drawRect(where.adjusted(1.5, 1.5, -1.5, -1.5))


def _blank():
    """What takes the room of an icon that is not drawn yet."""
    picture = QtGui.QPixmap(SIDE, SIDE)
    picture.fill(QtCore.Qt.GlobalColor.transparent)
    return QtGui.QIcon(picture)


def _look_of(card: Card) -> tuple[str, bool]:
    """What its icon depends on."""
    return card.id, card.favourite


def _about(card: Card) -> str:
    request = card.request
    size = f"{card.area.width} × {card.area.height} px"
    how = tr("Click to see it on the canvas, double-click to insert it.")
    what = f"{size}, {tr('Seed')} {request.seed}, {request.model}"
    return "\n".join(filter(None, (card.name, what, told(card.advice), how)))
