from __future__ import annotations

import errno
import json
import xml.etree.ElementTree as ET
import zipfile

import pytest
from PIL import Image

from backend import outputs
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.job import Box, Layer, LayerSet
from protocol.request import Operation, Request, Role

WIDTH, HEIGHT = 80, 64


def pixels(width, height, seed=0):
    """Every alpha, zero included, over colours that are never black."""
    places = ((x, y) for y in range(height) for x in range(width))
    return bytes(value for x, y in places for value in (*[(x + seed) % 255 + 1] * 3, (x * 7 + y) % 256))


def layer(box=None, name="apple", seed=0, role=Role.FOREGROUND, **changes):
    box = box or Box(0, 0, WIDTH, HEIGHT)
    return Layer(role, name, box, pixels(box.width, box.height, seed), **changes)


def scene(image=0):
    """The layers of an image that has several."""
    visible = {Role.BLEND: False}
    return [
        layer(name=role.value, role=role, image=image, seed=index, visible=visible.get(role, True))
        for index, role in enumerate((Role.BACKGROUND, Role.FOREGROUND, Role.BLEND))
    ]


def layer_set(*layers, prompt="a red apple"):
    request = Request(Operation.OBJECT, "builtin", prompt, "", WIDTH, HEIGHT, 20, 5.0, 1, 1)
    return LayerSet(request, layers or (layer(),), {"torch": "2.13.0"})


def read(archive, name):
    with archive.open(name) as file:
        image = Image.open(file)
        assert image.mode == "RGBA"
        return image.size, image.tobytes()


def test_png_keeps_every_pixel_and_the_colour_under_zero_alpha(tmp_path):
    one = layer()
    outputs.write_png(one, tmp_path / "a.png")
    image = Image.open(tmp_path / "a.png")
    assert image.tobytes() == one.pixels
    assert any(one.pixels[i + 3] == 0 and one.pixels[i] for i in range(0, len(one.pixels), 4))


def test_openraster_has_the_form_of_the_specification(tmp_path):
    path = tmp_path / "a.ora"
    outputs.write_openraster(layer_set(), path)
    assert path.read_bytes()[30:54] == b"mimetypeimage/openraster"
    with zipfile.ZipFile(path) as archive:
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type, first.extra) == ("mimetype", zipfile.ZIP_STORED, b"")
        assert archive.testzip() is None
        assert {"stack.xml", "mergedimage.png", "Thumbnails/thumbnail.png"} <= set(archive.namelist())
        size, merged = read(archive, "mergedimage.png")
        assert size == (WIDTH, HEIGHT) and merged == layer().pixels


def test_openraster_layers_are_exact_and_topmost_first(tmp_path):
    bottom = layer(name="bottom <&\ufffe>")
    top = layer(Box(-5, 30, 20, 40), "top", 9, opacity=0.25, visible=False)
    outputs.write_openraster(layer_set(bottom, top), tmp_path / "a.ora")
    with zipfile.ZipFile(tmp_path / "a.ora") as archive:
        image = ET.fromstring(archive.read("stack.xml"))
        assert image.attrib.items() >= {"version": "0.0.3", "w": str(WIDTH), "h": str(HEIGHT)}.items()
        found = [dict(element.attrib) for element in image.findall("stack/layer")]
        for attributes, source in zip(found, (top, bottom), strict=True):
            size, data = read(archive, attributes.pop("src"))
            assert size == (source.box.width, source.box.height) and data == source.pixels
        assert found == [
            {"name": "top", "x": "-5", "y": "30", "opacity": "0.25", "visibility": "hidden",
             "composite-op": "svg:src-over"},
            {"name": "bottom <&>", "x": "0", "y": "0", "opacity": "1", "visibility": "visible",
             "composite-op": "svg:src-over"},
        ]
        assert read(archive, "mergedimage.png")[1] == bottom.pixels
        assert json.loads(archive.read("made-with.json"))["request"]["prompt"] == "a red apple"


def tree(element):
    """(name, visible) of each layer, with a list of what it holds for each group, topmost first."""
    return [
        (child.get("name"), child.get("visibility") == "visible", *([tree(child)] if child.tag == "stack" else []))
        for child in element
    ]


def stack(path):
    with zipfile.ZipFile(path) as archive:
        return tree(ET.fromstring(archive.read("stack.xml"))[0])


SCENE = [("blend", False), ("foreground", True), ("background", True)]


def test_openraster_of_one_image_with_several_layers_has_no_group(tmp_path):
    outputs.write_openraster(layer_set(*scene()), tmp_path / "a.ora")
    assert stack(tmp_path / "a.ora") == SCENE


def test_openraster_has_a_group_for_each_image_with_several_layers(tmp_path):
    outputs.write_openraster(layer_set(*scene(), *scene(1)), tmp_path / "a.ora")
    assert stack(tmp_path / "a.ora") == [("Image 2", False, SCENE), ("Image 1", True, SCENE)]


