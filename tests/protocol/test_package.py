"""What the package promises to those who copy it: errors with words, no dependency, old Python."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import protocol
from protocol.errors import TEXTS, ErrorCode, LayerDiffusionError, fail

FOLDER = Path(protocol.__file__).parent


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_a_sentence_and_a_hint(code: ErrorCode) -> None:
    with pytest.raises(LayerDiffusionError) as raised:
        fail(code)
    error = raised.value
    assert (error.message, error.hint) == TEXTS[code]
    assert error.message.endswith(".") and error.hint.endswith(".")
    assert LayerDiffusionError.from_dict(error.to_dict()) == error


def test_own_words_replace_the_defaults() -> None:
    error = LayerDiffusionError(ErrorCode.INTERNAL, "It broke.", "Mend it.")
    assert error.to_dict() == {"code": "internal", "message": "It broke.", "hint": "Mend it."}
    assert str(error) == "It broke. Mend it."
    assert pickle.loads(pickle.dumps(error)) == error


def test_an_error_can_travel_whatever_a_file_name_holds() -> None:
    assert LayerDiffusionError(ErrorCode.MISSING_FILE, "No file \udcff.").message == "No file ?."
    assert len(LayerDiffusionError(ErrorCode.INTERNAL, "x" * 10_000).message) == 1000


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"code": "internal", "message": "a"},
        {"code": "internal", "message": "a", "hint": "b", "x": "c"},
        {"code": "new", "message": "a", "hint": "b"},
        {"code": [], "message": "a", "hint": "b"},
        {"code": "internal", "message": 1, "hint": "b"},
        {"code": "internal", "message": "a" * 1001, "hint": "b"},
    ],
)
def test_no_error(value: object) -> None:
    with pytest.raises(LayerDiffusionError) as raised:
        LayerDiffusionError.from_dict(value)
    assert raised.value.code is ErrorCode.BAD_MESSAGE


def test_only_the_standard_library_is_imported() -> None:
    program = (
        "import sys; before = set(sys.modules); import protocol.messages, protocol.images;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=FOLDER.parent, capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) - set(sys.stdlib_module_names) == {"protocol"}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_the_syntax_is_that_of_python_3_10(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
