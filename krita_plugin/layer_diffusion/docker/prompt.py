"""The prompt field, which knows the names of the objects that the chosen model can draw."""

from __future__ import annotations

from ..qt import QtCore, QtGui, QtWidgets
from ..words import suggestions

LINES = 3
Key = QtCore.Qt.Key
CHOOSE = (Key.Key_Down, Key.Key_Up)


class PromptEdit(QtWidgets.QPlainTextEdit):
    """A text of a few lines; Ctrl+Enter submits it."""

    submitted = QtCore.pyqtSignal()

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self.names: tuple[str, ...] = ()
        self.setTabChangesFocus(True)
        metrics = self.fontMetrics()
        frame = 2 * (self.frameWidth() + int(self.document().documentMargin()))
        self.setFixedHeight(metrics.lineSpacing() * LINES + frame)
        # A list in the window rather than a popup: a popup would take the keys and the next click.
        self._list = QtWidgets.QListWidget(self.window())
        self._list.setObjectName("suggestions")
        self._list.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
        self._list.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setStyleSheet("#suggestions { border: 1px solid palette(highlight); }")
        self._list.itemClicked.connect(lambda item: self._take(item))
        self._list.hide()
        self.textChanged.connect(self._suggest)

    def event(self, event) -> bool:
        """Keep Ctrl+Enter from Krita's own shortcuts, and Tab from moving the focus away from the suggestions."""
        if event.type() == QtCore.QEvent.Type.ShortcutOverride and _submits(event):
            event.accept()
            return True
        if event.type() == QtCore.QEvent.Type.KeyPress and event.key() == Key.Key_Tab and self._list.isVisible():
            self._take(self._list.currentItem() or self._list.item(0))
            return True
        return super().event(event)

    def keyPressEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """Submit, or move in the suggestions; the rest is typing."""
        if _submits(event):
            self._list.hide()
            self.submitted.emit()
        elif self._list.isVisible() and event.key() == Key.Key_Escape:
            self._list.hide()
        elif self._list.isVisible() and event.key() in CHOOSE:
            step = -1 if event.key() == Key.Key_Up else 1
            self._list.setCurrentRow((self._list.currentRow() + step) % self._list.count())
        elif self._list.isVisible() and _is_enter(event) and self._list.currentItem() is not None:
            self._take(self._list.currentItem())
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """Suggestions belong to typing."""
        self._list.hide()
        super().focusOutEvent(event)

    def hideEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """The list is not inside of this widget and would stay."""
        self._list.hide()
        super().hideEvent(event)

    def add(self, name: str) -> None:
        """Put a name at the end, on a line of its own words."""
        text = self.toPlainText().rstrip(" ,")
        self.setPlainText(f"{text}, {name}" if text else name)
        self.moveCursor(QtGui.QTextCursor.MoveOperation.End)
        self._list.hide()

    def _suggest(self) -> None:
        cursor = self.textCursor()
        at_end = cursor.position() == len(self.toPlainText())
        found = suggestions(self.toPlainText(), self.names) if at_end and self.hasFocus() else []
        self._list.clear()
        for start, name in found:
            item = QtWidgets.QListWidgetItem(name)
            item.setData(QtCore.Qt.ItemDataRole.UserRole, start)
            self._list.addItem(item)
        if not found:
            self._list.hide()
            return
        self._list.setParent(self.window())
        below = self.mapTo(self.window(), QtCore.QPoint(0, self.height()))
        rows = min(len(found), 6)
        height = self._list.sizeHintForRow(0) * rows + 2 * self._list.frameWidth()
        self._list.setGeometry(below.x(), below.y(), self.width(), height)
        self._list.raise_()
        self._list.show()

    def _take(self, item) -> None:
        start = item.data(QtCore.Qt.ItemDataRole.UserRole)
        self.setPlainText(self.toPlainText()[:start] + item.text())
        self.moveCursor(QtGui.QTextCursor.MoveOperation.End)
        self._list.hide()
        self.setFocus()


def _is_enter(event) -> bool:
    return event.key() in (Key.Key_Return, Key.Key_Enter)


def _submits(event) -> bool:
    return _is_enter(event) and bool(event.modifiers() & QtCore.Qt.KeyboardModifier.ControlModifier)
