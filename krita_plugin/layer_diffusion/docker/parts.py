"""Small widgets that the panel is made of."""

from __future__ import annotations

from ..protocol.limits import MAX_SEED
from ..qt import QtCore, QtGui, QtWidgets
from ..translation import tr
from . import look

PaletteChange = QtCore.QEvent.Type.PaletteChange


class Note(QtWidgets.QLabel):
    """A side note: small, quiet, as many lines as it needs, gone when it is empty."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setWordWrap(True)
        self.setTextFormat(QtCore.Qt.TextFormat.PlainText)
        font = self.font()
        font.setPointSizeF(font.pointSizeF() * 0.92)
        self.setFont(font)
        self.follow_theme()

    def say(self, text: str) -> None:
        """Show the text, or nothing."""
        if text != self.text():
            self.setText(text)
        self.setVisible(bool(text))

    def follow_theme(self) -> None:
        """Take the colours of the theme; Qt tells no widget of another palette that has a style sheet."""
        palette = QtWidgets.QApplication.palette()
        sheet = f"color: {look.muted(palette).name()};"
        if self.styleSheet() != sheet:
            self.setStyleSheet(sheet)


class MainButton(QtWidgets.QPushButton):
    """The button for what the docker is about: bold, and with fewer words where those of `text` do not fit."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setMinimumHeight(30)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)
        font = self.font()
        font.setBold(True)
        self.setFont(font)
        self._short = ""

    def say(self, text: str, short: str) -> None:
        """Show a text, or a shorter one where the button is narrow."""
        self._short = short
        self.setText(text)

    def paintEvent(self, _event) -> None:  # noqa: N802
        style, option, metrics = self.style(), QtWidgets.QStyleOptionButton(), self.fontMetrics()
        self.initStyleOption(option)
        room = style.subElementRect(QtWidgets.QStyle.SubElement.SE_PushButtonContents, option, self).width()
        if metrics.horizontalAdvance(option.text) > room:
            option.text = metrics.elidedText(self._short, QtCore.Qt.TextElideMode.ElideRight, room)
        QtWidgets.QStylePainter(self).drawControl(QtWidgets.QStyle.ControlElement.CE_PushButton, option)


class Message(QtWidgets.QFrame):
    """A sentence and a hint in a frame, with one button to act on it and one to be rid of it."""

    closed = QtCore.pyqtSignal()
    acted = QtCore.pyqtSignal()

    def __init__(self, name: str, action: str, action_name: str, close: str, alarming: bool) -> None:
        super().__init__()
        self.setObjectName(name)
        self._alarming = alarming
        self.label = QtWidgets.QLabel()
        self.label.setObjectName(f"{name}_text")
        self.label.setWordWrap(True)
        self.label.setTextFormat(QtCore.Qt.TextFormat.PlainText)
        self.label.setTextInteractionFlags(QtCore.Qt.TextInteractionFlag.TextSelectableByMouse)
        self.action = QtWidgets.QPushButton(action)
        self.action.setObjectName(action_name)
        self.action.clicked.connect(lambda: self.acted.emit())
        closing = QtWidgets.QPushButton(close)
        closing.setObjectName(f"{name}_close")
        closing.clicked.connect(lambda: self.closed.emit())
        buttons = QtWidgets.QHBoxLayout()
        buttons.addStretch(1)
        for button in (self.action, closing):
            button.setFlat(alarming)
            buttons.addWidget(button)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 4)
        column.setSpacing(4)
        column.addWidget(self.label)
        column.addLayout(buttons)
        self.follow_theme()
        self.hide()

    def say(self, text: str) -> None:
        """Show the text, or nothing."""
        if text != self.label.text():
            self.label.setText(text)
        self.setVisible(bool(text))

    def follow_theme(self) -> None:
        """Take the colours of the theme; Qt tells no widget of another palette that has a style sheet."""
        palette = QtWidgets.QApplication.palette()
        if self._alarming:
            text, background, border = look.warning(palette)
        else:
            text = palette.color(look.Role.WindowText)
            background = look.mixed(palette.color(look.Role.Highlight), palette.color(look.Role.Window), 0.18)
            border = look.mixed(palette.color(look.Role.Highlight), palette.color(look.Role.Window), 0.6)
        sheet = (
            f"#{self.objectName()} {{ background: {background.name()}; border: 1px solid {border.name()};"
            f" border-radius: 3px; }} #{self.label.objectName()} {{ color: {text.name()}; }}"
        )
        if self.styleSheet() != sheet:
            self.setStyleSheet(sheet)


class SeedRow(QtWidgets.QWidget):
    """The seed and a die: pressed, every picture gets a new seed, and the field shows the last one."""

    changed = QtCore.pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.field = QtWidgets.QLineEdit()
        self.field.setObjectName("seed")
        self.field.setToolTip(tr("The same seed and settings give the same picture."))
        self.field.setPlaceholderText(tr("Random"))
        self.field.setMaxLength(len(str(MAX_SEED)))
        digits = QtCore.QRegularExpression("[0-9]*")
        self.field.setValidator(QtGui.QRegularExpressionValidator(digits, self.field))
        self.field.textEdited.connect(self._typed)
        self.die = QtWidgets.QToolButton()
        self.die.setObjectName("seed_random")
        self.die.setCheckable(True)
        self.die.setToolTip(tr("A new seed for every picture; the field shows the last one."))
        self.die.toggled.connect(self._toggled)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.field, 1)
        row.addWidget(self.die)
        self._draw()

    def seed(self) -> int:
        """Return the seed in the field, within its range."""
        return min(int(self.field.text() or 0), MAX_SEED)

    def show_seed(self, seed: int, is_random: bool) -> None:
        """Show a seed and whether the next picture gets another."""
        self.field.setText("" if is_random and seed == 0 else str(seed))
        self.die.setChecked(is_random)
        self._draw()

    def changeEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """Follow the theme."""
        if event.type() == PaletteChange:
            self._draw()
        super().changeEvent(event)

    def _typed(self) -> None:
        self.die.setChecked(False)
        self.changed.emit()

    def _toggled(self) -> None:
        self._draw()
        self.changed.emit()

    def _draw(self) -> None:
        palette = QtWidgets.QApplication.palette()
        self.die.setIcon(look.die_icon(palette))
        quiet = look.muted(palette).name() if self.die.isChecked() else palette.color(look.Role.Text).name()
        self.field.setStyleSheet(f"color: {quiet};")


class Section(QtWidgets.QWidget):
    """A part that can be folded away, with the name that folds it."""

    toggled = QtCore.pyqtSignal(bool)

    def __init__(self, title: str, name: str, body) -> None:
        super().__init__()
        self.head = QtWidgets.QToolButton()
        self.head.setObjectName(name)
        self.head.setText(title)
        self.head.setCheckable(True)
        self.head.setAutoRaise(True)
        self.head.setToolButtonStyle(QtCore.Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.body = body
        self.head.toggled.connect(self._fold)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.head)
        column.addWidget(body)
        self._fold(False)

    def _fold(self, opened: bool) -> None:
        self.head.setArrowType(QtCore.Qt.ArrowType.DownArrow if opened else QtCore.Qt.ArrowType.RightArrow)
        self.body.setVisible(opened)
        self.toggled.emit(opened)
