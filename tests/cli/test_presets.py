"""The presets, and the controls of a request on the command line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from backend import presets
from backend.__main__ import main
from backend.models.modes import stages
from backend.pictures import Picture
from protocol.errors import LayerDiffusionError
from protocol.job import Box, Layer, LayerSet
from protocol.request import Injection, Input, Operation, Request, Resize, Role, Sampler, Source

FAMILIES = {
    "juggernautXL_version6Rundiffusion": "sdxl", "animaPencilXL_v100": "sdxl", "realisticVisionV51_v51VAE": "sd15",
}
SDE, KARRAS, UNIPC = Sampler.DPMPP_2M_SDE_KARRAS, Sampler.DPMPP_2M_KARRAS, Sampler.UNIPC


def painted(request: Request) -> LayerSet:
    """A result as the engine makes one: every layer of the operation, its colour told by prompt and role."""
    box = Box(0, 0, request.width, request.height)
    layers = tuple(
        Layer(role, role.value, box, colour(request.prompt, role) * box.width * box.height, image=image)
        for image in range(request.batch)
        for role in request.operation.makes
    )
    return LayerSet(request, layers, {})


def colour(prompt: str, role: Role) -> bytes:
    return bytes((len(prompt), list(Role).index(role), 7, 200))


class Recorder:
    """In place of the engine: keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Request, list[bytes]]] = []

    def __call__(self, name: str, request: Request, images) -> LayerSet:
        self.asked.append((name, request, list(images)))
        return painted(request)


def run(name: str, given=None, **changes) -> list[tuple[str, Request, list[bytes]]]:
    preset, recorder = presets.find(name), Recorder()
    presets.run(name, {**preset.settings, **changes}, preset.start, given or {}, changes, recorder)
    return recorder.asked


@pytest.mark.parametrize("name", presets.presets())
def test_every_preset_is_a_request_that_its_model_can_do(name):
    preset = presets.find(name)
    for made, request, images in run(name):
        family = FAMILIES[request.model]
        assert stages(family, request.operation, request.injection, [one.source for one in request.inputs]), made
        assert [len(pixels) for pixels in images] == [picture.size for picture in request.inputs]
        assert (request.steps, request.seed, request.batch, request.weight) == (20, 12345, 1, 1)
        assert request.resize is Resize.CROP_AND_RESIZE and request.injection is Injection.ATTENTION
    assert (made, request.model) == (name, preset.settings["model"]) and preset.compare.endswith(".")
    assert len(preset.sha256) == 10


@pytest.mark.parametrize(
    ("name", "sampler", "cfg", "size", "stop_at"),
    [
        ("glass", SDE, 5, (1024, 1024), 1),
        ("magic-book", SDE, 7, (1024, 1024), 1),
        ("boxer", SDE, 7, (896, 1152), 1),
        ("apple-sd15", KARRAS, 7, (512, 512), 1),
        ("man-walking", KARRAS, 7, (512, 640), 1),
        ("dog-in-room", SDE, 7, (896, 1152), 1),
        ("room", UNIPC, 7, (896, 1152), 0.5),
    ],
)
def test_settings_are_those_of_the_authors(name, sampler, cfg, size, stop_at):
    request = run(name)[-1][1]
    assert (request.sampler, request.cfg, (request.width, request.height), request.stop_at) == (
        sampler, cfg, size, stop_at,
    )


def test_negative_prompts_are_those_of_the_authors():
    """Those that keep a person or a scene decent say so; the boxer's is long and everything else has two words."""
    kept_decent = {
        "girl-in-dress": "nsfw, bad, ugly, text, watermark", "portrait-on-stage": "full body, nsfw, bad, ugly",
        **dict.fromkeys(
            ("apple-on-table", "apple-on-floor", "dog-in-street", "man-on-chair", "cat-running", "street-for-cat"),
            "nsfw, bad, ugly",
        ),
    }
    for name, preset in presets.presets().items():
        if name != "boxer":
            assert preset.settings["negative"] == kept_decent.get(name, "bad, ugly"), name


def test_long_prompts_are_in_one_piece():
    request = run("boxer")[-1][1]
    assert "4k epic detailed photograph shot on kodak" in request.prompt and "\n" not in request.prompt
    assert "(bad hands, bad anatomy" in request.negative and "bad art:1.4), (watermark" in request.negative
    assert "  " not in request.prompt + request.negative


def test_a_chain_hands_each_layer_on_and_makes_nothing_twice():
    asked = run("room")
    assert [name for name, _, _ in asked] == ["dog-sitting", "dog-in-room", "room"]
    dog, blend, room = (request for _, request, _ in asked)
    assert room.operation is Operation.EXTRACT_BACKGROUND
    assert room.inputs == (Input(Source.FOREGROUND, 896, 1152), Input(Source.BLEND, 896, 1152))
    expected = [colour(dog.prompt, Role.FOREGROUND), colour(blend.prompt, Role.BLEND)]
    assert [pixels[:4] for pixels in asked[-1][2]] == expected


