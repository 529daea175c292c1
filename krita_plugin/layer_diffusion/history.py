"""The history of results of one document, without Qt and without I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from .cards import Card, Record, read
from .protocol.errors import LayerDiffusionError

MOST_BYTES = 64 * 1024**2
"""Room for the results in one document: Krita writes them with each save and autosave."""


class Store(Protocol):
    """What keeps records by their names, and apart from them which are favourites: pixels are not written for a star.

    `is_favourite` is None where nobody chose.
    """

    def names(self) -> Iterable[str]: ...  # noqa: D102

    def get(self, name: str) -> Record: ...  # noqa: D102

    def put(self, name: str, record: Record) -> None: ...  # noqa: D102

    def remove(self, name: str) -> None: ...  # noqa: D102

    def is_favourite(self, name: str) -> bool | None: ...  # noqa: D102

    def favour(self, name: str, favourite: bool) -> None: ...  # noqa: D102


class History:
    """Cards, newest first, each a record in `store`; those from before are there when all of them are read.

    Over `limit` bytes the oldest ones go, but no favourites and never the newest.
    """

    def __init__(self, store: Store, limit: int = MOST_BYTES) -> None:
        self._store = store
        self._limit = limit
        self._unread = list(store.names())
        self._sizes: dict[str, int] = {}
        self.cards: list[Card] = []

    @property
    def is_read(self) -> bool:
        """Whether `cards` has all of them."""
        return not self._unread

    def read_next(self) -> None:
        """Read one more record: many take too long for one turn of the event loop."""
        name = self._unread.pop()
        record = self._store.get(name)
        try:
            card = read(record)
        except (ValueError, KeyError, TypeError, LayerDiffusionError):
            pass  # of a later version, or damaged: it stays in the document as it is
        else:
            chosen = self._store.is_favourite(name)
            self.cards.append(card if chosen is None else replace(card, favourite=chosen))
            self._sizes[card.id] = len(record)
        if self.is_read:
            self.cards.sort(key=lambda card: (-card.made, card.image))

    def add(self, cards: Iterable[Card]) -> None:
        """Put the cards of a new result first, and make room; those that are here already change nothing."""
        new = [card for card in cards if card.id not in self._sizes and card.id not in self._unread]
        for card in new:
            self._sizes[card.id] = len(card.record)
            self._store.put(card.id, card.record)
        self.cards[:0] = new
        if self.is_read:  # or the oldest are not known, and the next result makes room
            self._make_room()

    def remove(self, card: Card) -> None:
        """Forget a card."""
        self.cards = [other for other in self.cards if other.id != card.id]
        del self._sizes[card.id]
        self._store.remove(card.id)

    def favour(self, card: Card, favourite: bool) -> None:
        """Make a card a favourite, or no longer one."""
        changed = replace(card, favourite=favourite)
        self.cards = [changed if other.id == card.id else other for other in self.cards]
        self._store.favour(card.id, favourite)

    def find(self, card_id: str) -> Card | None:
        """Return the card of this id."""
        return next((card for card in self.cards if card.id == card_id), None)

    def _make_room(self) -> None:
        for card in reversed(self.cards[1:]):
            if sum(self._sizes.values()) <= self._limit:
                break
            if not card.favourite:
                self.remove(card)
