"""Small widgets that the panel is made of."""

from __future__ import annotations

from ..qt import QtCore, QtGui, QtWidgets
from . import look

PaletteChange = QtCore.QEvent.Type.PaletteChange
Policy = QtWidgets.QSizePolicy.Policy
BETWEEN = " · "


def shortened(text: str, metrics, room: int) -> str:
    """Return what of a text fits into so many pixels: not its last parts, and with “…” if the first is too long."""
    parts = text.split(BETWEEN)
    while parts[1:] and metrics.horizontalAdvance(BETWEEN.join(parts)) > room:
        parts.pop()
    return metrics.elidedText(BETWEEN.join(parts), QtCore.Qt.TextElideMode.ElideRight, room)


class Lines(QtWidgets.QLabel):
    """Lines that end with “…” where they do not fit."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setTextFormat(QtCore.Qt.TextFormat.PlainText)
        self.setSizePolicy(Policy.Ignored, Policy.Fixed)

    def paintEvent(self, _event) -> None:  # noqa: N802
        metrics, end = self.fontMetrics(), QtCore.Qt.TextElideMode.ElideRight
        fitting = "\n".join(metrics.elidedText(line, end, self.width()) for line in self.text().split("\n"))
        option = QtGui.QTextOption(QtCore.Qt.AlignmentFlag.AlignVCenter)
        option.setWrapMode(QtGui.QTextOption.WrapMode.NoWrap)
        painter = QtGui.QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(QtCore.QRectF(self.rect()), fitting, option)


class Quiet(QtWidgets.QLabel):
    """A text that is smaller and paler than others."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        font = self.font()
        font.setPointSizeF(font.pointSizeF() * 0.92)
        self.setFont(font)
        self.follow_theme()

    def follow_theme(self) -> None:
        """Take the colours of the theme; Qt tells no widget of another palette that has a style sheet."""
        palette = QtWidgets.QApplication.palette()
        sheet = f"color: {look.muted(palette).name()};"
        if self.styleSheet() != sheet:
            self.setStyleSheet(sheet)


class State(Quiet, Lines):
    """A quiet line that is always there."""


class Note(Quiet):
    """A side note: as many lines as it needs, gone when it is empty."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setWordWrap(True)
        self.setTextFormat(QtCore.Qt.TextFormat.PlainText)

    def say(self, text: str) -> None:
        """Show the text, or nothing."""
        if text != self.text():
            self.setText(text)
        self.setVisible(bool(text))


class ShortNote(Note):
    """A note that ends with “…” where there is no room for all of its lines; then its tooltip has them."""

    def say(self, text: str) -> None:
        """Show the text, or nothing."""
        super().say(text)
        self._explain()

    def hasHeightForWidth(self) -> bool:  # noqa: N802 - Qt's name
        """Not for the layout, which would give it the room of all lines even where others need it."""
        return False

    def sizeHint(self):  # noqa: N802 - Qt's name
        """All lines, at the width that there is."""
        return QtCore.QSize(0, self.heightForWidth(self.width()))

    def minimumSizeHint(self):  # noqa: N802 - Qt's name
        """One line."""
        return QtCore.QSize(0, self.fontMetrics().height())

    def resizeEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """At another width it has more lines or fewer."""
        super().resizeEvent(event)
        self._explain()
        if event.size().width() != event.oldSize().width():
            self.updateGeometry()

    def paintEvent(self, _event) -> None:  # noqa: N802
        text, metrics, end = self.text(), self.fontMetrics(), QtCore.Qt.TextElideMode.ElideRight
        layout = QtGui.QTextLayout(text, self.font())
        painter = QtGui.QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        layout.beginLayout()
        for top in range(0, self.height() - metrics.height() + 1, metrics.lineSpacing()):
            line = layout.createLine()
            if not line.isValid():
                break
            line.setLineWidth(self.width())
            start, length = line.textStart(), line.textLength()
            is_last = top + metrics.lineSpacing() + metrics.height() > self.height()
            rest = text[start:] if is_last else text[start : start + length]
            painter.drawText(0, top + metrics.ascent(), metrics.elidedText(rest, end, self.width()))
        layout.endLayout()

    def _explain(self) -> None:
        self.setToolTip(self.text() if self.height() < self.sizeHint().height() else "")


class Progress(QtWidgets.QProgressBar):
    """A bar with a text in it, of which the last parts go where there is no room for all of them."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setRange(0, 1000)

    def say(self, text: str, fraction: float) -> None:
        """Show how far something is, 0 to 1, and in words."""
        # Without this, Qt paints the bar before it goes on, and with it the canvas: 20 ms for each step of a job.
        self.setUpdatesEnabled(False)
        self.setValue(round(fraction * self.maximum()))
        self.setFormat(text)
        self.setToolTip(text)
        self.setUpdatesEnabled(True)

    def paintEvent(self, _event) -> None:  # noqa: N802
        option = QtWidgets.QStyleOptionProgressBar()
        self.initStyleOption(option)
        room = self.style().subElementRect(QtWidgets.QStyle.SubElement.SE_ProgressBarLabel, option, self).width()
        option.text = shortened(option.text, self.fontMetrics(), room)
        QtWidgets.QStylePainter(self).drawControl(QtWidgets.QStyle.ControlElement.CE_ProgressBar, option)


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
    """A sentence and a hint in a frame, with one button to act on it, one to be rid of it, and one that may mend it."""

    closed = QtCore.pyqtSignal()
    acted = QtCore.pyqtSignal()
    mended = QtCore.pyqtSignal()

    def __init__(self, name: str, action: str, action_name: str, close: str, alarming: bool) -> None:
        super().__init__()
        self.setObjectName(name)
        self._alarming = alarming
        self.label = QtWidgets.QLabel()
        self.label.setObjectName(f"{name}_text")
        self.label.setWordWrap(True)
        self.label.setTextFormat(QtCore.Qt.TextFormat.PlainText)
        self.label.setTextInteractionFlags(QtCore.Qt.TextInteractionFlag.TextSelectableByMouse)
        self.fix = _small_button(f"{name}_fix", "", self.mended)
        buttons = QtWidgets.QHBoxLayout()
        buttons.addWidget(self.fix)
        buttons.addStretch(1)
        buttons.addWidget(_small_button(action_name, action, self.acted))
        buttons.addWidget(_small_button(f"{name}_close", close, self.closed))
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.setSpacing(4)
        column.addWidget(self.label)
        column.addLayout(buttons)
        self.follow_theme()
        self.hide()

    def say(self, text: str, fix: str = "") -> None:
        """Show the text, or nothing; `fix` is what is written on the button that may mend it."""
        if text != self.label.text():
            self.label.setText(text)
        self.fix.setText(fix)
        self.fix.setVisible(bool(fix))
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


def _small_button(name: str, words: str, signal):
    button = QtWidgets.QToolButton()
    button.setObjectName(name)
    button.setText(words)
    button.clicked.connect(lambda: signal.emit())
    return button


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
