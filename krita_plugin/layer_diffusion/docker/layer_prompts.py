"""Prompts for single layers, for operations that make several."""

from __future__ import annotations

from collections.abc import Collection

from ..operations import SOURCES
from ..protocol.request import Role, Source
from ..qt import QtWidgets
from ..translation import tr
from . import fields


class LayerPrompts(QtWidgets.QWidget):
    """A line for each layer; `fields` are its settings by name."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = {}
        rows = []
        for role in (Role.FOREGROUND, Role.BACKGROUND, Role.BLEND):
            line = QtWidgets.QLineEdit()
            line.setObjectName(f"{role.value}_prompt")
            line.setPlaceholderText(tr("Only this layer"))
            line.setToolTip(tr("Put before the prompt for this layer."))
            self.lines[role] = line
            rows.append((tr(SOURCES[Source(role.value)]), line))
        fields.grid(self, rows)
        self.fields = {f"{role.value}_prompt": fields.line(line) for role, line in self.lines.items()}

    def show_for(self, roles: Collection[Role]) -> None:
        """Enable the lines of these layers."""
        for role, line in self.lines.items():
            line.setEnabled(role in roles)
