"""What the docker shows in a real Krita: the pictures are for people, what can be measured is checked."""

import pytest

from .conftest import ARTEFACTS, OTHER_ROOT, PROJECT

pytestmark = pytest.mark.krita


def test_looks(krita, standin):
    folder = ARTEFACTS / "looks"
    folder.mkdir(parents=True, exist_ok=True)
    backend, failing = (standin, "memory") if OTHER_ROOT else (PROJECT, " ")
    krita("looks.py", backend, timeout=240, folder=str(folder), failing=failing)
    assert len(list(folder.glob("*.png"))) >= 14


def test_each_document_has_its_own_fields(krita, standin, tmp_path):
    krita("documents.py", standin, folder=str(tmp_path))
