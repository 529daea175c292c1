"""Connects the view of the results with the histories of the documents, the canvas and the session."""

from __future__ import annotations

import functools
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .. import canvas
from ..cards import Card, cards_of
from ..composing import seen, thumbnail
from ..exporting import save_openraster, save_png, unused
from ..history import History
from ..jobs import Job, Stage
from ..notices import Notice
from ..parameters import infotext
from ..pixels import Picture, clipped, pictures
from ..protocol.job import LayerSet, Thumbnail
from ..protocol.limits import MAX_SEED
from ..protocol.request import Operation, Role, Source
from ..qt import QtCore, QtWidgets
from ..rerolling import Reroll, again, completed, remade
from ..translation import mark, tr
from .background import Background, Farewell
from .results import ResultsView
from .results_list import Going
from .results_menu import REMAKES, Act, hindrance

RETRY_MS = 150
SETTING = "apply_at_once"
LIVE = "live_preview"
DAMAGED = Notice(
    mark("This result is damaged and cannot be read."), mark("Generate it again with its prompt and seed.")
)
NAME_LENGTH = 60
PICTURES = QtCore.QStandardPaths.StandardLocation.PicturesLocation


@dataclass(frozen=True)
class Surroundings:
    """What the results need of the docker.

    Attributes:
        report: shows a notice.
        generate: asks for what makes a card of a document again.
        place: returns where a result goes in a document, and which layer it replaces, told which one it was to.
        choose: puts a layer, by its id, into the picker of a source.
    """

    report: Callable[[Notice], None]
    generate: Callable[[Reroll, object, Card], None]
    place: Callable[[object, str], tuple[str, str]]
    choose: Callable[[Source, str], None]


