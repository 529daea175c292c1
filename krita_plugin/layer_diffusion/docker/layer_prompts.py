"""Prompts for single layers, for operations that make several."""

from __future__ import annotations

from collections.abc import Collection

from ..operations import SOURCES
from ..protocol.request import Role, Source
from ..qt import QtWidgets
from ..translation import tr
from . import fields
from .prompt import PromptEdit, Vocabulary


class LayerPrompts(QtWidgets.QWidget):
    """A field for each layer; `fields` are its settings by name."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.lines = {}
        rows = []
        for role in (Role.FOREGROUND, Role.BACKGROUND, Role.BLEND):
            about = tr("Put before the prompt for this layer.")
            line = PromptEdit(f"{role.value}_prompt", about, vocabulary, lines=1)
            line.setPlaceholderText(tr("Only this layer"))
            self.lines[role] = line
            rows.append((tr(SOURCES[Source(role.value)]), line))
        fields.grid(self, rows)
        self.fields = {f"{role.value}_prompt": fields.text(line) for role, line in self.lines.items()}

    def show_for(self, roles: Collection[Role]) -> None:
        """Enable the fields of these layers."""
        for role, line in self.lines.items():
            line.setEnabled(role in roles)
