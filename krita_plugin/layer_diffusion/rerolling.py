"""Making a result again with another seed: the whole of it, or one layer to fit the other one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .cards import Card
from .jobs import Staying
from .pixels import Picture, filled_up, to_rgba
from .protocol.job import LayerHeader, LayerSetHeader
from .protocol.request import Input, Operation, Request, Role, Source

AROUND = {
    Role.FOREGROUND: (Operation.OBJECT_ON_BACKGROUND, Role.BACKGROUND, Source.BACKGROUND),
    Role.BACKGROUND: (Operation.BACKGROUND_FOR_OBJECT, Role.FOREGROUND, Source.FOREGROUND),
}
"""Layer to make again → the operation that does it, and the layer that stays and what it is for the operation."""


@dataclass(frozen=True)
class Reroll:
    """What to ask for: a request, the pixels of its inputs, and the layer that stays, if one does."""

    request: Request
    inputs: tuple[bytes, ...]
    staying: Staying | None = None


def stayed(layer_set: LayerSetHeader) -> LayerHeader | None:
    """Return the layer of a set that the others were made for."""
    given = {picture.source.value for picture in layer_set.request.inputs}
    return next((layer for layer in layer_set.layers if layer.role.value in given), None)


def can_remake(card: Card, role: Role) -> bool:
    """Whether one layer of a card can be made again for the other one: both are layers of it."""
    return role in card.roles and AROUND[role][1] in card.roles


def operation_again(card: Card) -> Operation:
    """Return what makes all layers of a card: where one of them stayed, more than its own request does."""
    return card.request.operation if stayed(card.layer_set) is None else Operation.SCENE


def again(card: Card, seed: int, inputs: Sequence[bytes]) -> Reroll:
    """Return what makes the whole of a card anew, whose request has these inputs."""
    operation = operation_again(card)
    if operation is card.request.operation:
        return Reroll(replace(card.request, seed=seed), tuple(inputs))
    return Reroll(replace(card.request, operation=operation, seed=seed, inputs=()), ())


def remade(card: Card, role: Role, seed: int, pictures: Sequence[Picture]) -> Reroll:
    """Return what makes one layer anew; its only input is the layer that stays."""
    operation, staying, source = AROUND[role]
    index = card.roles.index(staying)
    size = (card.request.width, card.request.height)
    pixels = filled_up(pictures[index], card.area)
    if (card.area.width, card.area.height) != size:
        from .scaling import scaled  # here, because it needs Qt and the rest of this module does not

        pixels = scaled(pixels, (card.area.width, card.area.height), size)
    request = replace(card.request, operation=operation, seed=seed, strength=1.0, inputs=(Input(source, *size),))
    return Reroll(request, (to_rgba(pixels),), (card.layer_set.layers[index], pictures[index]))


def completed(
    layer_set: LayerSetHeader, ready: Sequence[Picture], staying: Staying
) -> tuple[LayerSetHeader, tuple[Picture, ...]]:
    """Return a result of one image and its pictures with the layer that stayed among them, bottom first."""
    layers = sorted(
        [*zip(layer_set.layers, ready, strict=True), staying],
        key=lambda layer: Operation.SCENE.makes.index(layer[0].role),
    )
    headers, pictures = zip(*layers, strict=True)
    return replace(layer_set, layers=headers), pictures