def test_openraster_shows_the_first_of_alternatives(tmp_path):
    both = layer_set(layer(name="one"), layer(name="two", seed=9, image=1))
    outputs.write_openraster(both, tmp_path / "a.ora")
    assert stack(tmp_path / "a.ora") == [("two", False), ("one", True)]
    assert outputs.merge(both).tobytes() == both.layers[0].pixels


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (scene(), ["a-background", "a-foreground", "a-blend"]),
        ([layer(), layer(image=1)], ["a-1", "a-2"]),
        ([*scene()[:2], *scene(1)[:2]], ["a-1-background", "a-1-foreground", "a-2-background", "a-2-foreground"]),
        ([layer(image=3)], ["a"]),
    ],
    ids=["roles", "images", "both", "neither"],
)
def test_pngs_are_named_by_image_and_role(tmp_path, layers, names):
    files = outputs.write(layer_set(*layers), tmp_path / "a.png")
    assert [file.stem for file in files] == names
    assert [Image.open(file).tobytes() for file in files] == [one.pixels for one in layers]


def solid(colour, **changes):
    return Layer(Role.FOREGROUND, "solid", Box(0, 0, WIDTH, HEIGHT), bytes(colour) * WIDTH * HEIGHT, **changes)


def test_merged_image_blends_as_straight_alpha():
    merged = outputs.merge(layer_set(solid((0, 0, 200, 255)), solid((200, 0, 0, 255), opacity=0.5)))
    assert merged.getpixel((0, 0)) == pytest.approx((100, 0, 100, 255), abs=1)


def test_thumbnail_has_at_most_256_pixels(tmp_path):
    big = LayerSet(
        Request(Operation.OBJECT, "builtin", "", "", 640, 320, 1, 1.0, 1, 1), (layer(Box(0, 0, 640, 320)),), {}
    )
    outputs.write_openraster(big, tmp_path / "a.ora")
    with zipfile.ZipFile(tmp_path / "a.ora") as archive:
        assert read(archive, "Thumbnails/thumbnail.png")[0] == (256, 128)


def test_folder_gets_layers_pictures_and_how_they_were_made(tmp_path):
    files = outputs.write(layer_set(layer(), layer(seed=3, image=1)), tmp_path / "out")
    assert [file.name for file in files] == ["layers.ora", "layer-1.png", "layer-2.png", "made-with.json"]
    assert sorted(tmp_path.joinpath("out").iterdir()) == sorted(files)
    made = json.loads(files[-1].read_text())
    assert made["made_with"] == {"torch": "2.13.0"} and made["request"]["operation"] == "object"


def test_png_of_a_small_layer_shows_it_at_its_place(tmp_path):
    part = layer(Box(10, 20, 5, 6))
    [path] = outputs.write(layer_set(part), tmp_path / "a.png")
    image = Image.open(path)
    assert image.size == (WIDTH, HEIGHT)
    assert image.crop((10, 20, 15, 26)).tobytes() == part.pixels
    assert image.getpixel((9, 20)) == (0, 0, 0, 0)
    assert json.loads(image.info["layer_diffusion"])["request"]["seed"] == 1


@pytest.mark.parametrize("name", ["a.png", "a.ora", "sheet.jpg"])
def test_full_disk_leaves_the_old_file_and_no_half_one(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"old")
    # The device on which every write fails for want of space stands where the new file is being written.
    path.with_name(name + ".part").symlink_to("/dev/full")
    with pytest.raises(LayerDiffusionError, match="disk is full") as caught:
        outputs.contact_sheet([layer_set()], path) if name == "sheet.jpg" else outputs.write(layer_set(), path)
    assert caught.value.code is ErrorCode.DISK_FULL and "Free some space" in caught.value.hint
    assert [file.name for file in tmp_path.iterdir()] == [name] and path.read_bytes() == b"old"


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(outputs.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        outputs.write_png(layer(), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_file_system_name_the_reason(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(outputs.os, "replace", refuse)
    with pytest.raises(LayerDiffusionError, match="Read-only file system") as caught:
        outputs.write_png(layer(), tmp_path / "a.png")
    assert caught.value.code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("name", ["a.jpg", "missing/a.png", "folder.ora", "file/a.png", "file"])
def test_target_that_cannot_be_written_is_refused(tmp_path, name):
    (tmp_path / "folder.ora").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(LayerDiffusionError) as caught:
        outputs.check_target(tmp_path / name)
    assert caught.value.code is ErrorCode.INVALID_REQUEST


def test_contact_sheet_shows_the_checkerboard_through_and_fits_all(tmp_path):
    empty = solid((255, 0, 0, 0))
    outputs.contact_sheet([layer_set(solid((255, 0, 0, 255)), empty, prompt="x" * 300)], tmp_path / "sheet.png")
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.size == (2 * outputs.CELL, outputs.CELL + outputs.LABEL)
    middle = outputs.CELL // 2
    assert sheet.getpixel((middle, middle)) == (255, 0, 0)
    seen = {sheet.getpixel((outputs.CELL + middle + step, middle)) for step in range(2 * outputs.SQUARE)}
    assert seen == {outputs.LIGHT, outputs.DARK}


def test_contact_sheet_of_nothing_is_refused(tmp_path):
    with pytest.raises(LayerDiffusionError):
        outputs.contact_sheet([], tmp_path / "sheet.png")
