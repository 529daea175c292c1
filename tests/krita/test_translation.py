"""Every text a person can see is there in every language."""

import ast
import json
import re
import string
from xml.etree import ElementTree

import pytest

from backend.models.bundles import BUNDLES
from backend.models.catalogue import BASES, CATALOGUE
from krita_plugin.build import HERE, NAME

from .sentences import said

PLUGIN = HERE / NAME
SAID_OF_ACTIONS = ("text", "iconText", "toolTip", "whatsThis")
SHOWS = {
    "setText", "setIconText", "setToolTip", "setWhatsThis", "setStatusTip", "setWindowTitle", "setPlaceholderText",
    "addAction", "addItem", "addMenu", "addTab", "QLabel", "QCheckBox", "QPushButton", "QMenu",
    "QGroupBox", "QAction",
}  # fmt: skip
"""What shows its first argument."""
WORD = re.compile(r"[^\W\d_]{3}")
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


def texts_of_actions():
    """Return what layer_diffusion.action says of the actions."""
    actions = ElementTree.parse(PLUGIN.with_suffix(".action")).getroot().iter("Action")
    return {part.text for action in actions for part in action if part.tag in SAID_OF_ACTIONS and part.text}


def shown_texts(plugin):
    """Every text that the plugin shows: its own, names of styles, errors of the protocol, purposes of the catalogue."""
    styles = {style.name for style in plugin("styles").Styles(PLUGIN / "none").all()}
    errors = {text for pair in plugin("protocol.errors").TEXTS.values() for text in pair}
    purposes = {one.purpose for one in (*BUNDLES, *CATALOGUE, *BASES)}
    return texts_in_code()[0] | texts_of_actions() | styles | errors | purposes


def untranslated():
    """Return the places where words are shown as they stand in the code."""
    found = []
    for path in PLUGIN.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                texts = [getattr(part, "value", "") for part in getattr(node.args[0], "values", node.args[:1])]
                if name in SHOWS and any(isinstance(text, str) and WORD.search(text) for text in texts):
                    found.append(f"{path.name}:{node.lineno}")
    return found


def names_in(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_texts_are_written_where_they_can_be_found():
    assert texts_in_code()[1] == [] and untranslated() == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_missing_and_none_is_left_over(plugin, language):
    translated = json.loads((PLUGIN / "languages" / f"{language}.json").read_text(encoding="utf-8"))
    shown = shown_texts(plugin)
    assert {"missing": sorted(shown - set(translated)), "left over": sorted(set(translated) - shown)} == {
        "missing": [], "left over": [],
    }  # fmt: skip
    assert [text for text, words in translated.items() if names_in(text) != names_in(words) or not words] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_of_the_backend_is_missing_and_none_is_left_over(plugin, language):
    path = PLUGIN / "languages" / "backend" / f"{language}.json"
    translated, wanted = json.loads(path.read_text(encoding="utf-8")), said() - shown_texts(plugin)
    assert {"missing": sorted(wanted - set(translated)), "left over": sorted(set(translated) - wanted)} == {
        "missing": [], "left over": [],
    }  # fmt: skip
    assert [text for text, words in translated.items() if names_in(text) != names_in(words) or not words] == []


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("There is no model 'dreams'.", "Es gibt kein Modell 'dreams'."),
        ("The width must be a whole number from 64 to 2048, not 3.",
         "Die Breite muss eine ganze Zahl von 64 bis 2048 sein, nicht 3."),
        ("dreams v1.5.safetensors is a LoRA, expected a complete Stable Diffusion 1.5 or SDXL checkpoint.",
         "dreams v1.5.safetensors ist ein LoRA; erwartet wird: ein vollständiger Checkpoint von Stable Diffusion 1.5 "
         "oder SDXL."),
        ("Too many jobs are waiting.", "Zu viele Aufträge warten."),
        ("Nobody wrote this. There is no folder /a/b. c.", "Nobody wrote this. Es gibt keinen Ordner /a/b. c."),
        ("Not installed: one, two. Or try another seed.",
         "Nicht installiert: one, two. Oder versuchen Sie einen anderen Seed."),
        ("", ""),
    ],
)  # fmt: skip
def test_sentences_of_the_backend_are_recognised(plugin, english, german):
    translation = plugin("translation")
    translation.choose("de_DE")
    assert translation.told(english) == german
    translation.choose("en_GB")
    assert translation.told(english) == english


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_template_takes_what_another_is_for(plugin, language):
    translation = plugin("translation")
    translation.choose(language)
    values = [f"x{number}" for number in range(5)]
    path = PLUGIN / "languages" / "backend" / f"{language}.json"
    for english, translated in json.loads(path.read_text(encoding="utf-8")).items():
        assert translation.told(english.format(*values)) == translated.format(*values)


def test_german_is_there():
    assert "de" in LANGUAGES


def test_unknown_language_is_english(plugin):
    translation = plugin("translation")
    translation.choose("de_AT")
    assert translation.tr("{count} more", count=2) == "2 weitere"
    translation.choose("xx_XX")
    assert translation.tr("{count} more", count=2) == "2 more"


def test_the_manual_says_the_same_in_german_with_the_words_of_the_docker():
    english, german = (PLUGIN / "Manual.html").read_text(encoding="utf-8").split("<hr>")
    shape = [re.findall(r"<(h1|h2|ul|li|code)\b", part) for part in (english, german)]
    assert shape[0] == shape[1]
    translated = json.loads((PLUGIN / "languages" / "de.json").read_text(encoding="utf-8"))
    bold = [set(re.findall(r"<b>([^<]*)</b>", part)) for part in (english, german)]
    words = {translated[word] for word in bold[0] if word in translated}
    assert len(words) > 15 and words <= bold[1]


def test_krita_lists_the_plugin_in_german_too():
    lines = (PLUGIN.parent / "layer_diffusion.desktop").read_text(encoding="utf-8").splitlines()
    keys = {line.split("=", 1)[0] for line in lines if "=" in line}
    assert {"Name", "Comment", "Comment[de]"} <= keys
