"""What the docker shows in a real Krita: the pictures are for people, what can be measured is checked."""

import shutil

import pytest

from .conftest import ARTEFACTS, PROJECT

DOCS = PROJECT / "krita_plugin" / "docs"
pytestmark = pytest.mark.krita


def test_pictures_of_the_readme(krita, tmp_path):
    folder = tmp_path / "looks"
    folder.mkdir()
    krita("looks.py", PROJECT, timeout=600, folder=str(folder))
    assert {path.name for path in folder.iterdir()} == {path.name for path in DOCS.iterdir()}
    shutil.copytree(folder, ARTEFACTS / "looks", dirs_exist_ok=True)


def test_looks_in_german_with_twice_the_pixels(krita, standin, tmp_path):
    german = {"LANG": "de_DE.UTF-8", "LANGUAGE": "de", "QT_SCALE_FACTOR": "2"}
    folder = tmp_path / "german"
    folder.mkdir()
    krita("german.py", standin, environment=german, folder=str(folder))
    shutil.copytree(folder, ARTEFACTS / "looks" / "german", dirs_exist_ok=True)


def test_each_document_has_its_own_fields(krita, standin, tmp_path):
    krita("documents.py", standin, folder=str(tmp_path))
