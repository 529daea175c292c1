"""Makes the docker known to Krita, which then makes one for each of its windows."""

from __future__ import annotations

from krita import DockWidget, DockWidgetFactory, DockWidgetFactoryBase, Krita

from . import canvas
from .docker.controller import Controller
from .docker.panel import Panel
from .qt import QtCore, QtWidgets
from .translation import choose

DOCKER = "layer_diffusion"
TITLE = "Layer Diffusion"
FIRST_HEIGHT = 460
INTRODUCE_AFTER_MS = 300
"""Krita shows its dockers some turns after the first document."""


class LayerDiffusionDocker(DockWidget):
    """The docker; everything in it is the panel's and the controller's."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle(TITLE)
        self.panel = Panel()
        self.setWidget(self.panel)
        self.controller = Controller(self.panel)

    def canvasChanged(self, _canvas) -> None:  # noqa: N802 - Krita's name
        """Krita calls this often, also with None."""
        self.controller.look()
        if canvas.active_document() is not None:  # before the first one Krita shows its start page and no dockers
            QtCore.QTimer.singleShot(INTRODUCE_AFTER_MS, self._introduce)

    def _introduce(self) -> None:
        """Show the docker once: newer Kritas hide those of plugins, and nobody looks for what they never saw."""
        if canvas.read_setting("introduced", "") == "":
            canvas.write_setting("introduced", "yes")
            self._take_place()
            self.setVisible(True)
            self.raise_()

    def _take_place(self) -> None:
        """Share the room of the brush presets rather than squeeze in below everything else."""
        window = self.window()
        presets = window.findChild(QtWidgets.QDockWidget, "PresetDocker")
        if presets is not None and presets.isVisible() and not self.isFloating():
            window.tabifyDockWidget(presets, self)
            window.resizeDocks([self], [FIRST_HEIGHT], QtCore.Qt.Orientation.Vertical)


def register() -> None:
    """Called when Krita loads the plugin."""
    choose(QtCore.QLocale().name())  # Krita sets it to the language that it was told to speak
    # Krita 5 has the short name of this enum's member, Krita 6 the full one.
    positions = getattr(DockWidgetFactoryBase, "DockPosition", DockWidgetFactoryBase)
    right = getattr(positions, "DockRight", None) or DockWidgetFactoryBase.DockRight
    Krita.instance().addDockWidgetFactory(DockWidgetFactory(DOCKER, right, LayerDiffusionDocker))
