"""Connects the pickers with the layers of the document in front."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping

from .. import canvas
from ..geometry import Area
from ..notices import Busy, Notice, Trouble
from ..operations import SOURCES
from ..protocol.request import Source
from ..translation import tr
from .background import Background
from .picker import SIDE

DEFAULTS = {
    Source.FOREGROUND: canvas.ACTIVE,
    Source.BACKGROUND: canvas.BELOW,
    Source.BLEND: canvas.VISIBLE,
    Source.INIT: canvas.ACTIVE,
}


class Inputs:
    """`panel` has the pickers and knows which of them count; thumbnails are made in the background."""

    def __init__(self, panel, background: Background) -> None:
        self._panel = panel
        self._background = background
        self._watches: dict[Source, canvas.Watch] = {}
        self._newest: dict[Source, object] = {}
        self._troubles: dict[Source, str] = {}
        for source, picker in panel.pickers.items():
            picker.want(DEFAULTS[source])

    def look(self, document, area: Area | None) -> None:
        """Follow the layers: what the pickers in use offer, and a thumbnail of what would be sent for an area."""
        self._choose_defaults()
        for source in self._panel.sources:
            picker = self._panel.pickers[source]
            picker.offer(canvas.choices(document) if document else ())
            self._show(source, picker, document, area)

    def capture(self, document, area: Area) -> dict[Source, canvas.Capture]:
        """Return what the pictures of a request show now.

        Raises `Trouble` naming the picker that has none, `Busy` when Krita is at work.
        """
        self._choose_defaults()  # the operation may have been chosen a moment ago
        captures = {}
        for source in self._panel.sources:
            with _named(source):
                captures[source] = canvas.capture(document, (self._panel.pickers[source].wanted(),), area)
        if self._panel.task.reblends:
            wanted = [self._panel.pickers[source].wanted() for source in self._panel.sources]
            captures[Source.INIT] = canvas.capture(document, wanted, area)
            del captures[Source.BACKGROUND]  # it is in the picture of both, and the model is shown the object alone
        return captures

    def replaceable(self, document) -> str:
        """Return the id of the layer that is refined. Raises `Trouble` when it is not a single one."""
        return canvas.layer_of(document, self._panel.pickers[Source.INIT].wanted())

    def _choose_defaults(self) -> None:
        for source in self._panel.sources:
            picker = self._panel.pickers[source]
            if not picker.wanted():
                picker.want(DEFAULTS[source])

    def _show(self, source: Source, picker, document, area: Area | None) -> None:
        """Draw the thumbnail anew if the layers have changed; reading them takes much longer than looking."""
        watch = self._watches.setdefault(source, canvas.Watch())
        try:
            if document is None or area is None:
                del self._watches[source]
                raise Trouble(tr("No document is open."), "")
            if not canvas.is_idle(document) or not watch.has_changed(document, picker.wanted(), area):
                return
            size = _thumbnail(area)
            read = canvas.capture(document, (picker.wanted(),), area, rows=size[1])
        except Busy:
            del self._watches[source]  # it was seen, and is drawn at the next look
        except Trouble as error:
            self._fail(source, self._begin(source), error)
        else:
            begun = self._begin(source)
            self._background.do(
                lambda: read.image(size), functools.partial(self._succeed, source, begun),
                functools.partial(self._fail, source, begun),
            )  # fmt: skip

    def _begin(self, source: Source) -> object:
        """Return what stands for the newest picture of a source; those that are still being made are shown no more."""
        self._newest[source] = begun = object()
        return begun

    def _succeed(self, source: Source, begun: object, image) -> None:
        if self._newest[source] is begun:
            self._troubles[source] = ""
            self._panel.pickers[source].show_picture(image, "")

    def _fail(self, source: Source, begun: object, error: Exception) -> None:
        notice = str(Notice.of_any(error))
        if self._newest[source] is begun and notice != self._troubles.get(source):
            self._troubles[source] = notice
            self._panel.pickers[source].show_picture(None, notice)


def rendered(captures: Mapping[Source, canvas.Capture], size: tuple[int, int]) -> tuple[bytes, ...]:
    """Return the pixels of a request's pictures, straight RGBA of `size`; for any thread.

    Raises `Trouble` naming the picker whose picture is empty.
    """
    pixels = []
    for source, one in captures.items():
        with _named(source):
            pixels.append(one.rgba(size))
    return tuple(pixels)


@contextlib.contextmanager
def _named(source: Source) -> Iterator[None]:
    try:
        yield
    except Busy:
        raise
    except Trouble as error:
        raise Trouble(f"{tr(SOURCES[source])}: {tr(error.notice.message)}", error.notice.hint) from error


def _thumbnail(area: Area) -> tuple[int, int]:
    """Twice the size that is shown, for screens that have more pixels."""
    scale = 2 * SIDE / max(area.width, area.height)
    return max(1, round(area.width * scale)), max(1, round(area.height * scale))
