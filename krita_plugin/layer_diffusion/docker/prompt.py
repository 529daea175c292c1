"""The fields for prompts, which know what the chosen model can draw, the LoRAs, and what was asked for before."""

from __future__ import annotations

from dataclasses import dataclass

from ..jobs import prompt_line
from ..qt import QtCore, QtGui, QtWidgets
from ..translation import mark, tr
from ..words import emphasised, lora_suggestions, remembered, suggestions

LINES = 3
MOST_LINES = 8
"""A field grows with its text up to here, and scrolls then."""
Key = QtCore.Qt.Key
CHOOSE = (Key.Key_Down, Key.Key_Up)
EMPHASIS_STEP = 0.05
ENDS = " ,.;:()\n"
"""What may follow the word that is completed."""
Modifier = QtCore.Qt.KeyboardModifier
KEYS = (
    mark("Ctrl+Enter: generate"), mark("Ctrl+Up, Ctrl+Down: weight of the word or of what is selected"),
    mark("Alt+Up, Alt+Down: earlier prompts"),
)  # fmt: skip
COMPLETION = mark("Tab or Enter: take a suggestion")
CORNER = 14
"""Pixels, of the button that offers earlier prompts."""


@dataclass
class Vocabulary:
    """What fields suggest: names of what the model can draw, and LoRAs."""

    names: tuple[str, ...] = ()
    loras: tuple[str, ...] = ()