class Results(QtCore.QObject):
    """One for each docker."""

    comparing = QtCore.pyqtSignal(bool, bool)
    """Whether there is a re-blend to compare with the layers, and whether it is on the canvas."""

    def __init__(self, view: ResultsView, around: Surroundings) -> None:
        super().__init__(view)
        self._view = view
        self._around = around
        self._histories: list[tuple[object, History]] = []
        self._document: object = None
        self._overlay, self._live = canvas.Overlay(), canvas.Overlay()
        self._background = Background()
        self._farewell = Farewell(self)
        self._unpacked: tuple[str, tuple[Picture, ...]] = ("", ())
        self._wanted, self._is_on_canvas = "", False
        self._folder = Path(QtCore.QStandardPaths.writableLocation(PICTURES))
        self._jobs: tuple[Job, ...] = ()
        self._reading = QtCore.QTimer(self)
        self._reading.timeout.connect(self._read_on)
        view.applies.setChecked(canvas.read_setting(SETTING, "yes") == "yes")
        view.applying.connect(lambda on: canvas.write_setting(SETTING, "yes" if on else "no"))
        view.live.setChecked(canvas.read_setting(LIVE, "no") == "yes")
        view.live.toggled.connect(self._set_live)
        view.previewed.connect(self.preview)
        view.asked.connect(self._do)
        view.cards.itemSelectionChanged.connect(self._tell_comparing)
        view.destroyed.connect(self._background.stop)

    @property
    def applies(self) -> bool:
        """Whether new results go into their document at once."""
        return self._view.applies.isChecked()

    @staticmethod
    def prepare(job: Job, layer_set: LayerSet) -> tuple[tuple[Picture, ...], tuple[Card, ...]]:
        """Return a result's pictures, ready for the document, and its cards; for the network thread."""
        ready = tuple(
            replace(picture, name=job.layer_name(layer.role, layer.image))
            for picture, layer in zip(pictures(layer_set, job.area), layer_set.layers, strict=True)
        )
        if job.softness is not None:
            ready = clipped(ready, job.area, job.softness)
        header = layer_set.header
        if job.staying is not None:
            header, ready = completed(header, ready, job.staying)
        return ready, cards_of(job, job.inputs, header, ready, time.time(), thumbnail, canvas.record_of)

    def add(self, document, cards: Sequence[Card]) -> None:
        """Put new cards into the history of an open document."""
        self._history(document).add(cards)
        if document == self._document:
            self._show()

    def show_jobs(self, jobs: Sequence[Job]) -> None:
        """Show the jobs among these that run for the document in front."""
        self._jobs = tuple(jobs)
        running = [job for job in jobs if job.stage is Stage.RUNNING and job.document == self._document]
        images = {job.id: _image(job.thumbnail) for job in running if job.thumbnail is not None}
        self._view.show_going([Going(job.id, job.text(), job.fraction, images.get(job.id)) for job in running])
        live = running[0] if running and self._view.live.isChecked() else None
        if live is not None and live.id in images:
            self._live.show(live.document, images[live.id], live.area)
        elif live is None:
            self._live.hide()

    def look(self, document) -> None:
        """Follow the document in front; None when there is none."""
        if document != self._document or document is None:
            self._document = document
            self._histories = [(other, history) for other, history in self._histories if canvas.is_open(other)]
            self._forget_preview()
            self._show()
            self.show_jobs(self._jobs)
        if self._is_on_canvas and not self._overlay.is_shown:  # it goes by itself with its document's view
            self._forget_preview()

    def preview(self, card_id: str) -> None:
        """Show a card on the canvas, in its place; "" shows none."""
        self._forget_preview()
        card = self._find(card_id)
        if card is not None:
            self._wanted = card.id
            self._view.show_previewed(card.id)
            self._show_on_canvas(card)
            self._tell_comparing()

    def toggle_preview(self) -> None:
        """Show the chosen card on the canvas, or the newest one; show none when one is shown."""
        card = self._view.cards.choose_next(0)
        self.preview(card.id if card is not None and not self._wanted else "")

    def compare(self) -> None:
        """Show the re-blend on the canvas; the layers as Krita composites them when it is there already."""
        card = self._reblend()
        if card is not None:
            self.preview(card.id if card.id != self._wanted else "")

    def show_newest(self) -> None:
        """Choose the newest card and show it on the canvas."""
        self._view.cards.clearSelection()
        self.go(0)

    def go(self, by: int) -> None:
        """Choose another card, so many places further, and show it on the canvas."""
        card = self._view.cards.choose_next(by)
        self.preview(card.id if card is not None else "")

    def act(self, act: Act) -> None:
        """Do something with the chosen card, or the newest one; where it is not possible, say why."""
        card = self._view.cards.choose_next(0)
        reason = hindrance(act, card, self._view.why_not) if card is not None else tr("There is no result yet.")
        if card is None or reason:
            self._around.report(Notice(reason, ""))
        else:
            self._do(act, card, None)

    def toggle_applying(self) -> None:
        """Let new results go into their document at once, or no longer."""
        self._view.applies.toggle()

    def toggle_live(self) -> None:
        """Show on the canvas what comes into being, or no longer."""
        self._view.live.toggle()

    def insert(self, card: Card) -> None:
        """Put a card into the document in front, as one group."""
        self._forget_preview()
        document = self._document
        self._unpack(card, lambda ready: self._insert(document, card, ready, lambda _: None))

    def _show_on_canvas(self, card: Card) -> None:
        document = self._document

        def made(outcome) -> None:
            ready, image, area = outcome
            self._remember(card, ready)
            if self._wanted == card.id and document == self._document:
                self._overlay.show(document, image, area)
                self._is_on_canvas = True

        known = self._unpacked[1] if self._unpacked[0] == card.id else None

        def make():
            ready = known or card.unpack()[0]
            return (ready, *seen(ready))

        self._background.do(make, made, lambda _: self._around.report(DAMAGED))

    def _forget_preview(self) -> None:
        self._wanted, self._is_on_canvas = "", False
        self._overlay.hide()
        self._view.show_previewed("")
        self._tell_comparing()

    def _reblend(self) -> Card | None:
        """The re-blend that is compared: the chosen one, else the newest."""
        chosen = self._view.cards.current
        cards = (chosen, *self._view.cards.cards) if chosen is not None else self._view.cards.cards
        return next((card for card in cards if card.request.operation is Operation.REBLEND), None)

    def _tell_comparing(self) -> None:
        card = self._reblend()
        self.comparing.emit(card is not None, card is not None and card.id == self._wanted)

    def _insert(self, document, card: Card, ready: tuple[Picture, ...], then: Callable) -> None:
        """Insert when Krita is idle; `then` gets the ids of the layers, bottom first."""
        if not canvas.is_open(document):
            return
        if not canvas.is_idle(document):
            QtCore.QTimer.singleShot(RETRY_MS, lambda: self._insert(document, card, ready, then))
            return
        try:
            place, source = self._around.place(document, card.source)
            then(canvas.insert(document, card.name, ready, card.area, canvas.Place(place), source))
            self._farewell.take(ready)
        except Exception as error:  # Krita would show it in a dialog of its own
            self._around.report(Notice.of_any(error))

    def _do(self, act: Act, card: Card, detail) -> None:
        if act is Act.APPLY:
            self.insert(card)
        elif act is Act.AGAIN:
            self._unpack_all(card, lambda unpacked: self._again(card, unpacked[1]))
        elif act in REMAKES:
            self._unpack(card, lambda ready: self._remake(card, REMAKES[act], ready))
        elif act is Act.FAVOURITE:
            self._history(self._document).favour(card, not card.favourite)
            self._show()
        elif act is Act.DELETE:
            self._delete(card)
        elif act is Act.USE:
            self._use(card, *detail)
        elif act is Act.SAVE:
            self._save(card)
        else:
            texts = {
                Act.COPY_PROMPT: card.prompt, Act.COPY_SEED: str(card.request.seed),
                Act.COPY_ALL: infotext(card.layer_set),
            }  # fmt: skip
            QtWidgets.QApplication.clipboard().setText(texts[act])

    def _again(self, card: Card, inputs: Sequence[bytes]) -> None:
        reroll = again(card, secrets.randbelow(MAX_SEED + 1), inputs)
        self._around.generate(reroll, self._document, card)

    def _remake(self, card: Card, role: Role, ready: tuple[Picture, ...]) -> None:
        reroll = remade(card, role, secrets.randbelow(MAX_SEED + 1), ready)
        self._around.generate(reroll, self._document, card)

    def _delete(self, card: Card) -> None:
        if self._wanted == card.id:
            self._forget_preview()
        self._history(self._document).remove(card)
        self._show()

    def _use(self, card: Card, source: Source, role: Role) -> None:
        """Insert a card, and let the picker of a source choose the layer of a role."""
        index, document = card.roles.index(role), self._document
        self._forget_preview()
        self._unpack(
            card,
            lambda ready: self._insert(
                document, replace(card, source=""), ready, lambda ids: self._around.choose(source, ids[index])
            ),
        )

    def _save(self, card: Card) -> None:
        kinds = {"PNG (*.png)": ".png", "OpenRaster (*.ora)": ".ora"}
        name = re.sub(r"[^\w\- ]+", "", card.name)[:NAME_LENGTH].strip() or "result"
        window, words, proposal = self._view.window(), tr("Save result"), str(self._folder / f"{name}.png")
        chosen, kind = QtWidgets.QFileDialog.getSaveFileName(window, words, proposal, ";;".join(kinds))
        if not chosen:
            return
        path = Path(chosen)
        self._folder = path.parent
        if path.suffix not in kinds.values():
            # What the dialog asked about was the name without it.
            (path,) = unused(path.with_name(path.name + kinds[kind]))
        save = save_openraster if path.suffix == ".ora" else save_png

        def failed(error: Exception) -> None:
            words = tr("{file} could not be written: {reason}.", file=path.name, reason=_reason(error))
            self._around.report(Notice(words, tr("Choose another folder.")))

        self._background.do(lambda: save(path, card, card.unpack()[0]), lambda _: None, failed)

    def _set_live(self, on: bool) -> None:
        canvas.write_setting(LIVE, "yes" if on else "no")
        self.show_jobs(self._jobs)

    # Cards

    def _show(self) -> None:
        history = self._history(self._document) if self._document is not None else None
        self._view.show_cards(history.cards if history is not None and history.is_read else ())
        self._tell_comparing()

    def _history(self, document) -> History:
        for other, history in self._histories:
            if other == document:
                return history
        history = History(canvas.Annotations(document))
        self._histories.append((document, history))
        self._reading.start()
        return history

    def _read_on(self) -> None:
        """Read one card of a history, and show them when that was the last one."""
        unread = [(document, history) for document, history in self._histories if not history.is_read]
        if not unread:
            self._reading.stop()
            return
        document, history = unread[0]
        history.read_next()
        if history.is_read and document == self._document:
            self._show()

    def _find(self, card_id: str) -> Card | None:
        return self._history(self._document).find(card_id) if self._document is not None else None

    def _remember(self, card: Card, ready: tuple[Picture, ...]) -> None:
        """Keep the pictures of a card, in place of those of the last one."""
        if ready is not self._unpacked[1]:
            self._farewell.take(self._unpacked[1])
        self._unpacked = (card.id, ready)

    def _unpack(self, card: Card, then: Callable[[tuple[Picture, ...]], None]) -> None:
        """Call `then` with a card's pictures."""
        if self._unpacked[0] == card.id:
            then(self._unpacked[1])
        else:
            self._unpack_all(card, lambda unpacked: then(unpacked[0]))

    def _unpack_all(self, card: Card, then: Callable) -> None:
        def unpacked(result) -> None:
            self._remember(card, result[0])
            then(result)

        self._background.do(card.unpack, unpacked, lambda _: self._around.report(DAMAGED))


@functools.lru_cache(maxsize=4)
def _image(thumbnail: Thumbnail):
    return canvas.image_of(thumbnail.rgba(), (thumbnail.width, thumbnail.height))


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
