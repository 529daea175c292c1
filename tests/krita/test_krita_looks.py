"""What the docker shows in a real Krita: the pictures are for people, what can be measured is checked."""

import pytest

from .conftest import ARTEFACTS, PROJECT

pytestmark = pytest.mark.krita


def test_looks(krita):
    folder = ARTEFACTS / "looks"
    folder.mkdir(parents=True, exist_ok=True)
    krita("looks.py", PROJECT, timeout=240, folder=str(folder))
    assert len(list(folder.glob("*.png"))) >= 14


def test_each_document_has_its_own_fields(krita, standin, tmp_path):
    krita("documents.py", standin, folder=str(tmp_path))
