"""Makes the docker known to Krita, which then makes one for each of its windows."""

from __future__ import annotations

import functools
import signal
import sys

from krita import DockWidget, DockWidgetFactory, DockWidgetFactoryBase, Extension, Krita

from . import canvas
from .docker.controller import Controller
from .docker.faults import faults
from .docker.panel import Panel
from .qt import QtCore, QtWidgets
from .translation import choose, mark, tr

DOCKER = "layer_diffusion"
TITLE = "Layer Diffusion"
FIRST_HEIGHT = 460
HAND_OVER_SECONDS = 0.001
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
        self.controller.look_soon()
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


class LayerDiffusionActions(Extension):
    """The entries of Tools > Scripts, which Krita's shortcut editor lists; layer_diffusion.action describes them."""

    def setup(self) -> None:
        """Krita wants this."""

    def createActions(self, window) -> None:  # noqa: N802 - Krita's name
        """Called by Krita for each new window, before it has its dockers."""
        for name, (words, does) in ACTIONS.items():
            action = window.createAction(f"{DOCKER}_{name}", tr(words), "tools/scripts")
            action.triggered.connect(functools.partial(self._do, does))

    @staticmethod
    def _do(does, _checked: bool = False) -> None:
        # Krita deletes the window that it gave to createActions.
        docker = Krita.instance().activeWindow().qwindow().findChild(QtWidgets.QDockWidget, DOCKER)
        if docker is not None:
            does(docker)


def _go_to_prompt(docker) -> None:
    docker.setVisible(True)
    docker.raise_()
    docker.panel.prompt.setFocus()
    docker.panel.prompt.selectAll()


def _reblend(docker) -> None:
    docker.panel.operation.choose("reblend")
    docker.controller.generate()


ACTIONS = {
    "generate": (mark("Layer Diffusion: Generate"), lambda docker: docker.controller.generate()),
    "cancel": (mark("Layer Diffusion: Cancel the oldest job"), lambda docker: docker.controller.cancel()),
    "cancel_all": (mark("Layer Diffusion: Cancel all jobs"), lambda docker: docker.controller.session.cancel_all()),
    "prompt": (mark("Layer Diffusion: Go to the prompt"), _go_to_prompt),
    "next_operation": (mark("Layer Diffusion: Next operation"), lambda docker: docker.panel.operation.choose_next()),
    "reblend": (mark("Layer Diffusion: Re-blend the layers as they are now"), _reblend),
    "insert_result": (
        mark("Layer Diffusion: Insert the result"), lambda docker: docker.controller.results.insert_chosen()
    ),
    "preview_result": (
        mark("Layer Diffusion: Show the result on the canvas"),
        lambda docker: docker.controller.results.toggle_preview(),
    ),
    "next_result": (mark("Layer Diffusion: Next result"), lambda docker: docker.controller.results.go(1)),
    "previous_result": (mark("Layer Diffusion: Previous result"), lambda docker: docker.controller.results.go(-1)),
    "new_seed": (
        mark("Layer Diffusion: New seed for every picture"), lambda docker: docker.panel.seed.die.toggle()
    ),
}  # fmt: skip
"""Name → words and what is done with the docker of the window."""


def register() -> None:
    """Called when Krita loads the plugin."""
    faults().watch()
    _survive_broken_connections()
    _hand_over_quickly()
    choose(QtCore.QLocale().name())  # Krita sets it to the language that it was told to speak
    # Krita 5 has the short name of this enum's member, Krita 6 the full one.
    positions = getattr(DockWidgetFactoryBase, "DockPosition", DockWidgetFactoryBase)
    right = getattr(positions, "DockRight", None) or DockWidgetFactoryBase.DockRight
    Krita.instance().addExtension(LayerDiffusionActions(Krita.instance()))
    Krita.instance().addDockWidgetFactory(DockWidgetFactory(DOCKER, right, LayerDiffusionDocker))


def _hand_over_quickly() -> None:
    """Let Krita's own thread wait a fifth as long for Python as usual while another thread works on pixels.

    After each call into Krita that lets go of the interpreter it waits anew, several times in one turn.
    """
    sys.setswitchinterval(min(sys.getswitchinterval(), HAND_OVER_SECONDS))


def _survive_broken_connections() -> None:
    """Have writing to a closed connection fail with BrokenPipeError.

    Python's sockets and TLS rely on SIGPIPE being ignored. Krita starts its Python without that, and where Qt does not
    ignore the signal either, it ends Krita with all open documents.
    """
    if hasattr(signal, "SIGPIPE") and signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL:  # Windows has none
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
