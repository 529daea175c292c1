"""Makes the docker known to Krita, which then makes one for each of its windows."""

from __future__ import annotations

import functools
import gc
import signal
import sys

from krita import DockWidget, DockWidgetFactory, DockWidgetFactoryBase, Extension, Krita

from . import canvas
from .docker.controller import Controller
from .docker.faults import faults
from .docker.panel import Panel
from .docker.results_menu import Act
from .qt import QtCore, QtWidgets
from .translation import choose, tr

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
        _collect_quickly()

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
        for name, does in ACTIONS.items():
            # Without words of ours Krita leaves those of the file.
            action = window.createAction(f"{DOCKER}_{name}", "", "tools/scripts")
            action.setText(tr(action.text()))
            action.setIconText(tr(action.iconText()))
            action.setWhatsThis(tr(action.whatsThis()))
            translate = functools.partial(_translate_tip, action)
            action.changed.connect(translate)
            QtCore.QTimer.singleShot(0, translate)  # Krita 5 does not say when it changes one for the new window
            action.triggered.connect(functools.partial(self._do, does))

    @staticmethod
    def _do(does, _checked: bool = False) -> None:
        # Krita deletes the window that it gave to createActions.
        docker = Krita.instance().activeWindow().qwindow().findChild(QtWidgets.QDockWidget, DOCKER)
        if docker is not None:
            does(docker)


def _translate_tip(action) -> None:
    """Whenever it changes: Krita takes the tooltip of the file again when it gives the action its keys."""
    tip = tr(action.toolTip())
    if tip != action.toolTip():
        action.setToolTip(tip)


def _go_to_prompt(docker) -> None:
    docker.setVisible(True)
    docker.raise_()
    docker.panel.prompt.setFocus()
    docker.panel.prompt.selectAll()


def _reblend(docker) -> None:
    docker.panel.operation.choose("reblend")
    docker.controller.generate()


def _with_result(act):
    return lambda docker: docker.controller.results.act(act)


ACTIONS = {
    "generate": lambda docker: docker.controller.generate(),
    "cancel": lambda docker: docker.controller.cancel(),
    "cancel_all": lambda docker: docker.controller.session.cancel_all(),
    "prompt": _go_to_prompt,
    "earlier_prompt": lambda docker: docker.panel.prompt.bring(1),
    "later_prompt": lambda docker: docker.panel.prompt.bring(-1),
    "next_operation": lambda docker: docker.panel.operation.choose_next(),
    "reblend": _reblend,
    "compare": lambda docker: docker.controller.results.compare(),
    "new_seed": lambda docker: docker.panel.seed.die.toggle(),
    "insert_result": _with_result(Act.APPLY),
    "again": _with_result(Act.AGAIN),
    "foreground_again": _with_result(Act.FOREGROUND_AGAIN),
    "background_again": _with_result(Act.BACKGROUND_AGAIN),
    "favourite": _with_result(Act.FAVOURITE),
    "preview_result": lambda docker: docker.controller.results.toggle_preview(),
    "next_result": lambda docker: docker.controller.results.go(1),
    "previous_result": lambda docker: docker.controller.results.go(-1),
    "insert_at_once": lambda docker: docker.controller.results.toggle_applying(),
    "live_preview": lambda docker: docker.controller.results.toggle_live(),
    "backend": lambda docker: docker.panel.backend.click(),
    "models": lambda docker: docker.panel.install.click(),
}
"""Name → what is done with the docker of the window; the words are in layer_diffusion.action."""


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


def _collect_quickly() -> None:
    """Keep the interpreter's collection of garbage from looking through all that was loaded, again and again.

    With the plugins that come with Krita a full collection takes 22 ms, in the middle of anything.
    """
    gc.collect()
    gc.freeze()


def _survive_broken_connections() -> None:
    """Have writing to a closed connection fail with BrokenPipeError.

    Python's sockets and TLS rely on SIGPIPE being ignored. Krita starts its Python without that, and where Qt does not
    ignore the signal either, it ends Krita with all open documents.
    """
    if hasattr(signal, "SIGPIPE") and signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL:  # Windows has none
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