class PromptEdit(QtWidgets.QPlainTextEdit):
    """A text of a few lines, `lines` when it is empty.

    Ctrl+Enter submits it; Ctrl+Up and Ctrl+Down change the weight of what is selected or of the word at the cursor;
    Alt+Up and Alt+Down bring earlier prompts.

    Attributes:
        name: what it is called among the settings.
    """

    submitted = QtCore.pyqtSignal()

    def __init__(self, name: str, about: str, vocabulary: Vocabulary | None = None, lines: int = LINES) -> None:
        super().__init__()
        self.name = name
        self.setObjectName(name)
        keys = KEYS if vocabulary is None else (*KEYS, COMPLETION)
        self.setToolTip("\n".join((about, *map(tr, keys))))
        self._vocabulary, self._lines = vocabulary or Vocabulary(), lines
        self._earlier: list[str] = []
        self._shown, self._draft = -1, ""
        self._make_corner()
        self.setTabChangesFocus(True)
        layout = self.document().documentLayout()
        layout.documentSizeChanged.connect(self._grow)
        self._grow(layout.documentSize())
        # A list in the window rather than a popup: a popup would take the keys and the next click.
        self._list = QtWidgets.QListWidget(self.window())
        self._list.setObjectName(f"{name}_suggestions")
        self._list.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
        self._list.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setStyleSheet("QListWidget { border: 1px solid palette(highlight); }")
        self._list.itemClicked.connect(lambda item: self._take(item))
        self._list.hide()
        self.textChanged.connect(self._suggest)

    def event(self, event) -> bool:
        """Keep Ctrl+Enter from Krita's own shortcuts, and Tab from moving the focus away from the suggestions."""
        if event.type() == QtCore.QEvent.Type.ShortcutOverride and (_submits(event) or _steps(event)):
            event.accept()
            return True
        if event.type() == QtCore.QEvent.Type.KeyPress and event.key() == Key.Key_Tab and self._list.isVisible():
            self._take(self._list.currentItem() or self._list.item(0))
            return True
        return super().event(event)

    def keyPressEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """Submit, change a weight, bring another prompt, or move in the suggestions; the rest is typing."""
        if _submits(event):
            self._list.hide()
            self.submitted.emit()
        elif _steps(event) == Modifier.ControlModifier:
            self._emphasise(EMPHASIS_STEP if event.key() == Key.Key_Up else -EMPHASIS_STEP)
        elif _steps(event) == Modifier.AltModifier:
            self.bring(1 if event.key() == Key.Key_Up else -1)
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

    def resizeEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """Keep the button in its corner."""
        super().resizeEvent(event)
        self._corner.move(self.viewport().geometry().topRight() + QtCore.QPoint(1, 0))

    @property
    def earlier(self) -> list[str]:
        """Prompts that were submitted, newest first."""
        return self._earlier

    @earlier.setter
    def earlier(self, prompts: list[str]) -> None:
        self._earlier, self._shown = prompts, -1
        self._corner.setEnabled(bool(prompts))

    def add(self, name: str) -> None:
        """Put a name at the end, on a line of its own words."""
        text = self.toPlainText().rstrip(" ,")
        self.setPlainText(f"{text}, {name}" if text else name)
        self.moveCursor(QtGui.QTextCursor.MoveOperation.End)
        self._list.hide()

    def remember(self) -> None:
        """Keep what stands here for Alt+Up."""
        self.earlier = remembered(self.earlier, self.toPlainText())

    def _make_corner(self) -> None:
        self._corner = QtWidgets.QToolButton(self)
        self._corner.setObjectName(f"{self.name}_earlier")
        self._corner.setArrowType(QtCore.Qt.ArrowType.DownArrow)
        self._corner.setAutoRaise(True)
        self._corner.setFixedSize(CORNER, CORNER)
        self._corner.setCursor(QtCore.Qt.CursorShape.ArrowCursor)
        self._corner.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
        self._corner.setToolTip(tr("Earlier prompts"))
        self._corner.setEnabled(False)
        self._corner.clicked.connect(self._offer_earlier)
        self._menu = QtWidgets.QMenu(self)
        self._menu.setObjectName(f"{self.name}_earlier_menu")
        self.setViewportMargins(0, 0, CORNER, 0)

    def _offer_earlier(self) -> None:
        self._menu.clear()
        for number, prompt in enumerate(self.earlier):
            entry = self._menu.addAction(prompt_line(prompt).replace("&", "&&"))
            entry.triggered.connect(lambda *_, number=number: self._show_earlier(number))
        self._menu.popup(self._corner.mapToGlobal(self._corner.rect().bottomLeft()))

    def _emphasise(self, step: float) -> None:
        cursor = self.textCursor()
        text, start, end = emphasised(self.toPlainText(), cursor.selectionStart(), cursor.selectionEnd(), step)
        self._replace(text)
        cursor.setPosition(start)
        cursor.setPosition(end, QtGui.QTextCursor.MoveMode.KeepAnchor)
        self.setTextCursor(cursor)

    def bring(self, step: int) -> None:
        """Show the prompt that was submitted before the one that is shown, or after it where `step` is -1."""
        self._show_earlier(max(-1, min(self._shown + step, len(self.earlier) - 1)))

    def _show_earlier(self, number: int) -> None:
        if self._shown < 0:
            self._draft = self.toPlainText()
        self._shown = number
        self._replace(self._draft if self._shown < 0 else self.earlier[self._shown])
        self.moveCursor(QtGui.QTextCursor.MoveOperation.End)

    def _replace(self, text: str) -> None:
        """Another text, which Ctrl+Z takes back."""
        cursor = QtGui.QTextCursor(self.document())
        cursor.select(QtGui.QTextCursor.SelectionType.Document)
        cursor.insertText(text)
        self._list.hide()

    def _grow(self, size) -> None:
        # The size of a plain text is counted in lines.
        lines = max(self._lines, min(int(size.height()), MOST_LINES))
        frame = 2 * (self.frameWidth() + int(self.document().documentMargin()))
        # A line of a layout is its ascent and its descent, each rounded up.
        line = self.fontMetrics().lineSpacing() + 1
        self.setFixedHeight(line * lines + frame + 1)

    def _suggest(self) -> None:
        text, position = self.toPlainText(), self.textCursor().position()
        typed, known = text[:position], self._vocabulary
        found = lora_suggestions(typed, known.loras) or suggestions(typed, known.names)
        # Not within a word, whose other half would stay.
        if not self.hasFocus() or text[position : position + 1].strip(ENDS):
            found = []
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
        cursor = self.textCursor()
        start = item.data(QtCore.Qt.ItemDataRole.UserRole)
        cursor.setPosition(start, QtGui.QTextCursor.MoveMode.KeepAnchor)
        cursor.insertText(item.text())
        self._list.hide()
        self.setFocus()


def _is_enter(event) -> bool:
    return event.key() in (Key.Key_Return, Key.Key_Enter)


def _steps(event):
    """Ctrl or Alt when it is pressed together with an arrow up or down, else None."""
    pressed = event.modifiers() & (Modifier.ControlModifier | Modifier.AltModifier | Modifier.ShiftModifier)
    alone = next((one for one in (Modifier.ControlModifier, Modifier.AltModifier) if pressed == one), None)
    return alone if event.key() in CHOOSE else None


def _submits(event) -> bool:
    return _is_enter(event) and bool(event.modifiers() & QtCore.Qt.KeyboardModifier.ControlModifier)
