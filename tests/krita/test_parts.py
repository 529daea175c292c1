"""Sizes, pixels, words and settings: the parts of the plugin that need neither Krita nor Qt."""

from dataclasses import replace

import pytest


@pytest.mark.parametrize(
    ("area", "size"),
    [
        ((512, 512), (512, 512)),
        ((300, 131), (300, 131)),
        ((2480, 3508), (1448, 2048)),
        ((40, 30), (85, 64)),
        ((64, 2048), (64, 2048)),
        ((70, 2240), (64, 2048)),
    ],
)
def test_request_has_the_shape_of_the_area(plugin, area, size):
    assert plugin("geometry").request_size(*area) == size


def test_area_without_any_allowed_size_is_refused(plugin):
    with pytest.raises(ValueError, match="too narrow"):
        plugin("geometry").request_size(3, 100)


def test_boxes_lie_in_the_area_as_in_the_request(plugin):
    geometry, job = plugin("geometry"), plugin("protocol.job")
    area = geometry.Area(10, 20, 400, 200)
    assert geometry.place(job.Box(0, 0, 200, 100), (200, 100), area) == area
    assert geometry.place(job.Box(50, 50, 100, 25), (200, 100), area) == geometry.Area(110, 120, 200, 50)


def test_pixels_swap_red_and_blue_and_keep_colour_under_zero_alpha(plugin):
    assert plugin("pixels").to_bgra(bytes((1, 2, 3, 4, 200, 30, 40, 0))) == bytes((3, 2, 1, 4, 40, 30, 200, 0))


def layer_set(plugin, batch):
    job = plugin("protocol.job")
    request = job.Request(job.Operation.OBJECT, "builtin", "x", "", 64, 64, 4, 5.0, 1, batch)
    box, pixels = job.Box(0, 0, 2, 1), bytes(8)
    layers = tuple(job.Layer(job.Role.FOREGROUND, f"seed {i}", box, pixels, image=i) for i in range(batch))
    return job.LayerSet(request, layers, {})


def test_pictures_know_their_image_and_whether_they_are_shown(plugin):
    result = layer_set(plugin, 3)
    hidden = replace(result, layers=(*result.layers[:2], replace(result.layers[2], visible=False)))
    ready = plugin("pixels").pictures(hidden, plugin("geometry").Area(5, 6, 64, 64))
    assert [(picture.image, picture.visible) for picture in ready] == [(0, True), (1, True), (2, False)]
    assert ready[0].area == plugin("geometry").Area(5, 6, 2, 1)


@pytest.mark.parametrize(
    ("shown", "inner"),
    [((20, 30, 4, 2), (12, 22, 20, 18)), ((0, 0, 1, 1), (0, 0, 9, 9)), ((39, 49, 1, 1), (31, 41, 9, 9)), (None, None)],
)
def test_trimmed_pictures_keep_what_is_seen_with_the_colour_around_it(plugin, shown, inner):
    geometry, pixels = plugin("geometry"), plugin("pixels")
    whole = geometry.Area(100, 200, 40, 50)
    data = bytearray((7, 8, 9, 0)) * (whole.width * whole.height)
    if shown:
        x, y, width, height = shown
        for row in range(y, y + height):
            for column in range(x, x + width):
                data[(row * whole.width + column) * 4 + 3] = 1 + row
    trimmed = pixels.trimmed(pixels.Picture("seed 1", whole, bytes(data), 1.0, True))
    x, y, width, height = inner or (0, 0, whole.width, whole.height)
    assert trimmed.area == geometry.Area(100 + x, 200 + y, width, height)
    rows = range(y, y + height)
    assert trimmed.pixels == b"".join(data[(r * 40 + x) * 4 : (r * 40 + x + width) * 4] for r in rows)


@pytest.mark.parametrize(("opacity", "alpha"), [(255, (0, 1, 128, 255)), (128, (0, 1, 64, 128)), (0, (0, 0, 0, 0))])
def test_faded_pixels_keep_their_colour(plugin, opacity, alpha):
    pixels = b"".join(bytes((10, 20, 30, a)) for a in (0, 1, 128, 255))
    assert plugin("pixels").faded(pixels, opacity) == b"".join(bytes((10, 20, 30, a)) for a in alpha)


@pytest.mark.parametrize(("size", "corner"), [((200, 200), (5, 6)), ((68, 200), (2, 68)), ((30, 30), (-17, -17))])
def test_kept_pictures_stay_where_they_fit_and_are_centred_where_not(plugin, size, corner):
    area = plugin("geometry").Area(5, 6, 64, 64)
    inside = area.inside(*size)
    assert (inside.x, inside.y, inside.width, inside.height) == (*corner, 64, 64)
    ready = plugin("pixels").pictures(layer_set(plugin, 1), area)
    assert plugin("pixels").moved(ready, area, inside)[0].area == plugin("geometry").Area(*corner, 2, 1)


