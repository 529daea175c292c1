"""Texts in the person's language, without Qt: English in the code, the others in `languages/`.

A language is one file `languages/CODE.json`, an object of English text → translated text. What it lacks stays
English. Texts that are not shown where they are written (in tables, in values of enums) are wrapped in `mark` there
and in `tr` where they are shown; tests/krita/test_translation.py finds both and says what a language lacks.
"""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).with_name("languages")
_texts: dict[str, str] = {}


def choose(locale: str) -> None:
    """Speak the language of a locale such as "de_DE"; English when there is no file for it."""
    _texts.clear()
    path = FOLDER / f"{locale.split('_')[0]}.json"
    if path.is_file():
        _texts.update(json.loads(path.read_text(encoding="utf-8")))


def tr(text: str, **values: object) -> str:
    """Return a text in the chosen language, with {names} replaced by values."""
    text = _texts.get(text, text)
    return text.format(**values) if values else text


def mark(text: str) -> str:
    """Return the text as it is; says that it will be translated where it is shown."""
    return text
