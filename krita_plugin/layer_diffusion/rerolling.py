"""Making a result again with another seed: the whole of it, or one layer to fit the other one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .cards import Card
from .pixels import Picture, filled_up, to_rgba
from .protocol.request import Input, Operation, Request, Role, Source

AROUND = {
    Role.FOREGROUND: (Operation.OBJECT_ON_BACKGROUND, Role.BACKGROUND, Source.BACKGROUND),
    Role.BACKGROUND: (Operation.BACKGROUND_FOR_OBJECT, Role.FOREGROUND, Source.FOREGROUND),
}
"""Layer to make again → the operation that does it, and the layer that stays and what it is for the operation."""


def can_remake(card: Card, role: Role) -> bool:
    """Whether one layer of a card can be made again for the other one: both are layers of it."""
    return role in card.roles and AROUND[role][1] in card.roles


def again(card: Card, seed: int) -> Request:
    """Return the request that makes the whole of a card anew; its pictures are the inputs that `unpack` returns."""
    return replace(card.request, seed=seed)


def remade(card: Card, role: Role, seed: int, pictures: Sequence[Picture]) -> tuple[Request, bytes]:
    """Return the request that makes one layer anew, and the pixels of its only input: the layer that stays."""
    operation, staying, source = AROUND[role]
    picture = pictures[card.roles.index(staying)]
    size = (card.request.width, card.request.height)
    pixels = filled_up(picture, card.area)
    if (card.area.width, card.area.height) != size:
        from .scaling import scaled  # here, because it needs Qt and the rest of this module does not

        pixels = scaled(pixels, (card.area.width, card.area.height), size)
    request = replace(card.request, operation=operation, seed=seed, strength=1.0, inputs=(Input(source, *size),))
    return request, to_rgba(pixels)
