"""The history of results of one document, without Qt and without I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from .cards import Card, read
from .protocol.errors import LayerDiffusionError

MOST_BYTES = 64 * 1024**2
"""Room for the results in one document: Krita writes them with each save and autosave."""


class Store(Protocol):
    """What keeps records by their names."""

    def names(self) -> Iterable[str]: ...  # noqa: D102

    def get(self, name: str) -> bytes: ...  # noqa: D102

    def put(self, name: str, data: bytes) -> None: ...  # noqa: D102

    def remove(self, name: str) -> None: ...  # noqa: D102


class History:
    """Cards, newest first, each a record in `store` from the start on.

    Over `limit` bytes the oldest ones go, but no favourites and never the newest.
    """

    def __init__(self, store: Store, limit: int = MOST_BYTES) -> None:
        self._store = store
        self._limit = limit
        self._sizes: dict[str, int] = {}
        self.cards: list[Card] = []
        for name in store.names():
            data = store.get(name)
            try:
                card = read(data)
            except (ValueError, KeyError, TypeError, LayerDiffusionError):
                continue  # of a later version, or damaged: it stays in the document as it is
            self.cards.append(card)
            self._sizes[card.id] = len(data)
        self.cards.sort(key=lambda card: (-card.made, card.image))

    def add(self, cards: Iterable[Card]) -> None:
        """Put the cards of a new result first, and make room; those that are here already change nothing."""
        new = [card for card in cards if card.id not in self._sizes]
        for card in new:
            self._write(card)
        self.cards[:0] = new
        for card in reversed(self.cards[1:]):
            if sum(self._sizes.values()) <= self._limit:
                break
            if not card.favourite:
                self.remove(card)

    def remove(self, card: Card) -> None:
        """Forget a card."""
        self.cards = [other for other in self.cards if other.id != card.id]
        del self._sizes[card.id]
        self._store.remove(card.id)

    def favour(self, card: Card, favourite: bool) -> None:
        """Make a card a favourite, or no longer one."""
        changed = replace(card, favourite=favourite)
        self.cards = [changed if other.id == card.id else other for other in self.cards]
        self._write(changed)

    def find(self, card_id: str) -> Card | None:
        """Return the card of this id."""
        return next((card for card in self.cards if card.id == card_id), None)

    def _write(self, card: Card) -> None:
        data = card.to_bytes()
        self._sizes[card.id] = len(data)
        self._store.put(card.id, data)
