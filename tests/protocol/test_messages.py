"""Messages survive the wire and everything else is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest

import protocol
from protocol import limits
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.images import HEADER
from protocol.job import Box, LayerHeader, LayerSetHeader, ModelInfo, Phase, Progress, Thumbnail, Verdict
from protocol.library import BundleInfo, Download, FileInfo, FileState, OwnModel, Work
from protocol.messages import (
    TYPES,
    Acknowledge,
    Cancel,
    CancelAll,
    CancelInstall,
    Cancelled,
    Diagnose,
    Diagnostics,
    Done,
    Failed,
    Files,
    Generate,
    Hello,
    Install,
    Installed,
    Installing,
    JobStatus,
    ListFiles,
    ListModels,
    Message,
    Models,
    PauseInstall,
    Preview,
    Queued,
    Refused,
    RemoveFiles,
    ResumeInstall,
    Running,
    ScanFiles,
    Started,
    State,
    Unload,
    Unloaded,
    VerifyFiles,
    Welcome,
    build,
    parse,
)
from protocol.request import Decoding, Injection, Input, Operation, Request, Resize, Role, Sampler, Source

JOB = "0123456789abcdef" * 2
REQUEST = Request(Operation.OBJECT, "builtin", "ein röter Äpfel 🍎\n(rot:1.3)", "", 200, 64, 20, 5.5, 2**32 - 1, 2)
WITH_PICTURES = replace(
    REQUEST,
    operation=Operation.EXTRACT_FOREGROUND,
    inputs=(Input(Source.BLEND, 30, 2048), Input(Source.INIT, 1, 1), Input(Source.BACKGROUND, 2, 3)),
)
VERDICT = Verdict(0.5, 0.25, 0.25, 0.01, 0.125, "Choose another seed.")
LAYER = LayerHeader(Role.FOREGROUND, "apple", Box(-1, 2, 30, 40), 0.5, "normal", True, 7, 1, VERDICT)
OPAQUE = replace(LAYER, role=Role.BACKGROUND, image=0, verdict=None)
RESULT = LayerSetHeader(REQUEST, (OPAQUE, LAYER), {"torch": "2.13.0"})
MODEL = ModelInfo("builtin", "Built-in", "sd15", 128, (Operation.OBJECT,), "small", ("apple", "pear"), {"scene": "No."})
BUNDLE = BundleInfo("sdxl-layers", "All operations", ("one.safetensors",))
FILE = FileInfo(
    "one.safetensors", "Objects", "MIT", "someone/layers", "main", "0123abcd", "sdxl", 6 * 10**9, 2**40, 5,
    FileState.PARTIAL,
)  # fmt: skip
OWN = OwnModel("dreamy", "sdxl", "/home/me/ComfyUI/models", "Made for few steps.")
DOWNLOAD = Download(Work.INSTALL, ("sdxl-layers", "two.safetensors"), 5, 2**40, 1.5e6, True)
ERROR = LayerDiffusionError(ErrorCode.OUT_OF_MEMORY, "No memory.")

EXAMPLES: list[Message] = [
    Hello((2, 3), "Krita plugin 0.1", JOB),
    Generate(JOB, REQUEST),
    Generate(JOB, WITH_PICTURES),
    Cancel(JOB),
    CancelAll(),
    Acknowledge(JOB),
    ListModels(),
    ListFiles(),
    Install(("sdxl-layers",)),
    VerifyFiles(()),
    VerifyFiles(("sdxl-layers",)),
    ScanFiles(""),
    ScanFiles("/home/someone/models"),
    PauseInstall(),
    ResumeInstall(),
    CancelInstall(),
    RemoveFiles(("one.safetensors", "two.safetensors")),
    Unload(),
    Diagnose(),
    Welcome(3, "backend 0.1", (MODEL,), ("detail",), (JobStatus(JOB, State.QUEUED, 3),)),
    Models((), ()),
    Files((BUNDLE,), (FILE,), (OWN, replace(OWN, family="")), (), DOWNLOAD),
    Files((), (), (), ("sdxl-layers",), None),
    Installing(DOWNLOAD),
    Installing(replace(DOWNLOAD, work=Work.SCAN, names=())),
    Installed(("sdxl-layers",), None),
    Installed(("sdxl-layers",), ERROR),
    Unloaded(),
    Diagnostics({"torch": "2.13.0"}, ("out_of_memory: No memory.",), ("a line",)),
    Queued(JOB, 0),
    Started(JOB),
    Running(JOB, Progress(Phase.DENOISING, 3, 20, 0.25)),
    Preview(JOB, Thumbnail.of(Role.FOREGROUND, 1, 2, 1, bytes(range(8)))),
    Done(JOB, RESULT, 2),
    Failed(JOB, ERROR),
    Cancelled(JOB),
    Refused(ERROR, None),
    Refused(ERROR, JOB),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_what_is_built_is_parsed(message: Message) -> None:
    assert parse(build(message)) == message


def test_every_message_has_a_type_and_an_example() -> None:
    assert set(TYPES.values()) == set(get_args(Message)) == {type(message) for message in EXAMPLES}


def test_the_readme_describes_every_object_and_choice() -> None:
    readme = (Path(protocol.__file__).parent / "README.md").read_text(encoding="utf-8")
    objects = dict(re.findall(r"^\*\*([\w ]+)\*\*(.*?)^$", readme, re.MULTILINE | re.DOTALL))
    described = {
        "layer": LayerHeader, "verdict": Verdict, "box": Box, "progress": Progress, "input": Input,
        "model info": ModelInfo, "thumbnail": Thumbnail, "file info": FileInfo, "bundle info": BundleInfo,
        "own model": OwnModel, "download": Download,
    }  # fmt: skip
    for name, kind in described.items():
        for field in fields(kind):
            assert f"`{field.name}`" in objects[name], (name, field.name)
    request = readme[readme.index("**request**") : readme.index("**input**")]
    for field in fields(Request):
        assert f"`{field.name}`" in request, field.name
    for choices in (Operation, Sampler, Injection, Resize, Decoding, Source, Role, Phase, FileState, Work):
        for choice in choices:
            assert f"`{choice.value}`" in readme, choice


def test_the_readme_says_what_each_operation_takes_and_makes() -> None:
    readme = (Path(protocol.__file__).parent / "README.md").read_text(encoding="utf-8")
    for operation in Operation:
        takes = " or ".join(" and ".join(sorted(source.value for source in need)) for need in operation.needs)
        makes = ", ".join(role.value for role in operation.makes)
        refines = "yes" if operation.refines else "no"
        assert f"\n| `{operation.value}` | {takes or '–'} | {refines} | {makes} |" in readme


def test_the_readme_describes_every_message_and_code_and_field() -> None:
    readme = (Path(protocol.__file__).parent / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)", readme, re.MULTILINE))
    assert {code.value for code in ErrorCode} <= rows.keys()
    for message in EXAMPLES:
        value = json.loads(build(message))
        described = rows[value.pop("type")]
        for field in value:
            assert f"`{field}`" in described, (message, field)


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("side", f"{limits.MIN_SIDE}–{limits.MAX_SIDE}"),
        ("weight", f"{limits.MAX_WEIGHT:g}"),
        ("inputs", f"{max(len(need) + op.refines for op in Operation for need in op.needs)}"),
        ("pixels of an image", f"{limits.MAX_SIDE}², from the sides"),
        ("prompt", f"{limits.MAX_PROMPT} characters"),
        ("steps", f"{limits.MAX_STEPS}"),
        ("CFG", f"{limits.MAX_CFG:g}"),
        ("batch", f"{limits.MAX_BATCH}"),
        ("seed", f"{limits.MAX_SEED.bit_length()} bits"),
        ("jobs of a client", f"{limits.MAX_QUEUE}"),
        ("pixels held for a client", f"{limits.MAX_HELD // 2**30} GiB"),
        ("jobs, pixels held for all clients", f"{limits.MAX_JOBS_ALL}, {limits.MAX_HELD_ALL // 2**30} GiB"),
        ("layers of a result", f"{limits.MAX_LAYERS}"),
        ("names", f"{limits.MAX_NAME} characters"),
        ("text message", f"{limits.MAX_TEXT // 2**10} KiB"),
        ("binary message", f"{limits.CHUNK // 2**20} MiB + {HEADER.size} bytes"),
        ("models, objects of a model, LoRAs", f"{limits.MAX_MODELS}, {limits.MAX_OBJECTS}, {limits.MAX_LORAS}"),
        ("reason", f"{limits.MAX_REASON} characters"),
        ("preview", f"{limits.MAX_PREVIEW} pixels"),
        ("files, bytes of them", f"{limits.MAX_FILES}, 2^{limits.MAX_FILE.bit_length()} − 1"),
        ("lines of a log, of errors", f"{limits.MAX_LINES}"),
    ],
)
def test_the_readme_gives_every_limit_as_it_is(limit: str, value: str) -> None:
    readme = (Path(protocol.__file__).parent / "README.md").read_text(encoding="utf-8")
    assert f"\n| {limit} | {value} |" in readme


def _refused(text: str, code: ErrorCode = ErrorCode.BAD_MESSAGE) -> LayerDiffusionError:
    with pytest.raises(LayerDiffusionError) as refused:
        parse(text)
    assert refused.value.code is code, refused.value
    return refused.value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        '"hello"',
        "{}",
        '{"type":1}',
        '{"type":["cancel_all"]}',
        '{"type":"Cancel_All"}',
        '{"type":"cancel_all","type":"cancel_all"}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:40],
)
def test_no_message(text: str) -> None:
    _refused(text)


def _values(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside a JSON value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _values(item, (*path, key))


def _variants(message: Message, new: object) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield the message's JSON with each of its values in turn replaced."""
    for path in _values(json.loads(build(message))):
        value = json.loads(build(message))
        inner = value
        for key in path[:-1]:
            inner = inner[key]
        # An integer is a way to write a float.
        if type(inner[path[-1]]) is not type(new) and (type(inner[path[-1]]), type(new)) != (float, int):
            inner[path[-1]] = new
            yield path, json.dumps(value)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("new", [True, 3, 1.5, "text", [], {}, [[]], {"x": 1}], ids=repr)
