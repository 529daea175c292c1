"""The plugin in a real Krita, with the stand-in for the backend."""

import pytest

from .processes import assert_ended

pytestmark = pytest.mark.krita

REMEMBERED = {"layer_diffusion": {"fields": r'{"prompt": "gl\\u00e4ser\\n\\u201ctwo\\u201d", "steps": 33}'}}


def test_results_come_into_the_document(krita, standin):
    krita("inserting.py", standin, settings=REMEMBERED)


def test_people_go_on_working(krita, standin):
    krita("interrupted.py", standin)


def test_connection_breaks_and_backend_ends(krita, standin):
    krita("connection.py", standin)
    for token in standin.glob("token-*"):
        assert_ended(int(token.name.split("-")[1]))

