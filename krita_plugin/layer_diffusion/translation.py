"""Texts in the person's language, without Qt: English in the code, the others in `languages/`.

A language is one file `languages/CODE.json`, an object of English text → translated text. What it lacks stays
English. Texts that are not shown where they are written (in tables, in values of enums) are wrapped in `mark` there
and in `tr` where they are shown.

What the backend says comes in English, with values in it; `languages/backend/CODE.json` has its sentences as templates,
``"There is no model {0}."``, by which `told` recognises them. tests/krita/test_translation.py finds the texts of both
and says what a language lacks.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

FOLDER = Path(__file__).with_name("languages")
_texts: dict[str, str] = {}
_templates: list[_Template] = []


class _Template:
    """A sentence with values in it, and its translation."""

    def __init__(self, sentence: str, translated: str) -> None:
        self._parts = re.split(r"\{\d\}", sentence)
        self._pattern = re.compile("(.+?)".join(map(re.escape, self._parts)), re.DOTALL)
        self._translated = translated

    @property
    def length(self) -> int:
        """Characters that are always there: the more, the surer it is recognised."""
        return sum(map(len, self._parts))

    def read(self, text: str) -> str | None:
        """Return the translation when this is such a sentence."""
        # The quick look spares long texts the slow search for values.
        found = self._pattern.fullmatch(text) if all(part in text for part in self._parts) else None
        return self._translated.format(*map(told, found.groups())) if found else None


def choose(locale: str) -> None:
    """Speak the language of a locale such as "de_DE"; English when there is no file for it."""
    code = locale.split("_")[0]
    of_backend = _read(FOLDER / "backend" / f"{code}.json")
    _texts.clear()
    _texts.update(of_backend)
    _texts.update(_read(FOLDER / f"{code}.json"))
    _templates[:] = [_Template(*pair) for pair in of_backend.items() if "{" in pair[0]]
    _templates.sort(key=lambda template: template.length, reverse=True)


def tr(text: str, **values: object) -> str:
    """Return a text in the chosen language, with {names} replaced by values."""
    text = _texts.get(text, text)
    return text.format(**values) if values else text


def mark(text: str) -> str:
    """Return the text as it is; says that it will be translated where it is shown."""
    return text


def told(text: str) -> str:
    """Return sentences of the backend in the chosen language; those that are not recognised stay as they are."""
    if not _templates:
        return text
    parts, done = re.split(r"(?<=\.) ", text), []
    while parts:
        # A value may have ". " in it, and some translations are of several sentences at once.
        joined = (" ".join(parts[:count]) for count in range(1, len(parts) + 1))
        count, words = next(
            ((count, words) for count, one in enumerate(joined, 1) if (words := _one(one)) is not None), (1, parts[0])
        )
        done.append(words)
        del parts[:count]
    return " ".join(done)


def _one(text: str) -> str | None:
    if text in _texts:
        return _texts[text]
    return next((words for template in _templates if (words := template.read(text)) is not None), None)


def _read(path: Path) -> dict[str, str]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