def test_a_value_of_another_type_anywhere(message: Message, new: object) -> None:
    for path, text in _variants(message, new):
        with pytest.raises(LayerDiffusionError) as refused:
            parse(text)
        assert refused.value.code is ErrorCode.BAD_MESSAGE, (path, text)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_an_unknown_or_missing_field_anywhere(message: Message) -> None:
    for path in [(), *_values(json.loads(build(message)))]:
        value = json.loads(build(message))
        inner = value
        for key in path:
            inner = inner[key]
        if isinstance(inner, dict) and path[-1:] not in (("made_with",), ("lacks",), ("report",)):
            inner["surprise"] = 1
            assert "surprise" in _refused(json.dumps(value)).message or path[-1:] == ("error",)
            for key in inner.keys() - {"surprise"}:
                without = {name: item for name, item in inner.items() if name not in (key, "surprise")}
                outer = json.loads(build(message))
                target = outer
                for step in path[:-1]:
                    target = target[step]
                if path:
                    target[path[-1]] = without
                _refused(json.dumps(outer if path else without))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_no_number(number: str) -> None:
    _refused(build(Generate(JOB, REQUEST)).replace("5.5", number))


@pytest.mark.parametrize("job", ["", JOB[:-1], JOB + "0", JOB.upper(), JOB[:-1] + "g", JOB + "\n", "../" * 10 + "ab"])
def test_no_id(job: str) -> None:
    assert _refused(json.dumps({"type": "cancel", "job": job})).job is None


