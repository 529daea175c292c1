"""Every text a person can see is there in every language."""

import ast
import json
import string

import pytest

from backend.models.bundles import BUNDLES
from backend.models.catalogue import BASES, CATALOGUE
from krita_plugin.build import HERE, NAME

PLUGIN = HERE / NAME
LANGUAGES = sorted(path.stem for path in (PLUGIN / "languages").glob("*.json"))


def texts_in_code():
    """Return the texts given to `tr` and `mark`, and the places where `tr` or `mark` got something it cannot take."""
    found, wrong = set(), []
    for path in PLUGIN.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("tr", "mark")):
                continue
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value)
            elif node.func.id == "mark" or isinstance(first, ast.JoinedStr):
                wrong.append(f"{path.name}:{node.lineno}")
    return found, wrong


def shown_texts(plugin):
    """Every text that the plugin shows: its own, names of styles, errors of the protocol, purposes of the catalogue."""
    styles = {style.name for style in plugin("styles").Styles(PLUGIN / "none").all()}
    errors = {text for pair in plugin("protocol.errors").TEXTS.values() for text in pair}
    purposes = {one.purpose for one in (*BUNDLES, *CATALOGUE, *BASES)}
    return texts_in_code()[0] | styles | errors | purposes


def names_in(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_texts_are_written_where_they_can_be_found():
    assert texts_in_code()[1] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_missing_and_none_is_left_over(plugin, language):
    translated = json.loads((PLUGIN / "languages" / f"{language}.json").read_text(encoding="utf-8"))
    shown = shown_texts(plugin)
    assert {"missing": sorted(shown - set(translated)), "left over": sorted(set(translated) - shown)} == {
        "missing": [], "left over": [],
    }  # fmt: skip
    assert [text for text, words in translated.items() if names_in(text) != names_in(words) or not words] == []


def test_german_is_there():
    assert "de" in LANGUAGES


def test_unknown_language_is_english(plugin):
    translation = plugin("translation")
    translation.choose("de_AT")
    assert translation.tr("{count} more", count=2) == "2 weitere"
    translation.choose("xx_XX")
    assert translation.tr("{count} more", count=2) == "2 more"