NAMES = ("red apple", "green apple", "pineapple", "apple pie", "pie", "ghost")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", []),
        ("a gho", [(2, "ghost")]),
        ("a red ap", [(2, "red apple"), (6, "apple pie"), (6, "green apple")]),
        ("a red apple", []),
        ("ap", [(0, "apple pie"), (0, "red apple"), (0, "green apple")]),
        ("Ghost, pin", [(7, "pineapple")]),
        ("a zebra", []),
    ],
)
def test_suggestions(plugin, text, found):
    assert plugin("words").suggestions(text, NAMES) == found


def test_settings_are_remembered(plugin):
    settings, request = plugin("settings"), plugin("protocol.request")
    kept = settings.Settings(
        task="blend", way=1, foreground="active", background="below", blend="{1-2}", init="selected",
        prompt="gläser\n“two”", negative="bad", foreground_prompt="f", background_prompt="b", blend_prompt="m",
        style="mine", model="sdxl", size_mode=settings.SizeMode.OWN, width=640, height=480, steps=30, cfg=7.5,
        seed=2**32 - 1, random_seed=False, batch=4, place="below", sampler=request.Sampler.UNIPC,
        injection=request.Injection.CONVOLUTION, weight=1.5, stop_at=0.5, strength=0.25,
        reblend_strength=0.75, decoding=request.Decoding.FAST, advanced=True, layer_prompts=True, clip=True,
        own_style=True,
    )  # fmt: skip
    assert not [name for name, value in vars(kept).items() if value == getattr(settings.Settings(), name)]
    assert settings.Settings.from_text(kept.to_text()) == kept


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "null", '{"seed": 1.5}', '{"steps": 0, "cfg": "x", "batch": true, "size_mode": "moon"}'],
)
def test_unusable_settings_become_defaults(plugin, text):
    settings = plugin("settings")
    assert settings.Settings.from_text(text) == settings.Settings()


def test_long_prompts_are_remembered_as_they_are(plugin):
    settings = plugin("settings")
    kept = settings.Settings(prompt="x" * 5000)
    assert settings.Settings.from_text(kept.to_text()) == kept


def test_settings_of_another_version_keep_what_is_known(plugin):
    settings = plugin("settings")
    assert settings.Settings.from_text('{"prompt": "x", "colour": 1}') == settings.Settings(prompt="x")


@pytest.mark.parametrize(
    ("text", "start", "end", "step", "after", "selected"),
    [
        ("a red apple", 4, 4, 0.1, "a (red:1.1) apple", "(red:1.1)"),
        ("a (red:1.1) apple", 4, 4, 0.1, "a (red:1.2) apple", "(red:1.2)"),
        ("a (red:1.1) apple", 2, 11, -0.1, "a red apple", "red"),
        ("a red apple", 2, 11, -0.1, "a (red apple:0.9)", "(red apple:0.9)"),
        ("a red apple, ", 12, 13, 0.1, "a red apple, ", ""),
        ("a red ", 1, 6, 0.1, "a (red:1.1) ", "(red:1.1)"),
        ("(x:2)", 1, 1, 0.1, "(x:2)", "(x:2)"),
        ("(x:0.1)", 1, 1, -0.1, "(x:0.1)", "(x:0.1)"),
        ("", 0, 0, 0.1, "", ""),
        ("one,two", 4, 4, 0.1, "one,(two:1.1)", "(two:1.1)"),
    ],
)
def test_words_get_weights(plugin, text, start, end, step, after, selected):
    new, first, last = plugin("words").emphasised(text, start, end, step)
    assert (new, new[first:last]) == (after, selected)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a cat <", [(6, "<lora:Ink:1>"), (6, "<lora:more ink:1>")]),
        ("<lora:in", [(0, "<lora:Ink:1>"), (0, "<lora:more ink:1>")]),
        ("<lora:mo", [(0, "<lora:more ink:1>")]),
        ("<lora:ink:1", []),
        ("<low", []),
        ("a cat", []),
    ],
)
def test_loras_are_suggested_as_tags(plugin, text, found):
    assert plugin("words").lora_suggestions(text, ("more ink", "Ink")) == found


def test_prompts_are_remembered_newest_first_and_once(plugin):
    remembered = plugin("words").remembered
    assert remembered(["b", "a"], "a") == ["a", "b"]
    assert remembered(["b"], "  ") == ["b"]
    assert len(remembered([str(n) for n in range(50)], "x")) == plugin("words").MOST_PROMPTS


def test_earlier_prompts_survive_and_nonsense_is_none(plugin):
    settings = plugin("settings")
    assert settings.prompts_of(settings.prompts_text(["ein Äpfel", "b"])) == ["ein Äpfel", "b"]
    assert settings.prompts_of("") == settings.prompts_of("{") == settings.prompts_of("3") == []
    assert settings.prompts_of('["a", 3]') == ["a"]
