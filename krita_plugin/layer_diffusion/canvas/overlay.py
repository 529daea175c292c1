"""A result shown on the canvas that is no part of the document: nothing to undo, to save or to send."""

from __future__ import annotations

import functools

from krita import Krita

from ..geometry import Area
from ..qt import QtCore, QtGui, QtWidgets
from .documents import is_open

FOLLOW_MS = 40
"""Krita does not tell when the canvas is moved; looking where it is costs microseconds."""
CANVASES = ("KisOpenGLCanvas2", "KisQPainterCanvas")


class Overlay:
    """At most one result over the canvas of the window in front, where it would lie in the document.

    It follows zoom, rotation, mirroring and scrolling, lets the pointer through, and goes when its document is closed
    or another one comes to the front.
    """

    def __init__(self) -> None:
        self._sheet: _Sheet | None = None

    def show(self, document, image, area: Area) -> None:
        """Show a premultiplied `QImage` in an area of the document, in place of what was shown; nothing without a view.

        `composing.seen` makes it; that takes too long for the GUI thread.
        """
        if self._sheet is not None and self._sheet.is_over(document):
            self._sheet.change(image, area)
            return
        self.hide()
        window = Krita.instance().activeWindow()
        view = window.activeView() if window else None
        canvas = _canvas_of(window) if view is not None and view.document() == document else None
        if canvas is not None:
            self._sheet = _Sheet(canvas, view, document, image, area)

    def hide(self) -> None:
        """Show nothing."""
        if self._sheet is not None:
            self._sheet.leave()
            self._sheet = None

    @property
    def is_shown(self) -> bool:
        """Whether something is shown."""
        return self._sheet is not None and not self._sheet.has_left


def _canvas_of(window):
    # Not in the whole window: with all of its dockers that takes 30 ms.
    area = window.qwindow().centralWidget().findChild(QtWidgets.QMdiArea)
    inner = area.activeSubWindow() if area is not None else None
    for widget in inner.findChildren(QtWidgets.QWidget) if inner is not None else ():
        if widget.metaObject().className() in CANVASES:
            return widget
    return None


class _Sheet(QtWidgets.QWidget):
    """What is drawn over the canvas."""

    def __init__(self, canvas, view, document, image, area: Area) -> None:
        super().__init__(canvas)
        self.setObjectName("layer_diffusion_preview")
        self.has_left = False
        self.destroyed.connect(functools.partial(setattr, self, "has_left", True))  # with the canvas of a closed view
        self._view, self._document = view, document
        self.change(image, area)
        self._transform = _image_to_canvas(canvas, view, document)
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
        self.setGeometry(canvas.rect())
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._follow)
        self._timer.start(FOLLOW_MS)
        self.show()

    def is_over(self, document) -> bool:
        return not self.has_left and self._document == document

    def change(self, image, area: Area) -> None:
        self._image, self._area = image, QtCore.QRect(area.x, area.y, area.width, area.height)
        self.update()

    def leave(self) -> None:
        if not self.has_left:
            self.has_left = True
            self._timer.stop()
            self.hide()
            self.deleteLater()

    def paintEvent(self, _event) -> None:  # noqa: N802
        painter = QtGui.QPainter(self)
        painter.setTransform(self._transform)
        painter.setClipRect(0, 0, self._document.width(), self._document.height())
        painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform, self._transform.m11() < 1)
        painter.drawImage(self._area, self._image)
        painter.end()

    def _follow(self) -> None:
        window = Krita.instance().activeWindow()
        view = window.activeView() if window else None
        if not is_open(self._document) or view is None or view.document() != self._document:
            self.leave()
            return
        canvas = self.parentWidget()
        transform = _image_to_canvas(canvas, self._view, self._document)
        if transform != self._transform or self.size() != canvas.size():
            self._transform = transform
            self.setGeometry(canvas.rect())
            self.update()


def _image_to_canvas(canvas, view, document):
    """How pixels of the document lie on the canvas widget."""
    if hasattr(view, "flakeToCanvasTransform"):
        return view.flakeToImageTransform().inverted()[0] * view.flakeToCanvasTransform()
    return _from_scroll_bars(canvas, view.canvas(), document)


def _from_scroll_bars(canvas, settings, document):
    """The same for Krita 5.1, which does not tell it.

    Scaling, mirroring and turning are known; the scroll bars say where the box around the outcome begins.
    """
    scale = settings.zoomLevel() * 72 / document.resolution()
    linear = QtGui.QTransform().rotate(settings.rotation()).scale(-scale if settings.mirror() else scale, scale)
    bars = canvas.parentWidget().parentWidget()
    box = linear.mapRect(QtCore.QRectF(0, 0, document.width(), document.height()))
    across = -bars.horizontalScrollBar().value() - box.x()
    down = -bars.verticalScrollBar().value() - box.y()
    return linear * QtGui.QTransform.fromTranslate(across, down)
