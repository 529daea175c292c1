"""What can be done with a card of the history, and the menu that offers it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from ..cards import Card
from ..operations import SOURCES
from ..protocol.request import Operation, Role, Source
from ..qt import QtWidgets
from ..rerolling import AROUND, can_remake, operation_again
from ..translation import mark, tr

WhyNot = Callable[[Operation, str], str]
"""Why the backend cannot do an operation with a model, by its id; "" when it can."""


class Act(Enum):
    """What a person can do with a card; the values are the names of the menus' entries."""

    APPLY = mark("Insert into the document")
    AGAIN = mark("All layers again")
    FOREGROUND_AGAIN = mark("Only the foreground again")
    BACKGROUND_AGAIN = mark("Only the background again")
    FAVOURITE = mark("Favourite")
    COPY_PROMPT = mark("Copy prompt")
    COPY_SEED = mark("Copy seed")
    COPY_ALL = mark("Copy all settings")
    SAVE = mark("Save as PNG or OpenRaster…")
    DELETE = mark("Delete")
    USE = mark("Use as condition")


REMAKES = {Act.FOREGROUND_AGAIN: Role.FOREGROUND, Act.BACKGROUND_AGAIN: Role.BACKGROUND}
GROUPS = (
    (Act.APPLY,), tuple(REMAKES) + (Act.AGAIN,), (Act.FAVOURITE,), (Act.COPY_PROMPT, Act.COPY_SEED, Act.COPY_ALL),
    (Act.SAVE,), (Act.DELETE,),
)  # fmt: skip


Do = Callable[[Act, object], None]
"""Gets the act and, for `Act.USE`, what `uses` returns."""


def can(act: Act, card: Card) -> bool:
    """Whether an entry makes sense for a card."""
    return act not in REMAKES or can_remake(card, REMAKES[act])


def uses(card: Card) -> list[tuple[Source, Role]]:
    """Return what a card's layers can be the condition for: the picker, and the layer that goes into it."""
    found = [(source, role) for source in Source for role in card.roles if source.value == role.value]
    return found + [(Source.INIT, role) for role in card.roles if role is Role.FOREGROUND]


def operation_of(act: Act, card: Card) -> Operation | None:
    """Return what the backend has to be able to do for an entry."""
    return AROUND[REMAKES[act]][0] if act in REMAKES else operation_again(card) if act is Act.AGAIN else None


def hindrance(act: Act, card: Card, why_not: WhyNot) -> str:
    """Return why something cannot be done with a card; "" when it can."""
    if not can(act, card):
        return tr("Only a result with a foreground and a background can get another one of them.")
    operation = operation_of(act, card)
    return why_not(operation, card.request.model) if operation is not None else ""


def fill(menu, card: Card, do: Do, why_not: WhyNot) -> None:
    """Put everything that can be done with a card into a menu."""
    menu.clear()
    menu.setToolTipsVisible(True)
    for group in GROUPS:
        for act in group:
            add(menu, card, act, do, why_not)
        if Act.AGAIN in group:
            _add_uses(menu, card, do)
        menu.addSeparator()


def add(menu, card: Card, act: Act, do: Do, why_not: WhyNot) -> None:
    """Put one entry into a menu; one that the backend cannot do is disabled and says why."""
    if not can(act, card):
        return
    entry = menu.addAction(tr(act.value))
    reason = hindrance(act, card, why_not)
    entry.setEnabled(not reason)
    entry.setToolTip(reason)
    entry.setObjectName(f"card_{act.name.lower()}")
    if act is Act.FAVOURITE:
        entry.setCheckable(True)
        entry.setChecked(card.favourite)
    entry.triggered.connect(lambda *_: do(act, None))


def _add_uses(menu, card: Card, do: Do) -> None:
    submenu = QtWidgets.QMenu(tr(Act.USE.value), menu)
    for source, role in uses(card):
        words = tr("Layer to refine") if source is Source.INIT else tr(SOURCES[source])
        entry = submenu.addAction(words)
        entry.setObjectName(f"card_use_{source.value}")
        entry.triggered.connect(lambda *_, use=(source, role): do(Act.USE, use))
    menu.addMenu(submenu)
