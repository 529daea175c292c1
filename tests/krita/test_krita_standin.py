"""The plugin in a real Krita, with the stand-in for the backend."""

import json
from xml.etree import ElementTree

import pytest

from .conftest import PROJECT
from .processes import assert_ended

pytestmark = pytest.mark.krita

SHORTCUTS = {
    f"layer_diffusion_{name}": f"Ctrl+F{number}"
    for number, name in enumerate(("generate", "insert_result", "preview_result", "next_result", "previous_result"), 6)
}
"""As somebody who uses Krita's shortcut editor has them."""
KEYS = [f"Ctrl+{more}F{number}" for more in ("", "Shift+") for number in range(1, 13) if number != 4]
"""For every action of the plugin; Ctrl+F4 closes a document in some desktops."""
REMEMBERED = {"layer_diffusion": {"fields": r'{"prompt": "gl\\u00e4ser\\n\\u201ctwo\\u201d", "steps": 33}'}}


@pytest.fixture
def kept_files(plugin, tmp_path):
    """What an earlier Krita left behind: a kept result of 2 x 1 pixels at (3, 5), and one that was cut short."""
    geometry, job = plugin("geometry"), plugin("protocol.job")
    area = geometry.Area(3, 5, 2, 1)
    request = job.Request(job.Operation.OBJECT, "builtin", "kept glass", "", 64, 64, 4, 5.0, 1, 1)
    picture = plugin("pixels").Picture("seed 1", area, bytes((1, 2, 3, 0, 10, 20, 30, 255)), 1.0, True)
    plugin("kept").Shelf(tmp_path).put(plugin("jobs").Job("a" * 32, request, None, area, pictures=(picture,)))
    content = (tmp_path / f"{'a' * 32}.result").read_bytes()
    return {f"layer_diffusion/kept/{name * 32}.result": data for name, data in (("a", content), ("b", content[:-1]))}


def test_results_come_into_the_document(krita, standin, kept_files):
    results = krita("inserting.py", standin, settings=REMEMBERED, files=kept_files)
    print(results["values"])


def test_people_go_on_working(krita, standin):
    krita("interrupted.py", standin, timeout=240, shortcuts=SHORTCUTS)


def test_connection_breaks_and_backend_ends(krita, standin):
    krita("connection.py", standin)
    for token in standin.glob("token-*"):
        assert_ended(int(token.name.split("-")[1]))


def test_layers_are_conditions(krita, standin):
    krita("conditions.py", standin)


def test_results_go_where_they_are_wanted(krita, standin):
    krita("positions.py", standin)


def test_documents_of_every_colour_space(krita, standin, tmp_path):
    krita("colours.py", standin, folder=str(tmp_path))


def test_results_are_cards(krita, standin, tmp_path):
    krita("results.py", standin, shortcuts=SHORTCUTS, folder=str(tmp_path))


def test_every_action_does_its_thing(krita, standin):
    actions = ElementTree.parse(PROJECT / "krita_plugin" / "layer_diffusion.action").iter("Action")
    names = [action.get("name") for action in actions]
    krita("actions.py", standin, timeout=240, shortcuts=dict(zip(names, KEYS, strict=True)))


def test_what_is_sent_are_the_layers_as_they_stand(krita, standin):
    krita("given.py", standin)


def test_the_preview_lies_where_the_layers_will(krita, standin):
    krita("overlay.py", standin)


def test_styles_are_saved_changed_and_deleted(krita, standin):
    krita("styles.py", standin)


def test_two_documents_at_once(krita, standin):
    krita("two_documents.py", standin)


def test_undo_in_another_window(krita, standin):
    krita("windows.py", standin)


def test_queue(krita, standin):
    krita("queue.py", standin)


def test_first_start_and_models(krita, standin):
    (standin / "slow").touch()
    first = {"layer_diffusion": {"first_start": ""}}
    krita("models.py", standin, settings=first)
    (standin / "slow").unlink()
    # The new process has to search for what another program has, as at a first start.
    came = json.loads((standin / "came.json").read_text(encoding="utf-8"))
    (standin / "came.json").write_text(json.dumps(came | {"base.safetensors": 0}), encoding="utf-8")
    krita("models_again.py", standin, settings=first)


def test_a_fault_of_its_own_is_said_in_the_docker(krita, standin):
    krita("faults.py", standin)


def test_a_hundred_results_in_a_row(krita, standin):
    print(krita("many.py", standin, timeout=500)["values"])
