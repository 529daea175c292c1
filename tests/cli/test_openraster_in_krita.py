"""The real Krita reads what the command line writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from backend import outputs
from protocol.job import Box

from .test_outputs import HEIGHT, WIDTH, layer, layer_set, scene

PROGRAM = """
import json
from krita import Krita

def look(arguments):
    source, target = arguments
    document = Krita.instance().openDocument(source)
    def described(node):
        return {
            "name": node.name(), "opacity": node.opacity(), "visible": node.visible(), "type": node.type(),
            "pixels": bytes(node.pixelData(0, 0, document.width(), document.height())).hex(),
            "inside": [described(child) for child in node.childNodes()],
        }
    layers = described(document.rootNode())["inside"]
    with open(target, "w") as file:
        json.dump([document.width(), document.height(), layers], file)
"""


def _in_krita(result, tmp_path):
    """What the real Krita makes of a result's OpenRaster file: width, height, layers."""
    required = os.environ.get("LAYER_DIFFUSION_REQUIRE_KRITA") == "1"
    if shutil.which("kritarunner") is None and not required:
        pytest.skip("Krita is not installed")
    outputs.write_openraster(result, tmp_path / "a.ora")
    (tmp_path / "look.py").write_text(PROGRAM)
    command = ["kritarunner", "-s", "look", "-f", "look", str(tmp_path / "a.ora"), str(tmp_path / "seen.json")]
    # Krita's Python takes the first python3 of PATH for its home, and would look for PyQt in a virtual environment.
    environment = {**os.environ, "PATH": os.defpath, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(tmp_path)}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert (tmp_path / "seen.json").exists(), answer.stderr
    return json.loads((tmp_path / "seen.json").read_text())


@pytest.mark.krita
def test_krita_reads_every_layer_with_its_place_and_pixels(tmp_path):
    bottom = layer(name="bottom")
    top = layer(Box(30, 10, 20, 40), "top", 9, opacity=0.2, visible=False)
    width, height, seen = _in_krita(layer_set(bottom, top), tmp_path)
    assert (width, height) == (WIDTH, HEIGHT)
    assert [(node["name"], node["opacity"], node["visible"], node["type"]) for node in seen] == [
        ("bottom", 255, True, "paintlayer"),
        ("top", 51, False, "paintlayer"),
    ]
    # Krita's own order is blue, green, red, alpha; these tests' pixels are grey.
    assert bytes.fromhex(seen[0]["pixels"]) == bottom.pixels
    inside = bytes.fromhex(seen[1]["pixels"])
    rows = [inside[(y * WIDTH + 30) * 4 : (y * WIDTH + 50) * 4] for y in range(10, 50)]
    assert b"".join(rows) == top.pixels


@pytest.mark.krita
def test_krita_reads_groups_and_what_is_hidden(tmp_path):
    _, _, seen = _in_krita(layer_set(*scene(), *scene(1)), tmp_path)
    assert [(node["name"], node["visible"], node["type"]) for node in seen] == [
        ("Image 1", True, "grouplayer"),
        ("Image 2", False, "grouplayer"),
    ]
    for group in seen:
        inside = [(node["name"], node["visible"]) for node in group["inside"]]
        assert inside == [("background", True), ("foreground", True), ("blend", False)]
