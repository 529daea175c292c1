"""An object that exists is valid."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.job import Box, Layer, LayerSet, ModelInfo, Phase, Progress, Verdict
from protocol.request import Decoding, Injection, Input, Operation, Request, Resize, Role, Sampler, Source

REQUEST = Request(Operation.OBJECT, "builtin", "an apple", "", 256, 256, 20, 5.0, 1, 1)
LAYER = Layer(Role.FOREGROUND, "apple", Box(0, 0, 2, 3), bytes(range(24)))
VERDICT = Verdict(0.5, 0.25, 0.25, 0, 0, "")
PROGRESS = Progress(Phase.LOADING, 0, 1, 0)
MODEL = ModelInfo("builtin", "Built-in", "sd15", 128, (Operation.OBJECT,), "")


def _refused(make: Any, *arguments: Any, **values: Any) -> LayerDiffusionError:
    with pytest.raises(LayerDiffusionError) as refused:
        make(*arguments, **values)
    assert refused.value.code is ErrorCode.INVALID_REQUEST
    return refused.value


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("operation", [Operation.OBJECT], ["object", None]),
        ("model", ["a", "a" * 255, "SD 1.5 (best)"], ["", "a" * 256, "a/b", "a\\b", "a\nb\x00", 1]),
        ("prompt", ["", "a" * 4000, "two\nlines\tand 🍎"], ["a" * 4001, "\x00", "\x1b[0m", "\ud800", None]),
        ("negative", ["", "a" * 4000], ["a" * 4001, b"bytes"]),
        ("width", [64, 65, 2048], [0, 63, 2049, -64, 64.0, "64", True, float("nan")]),
        ("height", [64, 65, 2048], [0, 63, 2049, 2**40]),
        ("steps", [1, 150], [0, 151, 1.5]),
        ("cfg", [0, 0.0, 7.5, 30], [-0.1, 30.1, float("nan"), float("inf"), "5", True]),
        ("seed", [0, 2**32 - 1], [-1, 2**32]),
        ("batch", [1, 16], [0, 17]),
        ("sampler", list(Sampler), ["euler_a", None]),
        ("injection", list(Injection), ["attention"]),
        ("weight", [0, 1, 0.5, 2.0], [-0.1, 2.1, float("nan"), "1", None]),
        ("stop_at", [0, 0.5, 1], [-0.1, 1.1]),
        ("resize", list(Resize), ["just_resize"]),
        ("strength", [0, 0.5, 1], [-0.1, 1.1]),
        ("foreground_prompt", ["", "a" * 4000], ["a" * 4001, "\x00", None]),
        ("background_prompt", ["", "a" * 4000], ["a" * 4001, "\x00", None]),
        ("blend_prompt", ["", "a" * 4000], ["a" * 4001, "\x00", None]),
        ("decoding", list(Decoding), ["full"]),
        ("inputs", [(), (Input(Source.INIT, 1, 2048),)], [None, [], ("init",)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_ranges_of_a_request(field: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert getattr(replace(REQUEST, **{field: value}), field) == value
    for value in bad:
        _refused(replace, REQUEST, **{field: value})


def _inputs(*sources: Source) -> tuple[Input, ...]:
    return tuple(Input(source, 64, 64) for source in sources)


@pytest.mark.parametrize("operation", Operation)
def test_an_operation_takes_exactly_what_it_needs(operation: Operation) -> None:
    sets = [frozenset(chosen) for count in range(4) for chosen in combinations(Source, count)]
    for given in sets:
        starts = given in operation.needs or (operation.refines and given - {Source.INIT} in operation.needs)
        if starts:
            request = replace(REQUEST, operation=operation, inputs=_inputs(*given))
            assert request.input_bytes == len(given) * 64 * 64 * 4
        else:
            _refused(replace, REQUEST, operation=operation, inputs=_inputs(*given))
    for need in operation.needs:
        if need:
            _refused(replace, REQUEST, operation=operation, inputs=_inputs(*need, *need))


def test_a_missing_picture_is_named() -> None:
    error = _refused(replace, REQUEST, operation=Operation.EXTRACT_BACKGROUND, inputs=_inputs(Source.BLEND))
    assert "a blend picture and a foreground picture, not from a blend picture" in error.message
    error = _refused(replace, REQUEST, operation=Operation.REBLEND, inputs=_inputs(Source.FOREGROUND))
    assert "a foreground picture and an init picture or a background picture and an init picture" in error.message


@pytest.mark.parametrize(
    ("field", "bad"), [("source", "init"), ("width", 0), ("width", 2049), ("height", 0), ("height", 2.0)]
)
def test_the_ranges_of_an_input(field: str, bad: Any) -> None:
    _refused(replace, Input(Source.INIT, 1, 1), **{field: bad})


@pytest.mark.parametrize(
    ("field", "bad"),
    [("transparent", 1.1), ("soft", -0.1), ("opaque", None), ("residue", 2), ("halo", 2), ("advice", "a" * 1001)],
)
def test_the_ranges_of_a_verdict(field: str, bad: Any) -> None:
    _refused(replace, VERDICT, **{field: bad})


def test_the_largest_result_of_an_operation_is_known() -> None:
    assert replace(REQUEST, batch=3).result_bytes == 3 * 256 * 256 * 4
    assert replace(REQUEST, operation=Operation.SCENE).result_bytes == 3 * 256 * 256 * 4


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("role", "foreground"),
        ("name", ""),
        ("name", "a" * 256),
        ("box", (0, 0, 2, 3)),
        ("pixels", bytes(23)),
        ("pixels", bytes(25)),
        ("pixels", bytearray(24)),
        ("opacity", 1.1),
        ("blending", "dissolve"),
        ("visible", 1),
        ("seed", -1),
        ("image", 16),
        ("verdict", "good"),
    ],
)
def test_the_ranges_of_a_layer(field: str, bad: Any) -> None:
    _refused(replace, LAYER, **{field: bad})


@pytest.mark.parametrize("sides", [(0, 0, 0, 1), (0, 0, 1, 0), (0, 0, 2049, 1), (2049, 0, 1, 1), (0, -2049, 1, 1)])
def test_the_ranges_of_a_box(sides: tuple[int, int, int, int]) -> None:
    _refused(Box, *sides)


@pytest.mark.parametrize(
    ("field", "bad"), [("phase", "loading"), ("step", 2), ("step", -1), ("total", -1), ("fraction", 1.01)]
)
def test_the_ranges_of_progress(field: str, bad: Any) -> None:
    _refused(replace, PROGRESS, **{field: bad})


@pytest.mark.parametrize(
    ("field", "bad"),
    [("id", ""), ("name", ""), ("family", "sd3"), ("native_side", 0), ("operations", ("object",)), ("objects", ("",))],
)
def test_the_ranges_of_a_model(field: str, bad: Any) -> None:
    _refused(replace, MODEL, **{field: bad})


@pytest.mark.parametrize("layers", [(), (LAYER,) * 65, [LAYER], (LAYER.header,)], ids=["none", "65", "list", "headers"])
def test_the_layers_of_a_result(layers: Any) -> None:
    _refused(LayerSet, REQUEST, layers, {})


@pytest.mark.parametrize("made_with", [{"a": 1}, {"": "a"}, {"a": "b" * 256}, {str(i): "" for i in range(33)}, None])
def test_made_with(made_with: Any) -> None:
    _refused(LayerSet, REQUEST, (LAYER,), made_with)


def test_a_result_is_its_header_and_its_pixels() -> None:
    other = replace(LAYER, name="pear", box=Box(5, 6, 1, 1), pixels=b"\x01\x02\x03\x00", opacity=0.5, visible=False)
    other = replace(other, image=3, verdict=VERDICT)
    result = LayerSet(REQUEST, (LAYER, other), {"torch": "2"})
    assert result.header.with_pixels([LAYER.pixels, other.pixels]) == result


@pytest.mark.parametrize("images", [[], [bytes(24), bytes(24)], [bytes(20)]], ids=["none", "too many", "too short"])
def test_pixels_that_do_not_fit_the_header(images: list[bytes]) -> None:
    _refused(LayerSet(REQUEST, (LAYER,), {}).header.with_pixels, images)


def test_an_error_says_what_is_wrong() -> None:
    assert _refused(replace, REQUEST, width=12).message == "The width must be a whole number from 64 to 2048, not 12."
