"""What is typed into a prompt: names to complete, weights of words, earlier prompts; without Qt."""

from __future__ import annotations

import re
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


LORA = re.compile(r"<(?:l(?:o(?:r(?:a(?::([^<>:]*))?)?)?)?)?$")
"""The beginning of a tag at the end of a text."""


def lora_suggestions(text: str, loras: Sequence[str]) -> list[tuple[int, str]]:
    """Return, as `suggestions` does, tags of LoRAs that the end of the text can mean once it has begun with "<"."""
    tag = LORA.search(text)
    if tag is None:
        return []
    typed = (tag[1] or "").lower()
    fitting = [name for name in loras if typed in name.lower()]
    fitting.sort(key=lambda name: (name.lower().index(typed), name.lower()))
    return [(tag.start(), f"<lora:{name}:1>") for name in fitting[:MOST]]


EMPHASIS = re.compile(r"\(([^()]*):(\d+(?:\.\d+)?)\)")
"""Words with a weight, as in "(red:1.3) apple"."""
WEIGHTS = (0.1, 2.0)
WORD = re.compile(r"[^\s,()]+")


def emphasised(text: str, start: int, end: int, step: float) -> tuple[str, int, int]:
    """Return the text with what lies from `start` to `end` weighted by `step` more, and where that lies then.

    Without an extent it is the word there. What has a weight already gets another one, within `WEIGHTS`; a weight of 1
    is not written.
    """
    for found in EMPHASIS.finditer(text):
        if found.start() <= start and end <= found.end():
            return _weighted(text, found.start(), found.end(), found[1], float(found[2]) + step)
    words = text[start:end]
    start, end = start + len(words) - len(words.lstrip()), end - len(words) + len(words.rstrip())
    for word in WORD.finditer(text):
        if start >= end and word.start() <= start <= word.end():
            start, end = word.span()
    return _weighted(text, start, end, text[start:end], 1 + step) if start < end else (text, start, start)


def _weighted(text: str, start: int, end: int, words: str, weight: float) -> tuple[str, int, int]:
    weight = round(min(max(weight, WEIGHTS[0]), WEIGHTS[1]), 2)
    new = words if weight == 1 else f"({words}:{weight:g})"
    return text[:start] + new + text[end:], start, start + len(new)


MOST_PROMPTS = 30


def remembered(prompts: Sequence[str], prompt: str) -> list[str]:
    """Return the prompts with another one, newest first, each once, at most `MOST_PROMPTS`."""
    return [prompt, *(other for other in prompts if other != prompt)][:MOST_PROMPTS] if prompt.strip() else [*prompts]