def test_an_error_names_the_job_it_belongs_to() -> None:
    assert _refused(build(Cancel(JOB))[:-1] + ',"x":1}').job == JOB
    text = build(Generate(JOB, REQUEST)).replace('"width":200', '"width":0')
    assert _refused(text, ErrorCode.INVALID_REQUEST).job == JOB


def test_an_unknown_choice() -> None:
    _refused(build(Generate(JOB, REQUEST)).replace('"object"', '"everything"'))
    _refused(build(Failed(JOB, ERROR)).replace("out_of_memory", "unknown"))


def test_a_text_over_the_limit() -> None:
    padding = limits.MAX_TEXT - len(build(CancelAll()))
    assert parse(build(CancelAll()) + " " * padding) == CancelAll()
    _refused(build(CancelAll()) + " " * (padding + 1), ErrorCode.TOO_LARGE)
    _refused("é" * (limits.MAX_TEXT // 2 + 1), ErrorCode.TOO_LARGE)


def test_the_largest_result_fits_into_a_message() -> None:
    prompts = {f"{role.value}_prompt": "🍎" * limits.MAX_PROMPT for role in Role}
    request = replace(
        WITH_PICTURES, model="🍎" * 255, prompt="🍎" * 4000, negative="🍎" * 4000, width=2048, height=2048, steps=150,
        weight=1 / 3, stop_at=1 / 3, strength=1 / 3, **prompts,
    )
    verdict = Verdict(1 / 3, 1 / 3, 1 / 3, 1 / 3, 1 / 3, "🍎" * limits.MAX_NOTE)
    box = Box(-2048, -2048, 2048, 2048)
    layer = LayerHeader(Role.FOREGROUND, "🍎" * limits.MAX_NAME, box, 1 / 3, "normal", False, 2**32 - 1, 15, verdict)
    made_with = {f"{i:02}" + "🍎" * (limits.MAX_NAME - 2): "🍎" * limits.MAX_NAME for i in range(limits.MAX_MADE_WITH)}
    done = Done(JOB, LayerSetHeader(request, (layer,) * limits.MAX_LAYERS, made_with), limits.MAX_LAYERS)
    assert parse(build(done)) == done
