"""Whether what a choice shows has changed; Krita tells nothing of it."""

from __future__ import annotations

import math
import zlib

from ..geometry import Area
from .choices import VISIBLE, nodes_of, parents
from .documents import id_of, is_layer, is_passed_through, layers_in

BANDS = 64
"""Groups of rows, spread over an area, that are compared in one look: more than a thumbnail has rows."""
LOOK_BYTES = 1024**2
"""Read in one look, where that is at least one row of each band."""
GOLDEN = (math.sqrt(5) - 1) / 2


class Watch:
    """Tells from look to look whether the picture of a choice is another one.

    Each look compares other rows than the last one, spread over what those before left out, until all rows had their
    turn: a brush stroke is seen in one of the next looks, the thinnest line after as many as it takes to see all rows,
    four at 1024 × 1024.
    """

    def __init__(self) -> None:
        self._key: object = None
        self._known: dict[int, int] = {}
        self._looks = 0

    def has_changed(self, document, choice: str, area: Area) -> bool:
        """Whether to draw the picture anew, as at the first look.

        It takes a millisecond or two for each layer. Raises `Trouble` when there is nothing to choose; after that the
        next picture counts as another one.
        """
        before, self._key = self._key, None
        nodes = nodes_of(document, choice) if choice != VISIBLE else []
        sources = [source for node in nodes for source in _sources(node)]
        if choice == VISIBLE:
            sources = [document.pixelData]
        self._key = (document, area, choice, tuple(_look(each) for node in nodes for each in (node, *parents(node))))
        step = max(1, area.height // BANDS)
        rows = min(step, max(1, LOOK_BYTES // (4 * BANDS * area.width * max(1, len(sources)))))
        turns = math.ceil(step / rows)
        turn = self._looks * _stride(turns) % turns
        self._looks += 1
        checksum = 0
        for row in range(area.y + turn * rows, area.y + area.height, step):
            for source in sources:
                height = min(rows, area.y + area.height - row)
                checksum = zlib.crc32(source(area.x, row, area.width, height), checksum)
        is_other = self._key != before or self._known.get(turn, checksum) != checksum
        if is_other:
            self._known = {}
        were_all_known = len(self._known) == turns
        self._known[turn] = checksum
        # What changed in rows that were not known yet is in the picture that is drawn when all of them are.
        return is_other or (len(self._known) == turns and not were_all_known)


def _stride(turns: int) -> int:
    """How many turns to go on by, so that all have their turn and those close in time lie far apart."""
    return next(by for by in range(max(1, round(GOLDEN * turns)), turns + 1) if math.gcd(by, turns) == 1)


def _sources(node) -> list:
    """What reads the pixels that the picture of a node depends on.

    A pass-through group has none of its own. The masks of a group around it are in the projection of that group alone.
    """
    masked = [parent for parent in parents(node) if any(mask.visible() for mask in _masks(parent))]
    return [each.projectionPixelData for each in (*_own(node), *masked)]


def _own(node) -> list:
    if not is_passed_through(node):
        return [node]
    return [own for child in layers_in(node) if child.visible() for own in _own(child)]


def _masks(node) -> list:
    return [child for child in node.childNodes() if not is_layer(child)]


def _look(node) -> tuple:
    """What changes the look of a node beside its pixels."""
    inner = tuple(_look(child) for child in layers_in(node)) if is_passed_through(node) else ()
    masks = tuple((id_of(mask), mask.visible()) for mask in _masks(node))
    return (
        id_of(node), node.visible(), node.opacity(), node.blendingMode(), node.inheritAlpha(), node.layerStyleToAsl(),
        is_passed_through(node), masks, inner,
    )  # fmt: skip
