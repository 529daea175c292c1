"""What the docker shows in a real Krita: the pictures are for people, what can be measured is checked."""

import shutil

import pytest

from .conftest import ARTEFACTS, PROJECT

pytestmark = pytest.mark.krita


def test_looks(krita, tmp_path):
    folder = tmp_path / "looks"
    folder.mkdir()
    krita("looks.py", PROJECT, timeout=500, folder=str(folder))
    assert len(list(folder.glob("*.png"))) >= 14
    shutil.copytree(folder, ARTEFACTS / "looks", dirs_exist_ok=True)


def test_looks_in_german_with_twice_the_pixels(krita, standin, tmp_path):
    german = {"LANG": "de_DE.UTF-8", "LANGUAGE": "de", "QT_SCALE_FACTOR": "2"}
    folder = tmp_path / "german"
    folder.mkdir()
    krita("german.py", standin, environment=german, folder=str(folder))
    shutil.copytree(folder, ARTEFACTS / "looks" / "german", dirs_exist_ok=True)


def test_each_document_has_its_own_fields(krita, standin, tmp_path):
    krita("documents.py", standin, folder=str(tmp_path))
