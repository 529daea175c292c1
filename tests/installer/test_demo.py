from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from installer import demo
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.job import Box, Layer, LayerSet
from protocol.request import Operation, Request, Role

ROOT = Path(__file__).parents[2]


def test_demonstration_over_the_websocket(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "PROMPTS", demo.PROMPTS[:4])
    demo.main(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"layers.ora", "apple.png", "contact-sheet.png"}
    apple = Image.open(tmp_path / "out" / "apple.png")
    assert (apple.mode, apple.size) == ("RGBA", (demo.SIDE, demo.SIDE))
    with zipfile.ZipFile(tmp_path / "out" / "layers.ora") as archive:
        assert len([name for name in archive.namelist() if name.startswith("data/")]) == 4
        with archive.open("data/layer000.png") as file:
            assert Image.open(file).tobytes() == apple.tobytes()


def test_layers_stand_side_by_side():
    def result(prompt):
        request = Request(Operation.OBJECT, "builtin", prompt, "", 64, 80, 1, 1.0, 1, 1)
        layer = Layer(Role.FOREGROUND, "x", Box(0, 0, 64, 80), prompt.encode() * 64 * 80)
        return LayerSet(request, (layer,), {"torch": "2.13.0"})

    together = demo.arrange([result(prompt) for prompt in ("pear", "kiwi", "fish")])
    assert [(layer.name, layer.box.x, layer.box.y, layer.pixels[:4]) for layer in together.layers] == [
        ("pear", 0, 0, b"pear"),
        ("kiwi", 64, 0, b"kiwi"),
        ("fish", 0, 80, b"fish"),
    ]
    assert (together.request.width, together.request.height) == (128, 160)


def test_every_prompt_is_of_an_object_that_the_model_knows():
    names = {thing["name"] for thing in json.loads((ROOT / "backend" / "builtin" / "objects.json").read_text("utf-8"))}
    for prompt in demo.PROMPTS:
        words = prompt.removeprefix("a ").removeprefix("an ").removeprefix("red ")
        assert words in names


def test_missing_model_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "MODEL", "nothing")
    with pytest.raises(LayerDiffusionError) as caught:
        demo.main(tmp_path)
    assert caught.value.code is ErrorCode.UNKNOWN_MODEL
