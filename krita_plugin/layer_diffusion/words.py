"""Finding names of objects in what is being typed, without Qt."""

from __future__ import annotations

from collections.abc import Sequence

SHORTEST = 2
"""Characters that are typed before anything is suggested."""
MOST = 12


def suggestions(text: str, names: Sequence[str]) -> list[tuple[int, str]]:
    """Return what the end of `text` may become: (where the name begins, name), best first.

    The name may have several words of which some are typed already: "a red ap" suggests "red apple" for the last two
    words. A name that is typed in full is not suggested, and nothing else is then.
    """
    starts = [0] + [index + 1 for index, letter in enumerate(text) if letter in " ,\n("]
    found: dict[str, tuple[int, int]] = {}
    for start in starts:
        typed = text[start:].lower()
        if len(typed) < SHORTEST or typed != typed.lstrip():
            continue
        for name in names:
            lower = name.lower()
            if lower == typed:
                return []
            rank = 0 if lower.startswith(typed) else 1 if f" {typed}" in f" {lower}" else None
            if rank is not None and name not in found:
                found[name] = (rank, start)
    order = sorted(found, key=lambda name: (found[name][0], found[name][1], len(name), name))
    return [(found[name][1], name) for name in order[:MOST]]