def test_a_picture_that_is_given_takes_the_place_of_an_earlier_preset():
    given = {Source.BACKGROUND: Picture(64, 65, bytes(64 * 65 * 4))}
    asked = run("old-man-on-chair", given)
    assert [name for name, _, _ in asked] == ["old-man-on-chair"]
    assert asked[0][1].inputs == (Input(Source.BACKGROUND, 64, 65),)


def test_changes_hold_for_what_comes_before_too():
    assert {(request.model, request.steps) for _, request, _ in run("street-for-cat", model="mine", steps=3)} == {
        ("mine", 3)
    }


def test_unknown_preset_names_near_ones():
    with pytest.raises(LayerDiffusionError, match="boxer"):
        presets.find("boxers")


def test_presets_are_listed(capsys):
    assert main(["presets"]) == 0
    out = capsys.readouterr().out
    for name, preset in presets.presets().items():
        assert f"\n{name}: " in f"\n{out}" and preset.compare in out


# From here on with the engine and tiny models


def made_with(path: Path) -> dict:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("made-with.json"))


def roles(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return [name for name in archive.namelist() if name.startswith("data/")]


def test_one_call_makes_a_preset(tiny_model, tmp_path, capsys):
    arguments = ["--preset", "street-for-cat", "--model", "tiny", "--size", "64x80", "--steps", "1"]
    assert main(["generate", *arguments, "--output", str(tmp_path / "a.ora")]) == 0
    err = capsys.readouterr().err
    assert "cat-running: model" in err and "To compare: A street" in err
    assert "The authors used realisticVisionV51_v51VAE (SHA-256 15012c538f…)" in err
    made = made_with(tmp_path / "a.ora")
    assert made["made_with"]["preset"] == "street-for-cat"
    assert made["request"]["inputs"] == [{"source": "foreground", "width": 64, "height": 80}]
    assert made["request"]["seed"] == 12345 and len(roles(tmp_path / "a.ora")) == 2


def test_a_preset_needs_its_model(tiny_model, tmp_path, capsys):
    assert main(["generate", "--preset", "boxer", "--output", str(tmp_path / "a.png")]) == 2
    assert "juggernautXL_version6Rundiffusion" in capsys.readouterr().err


def test_every_control_reaches_the_request(tiny_model, tmp_path, capsys):
    picture = Image.new("RGBA", (96, 70), (200, 100, 50, 255))
    picture.save(tmp_path / "b.png")
    picture.save(tmp_path / "i.webp", lossless=True)
    arguments = {
        "model": "tiny", "operation": "object_on_background", "prompt": "a man", "negative": "ugly", "seed": "7",
        "steps": "2", "cfg": "3", "batch": "1", "sampler": "euler_a", "injection": "convolution", "weight": "0.5",
        "stop-at": "0.75", "resize": "resize_and_fill", "strength": "0.5", "foreground-prompt": "foreground",
        "background-prompt": "background", "blend-prompt": "blend", "decoding": "fast",
        "background": str(tmp_path / "b.png"), "init": str(tmp_path / "i.webp"), "output": str(tmp_path / "a.ora"),
    }
    assert main(["generate", *(part for name, value in arguments.items() for part in (f"--{name}", value))]) == 0
    request = made_with(tmp_path / "a.ora")["request"]
    assert request.pop("inputs") == [
        {"source": "background", "width": 96, "height": 70}, {"source": "init", "width": 96, "height": 70},
    ]
    assert (request.pop("width"), request.pop("height")) == (96, 70)
    for name, value in request.items():
        given = arguments[name.replace("_", "-")]
        assert value == (type(value)(given) if not isinstance(value, str) else given), name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["no prompt", "--preset"]),
        (["--prompt", "x", "--preset", "boxes"], ["boxes", "boxer"]),
        (["--prompt", "x", "--operation", "object_on_background"], ["background picture"]),
        (["--prompt", "x", "--background", "missing.png"], ["missing.png", "No such file"]),
        (["--prompt", "x", "--background", "text.png"], ["text.png", "damaged"]),
        (["--prompt", "x", "--init", "cut.png"], ["cut.png", "damaged"]),
        (["--prompt", "x", "--init", "wide.png"], ["wide.png", "2049 x 1"]),
    ],
    ids=lambda value: " ".join(value[-2:]),
)
def test_what_cannot_be_made_is_said_in_words(tiny_model, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    Path("text.png").write_text("no picture")
    Image.effect_noise((64, 64), 90).save("cut.png")
    Path("cut.png").write_bytes(Path("cut.png").read_bytes()[:-900])
    Image.new("RGB", (2049, 1)).save("wide.png")
    assert main(["generate", "--model", "tiny", *arguments, "--output", "a.png"]) == 2
    err = capsys.readouterr().err
    assert all(word in err for word in words), err
    assert not Path("a.png").exists()
