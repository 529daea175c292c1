"""Choosing a style, and making one of the fields as they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..qt import QtCore, QtWidgets
from ..styles import PROMPT, Style
from ..translation import tr
from . import fields
from .icons import IconButton, pencil

Data = QtCore.Qt.ItemDataRole


class StyleRow(QtWidgets.QWidget):
    """A list of styles, and a button that unfolds what is needed to save and delete one."""

    chosen = QtCore.pyqtSignal(object)
    """The `Style` that the person chose, one without a name for none."""
    saved = QtCore.pyqtSignal(object)
    """A `Style` with the name and texts that were typed; its other values are those of a new one."""
    deleted = QtCore.pyqtSignal(str)
    """Name of an own style."""

    def __init__(self) -> None:
        super().__init__()
        self._styles: tuple[Style, ...] = ()
        self._wanted, self._is_own = "", False
        self.box = fields.Box("style")
        self.box.activated.connect(lambda *_: self._choose())
        tip = tr("Save the fields as a style of your own, or delete one.")
        self.edit = IconButton("style_edit", pencil, tip, checkable=True)
        self.name, self.prompt, self.negative = (QtWidgets.QLineEdit() for _ in range(3))
        for line, name in ((self.name, "name"), (self.prompt, "prompt"), (self.negative, "negative")):
            line.setObjectName(f"style_{name}")
        self.prompt.setToolTip(tr("Your prompt is put where {prompt} stands.", prompt=PROMPT))
        self.negative.setToolTip(tr("Put before your negative prompt."))
        self.save = QtWidgets.QPushButton(tr("Save style"))
        self.save.setObjectName("style_save")
        self.save.setToolTip(tr("Keeps model, sampler, steps, CFG and decoding as they are now with these texts."))
        self.save.clicked.connect(lambda: self._save())
        self.delete = QtWidgets.QPushButton(tr("Delete"))
        self.delete.setObjectName("style_delete")
        what = tr("Only what you saved yourself; a style of the plugin that you changed becomes what it was.")
        self.delete.setToolTip(what)
        self.delete.clicked.connect(lambda: self.deleted.emit(self._wanted))
        self.save.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)
        self.name.textChanged.connect(lambda *_: self._enable())
        self.prompt.textChanged.connect(lambda *_: self._enable())
        self.editor = QtWidgets.QWidget()
        rows = [
            (tr("Name"), self.name),
            (tr("Prompt"), self.prompt),
            (tr("Negative"), self.negative),
            ("", fields.row(self.save, self.delete, stretch=self.save)),
        ]
        fields.grid(self.editor, rows)
        self.editor.hide()
        self.edit.toggled.connect(self._open)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(fields.Row(tr("Style"), fields.row(self.box, self.edit, stretch=self.box)))
        column.addWidget(self.editor)

    def wanted(self) -> str:
        """Return the chosen style's name; it stays chosen while no model for it is installed."""
        return self._wanted

    def want(self, name: str) -> None:
        """Choose a style by its name, without changing any field."""
        self._wanted = name
        self._select()

    def is_own(self) -> bool:
        """Whether the person chose the style, or that there is none."""
        return self._is_own

    def set_own(self, is_own: bool) -> None:
        """Say who chose the style."""
        self._is_own = is_own

    @property
    def style_chosen(self) -> Style:
        """The chosen style; one that changes nothing when there is none of the name."""
        return next((style for style in self._styles if style.name == self._wanted), Style(""))

    def offer(self, styles: Sequence[Style], usable: Collection[str]) -> None:
        """Show styles; those whose names are not usable are disabled, for want of a model."""
        self._styles = tuple(styles)
        self.box.clear()
        self.box.addItem(tr("None"), "")
        for index, style in enumerate(styles, 1):
            self.box.addItem(tr(style.name), style.name)
            missing = "" if style.name in usable else tr("No model for this style is installed.")
            self.box.model().item(index).setEnabled(not missing)
            self.box.setItemData(index, missing or _about(style), Data.ToolTipRole)
        self.box.fit(tr("None"), *(tr(style.name) for style in styles if not style.own))
        self._select()

    def _select(self) -> None:
        self.box.setCurrentIndex(self.box.findData(self._wanted))
        style = self.style_chosen
        what = tr("Model, sampler, steps, CFG and a frame for the prompt.")
        self.box.setToolTip(_about(style) if style.name else what)
        self.name.setText(style.name)
        self.prompt.setText(style.prompt)
        self.negative.setText(style.negative)
        self._enable()

    def _choose(self) -> None:
        self._wanted, self._is_own = self.box.currentData(), True
        self._select()
        self.chosen.emit(self.style_chosen)

    def _open(self, opened: bool) -> None:
        self.editor.setVisible(opened)

    def _enable(self) -> None:
        self.save.setEnabled(bool(self.name.text().strip()) and PROMPT in self.prompt.text())
        self.delete.setEnabled(self.style_chosen.own)

    def _save(self) -> None:
        texts = {"prompt": self.prompt.text().strip(), "negative": self.negative.text().strip()}
        self._wanted, self._is_own = self.name.text().strip(), True
        self.saved.emit(Style(self._wanted, **texts, own=True))


def _about(style: Style) -> str:
    parts = [f"{style.sampler.value}, {style.steps} × CFG {style.cfg:g}", style.prompt]
    if style.negative:
        parts.append(f"− {style.negative}")
    return "\n".join(parts)
