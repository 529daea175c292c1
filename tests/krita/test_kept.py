"""Results that are kept as files."""

import errno
import json
import os
from dataclasses import replace

import pytest


@pytest.fixture
def job(plugin):
    """A finished job with two pictures, one of them outside of the canvas."""
    parts, area = plugin("protocol.job"), plugin("geometry").Area
    request = parts.Request(parts.Operation.OBJECT, "builtin", "gläser\n“two”", "bad", 64, 96, 4, 5.5, 2**32 - 1, 2)
    picture = plugin("pixels").Picture("seed 1", area(-1, 7, 2, 1), bytes(range(8)), 0.5, True)
    other = replace(picture, name="seed\n2", pixels=bytes(range(8, 16)), visible=False, image=1)
    area, both = area(-5, 6, 64, 96), (picture, other)
    return plugin("jobs").Job("0" * 32, request, "document", area, pictures=both, typed="gläser")


@pytest.fixture
def shelf(plugin, tmp_path):
    return plugin("kept").Shelf(tmp_path / "layer_diffusion" / "kept")


@pytest.fixture
def file(shelf, job, tmp_path):
    """The file of `job`."""
    shelf.put(job)
    return next(tmp_path.rglob("*.result"))


def test_kept_result_is_read_as_it_was(shelf, job, file):
    (read,), damaged = shelf.jobs()
    assert read == replace(job, document=None) and damaged == []


def test_results_come_back_in_the_order_they_were_kept(shelf, job, file):
    os.utime(file, (2, 2))
    shelf.put(replace(job, id="1" * 32))
    os.utime(file.with_name(f"{'1' * 32}.result"), (1, 1))
    assert [read.id for read in shelf.jobs()[0]] == ["1" * 32, "0" * 32]


def test_result_is_forgotten_when_it_was_inserted(shelf, job, file):
    shelf.remove(job.id)
    shelf.remove(job.id)
    assert shelf.jobs() == ([], []) and not file.exists()


def test_nothing_was_ever_kept(shelf):
    assert shelf.jobs() == ([], [])


@pytest.mark.parametrize("content", [b"", b"[]\n", b"{}\n", b"\xff\n", None])
def test_damaged_file_is_named_once_and_stays(shelf, file, content):
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] if content is None else content)
    damaged = file.with_suffix(".damaged")
    assert shelf.jobs() == ([], [damaged])
    assert shelf.jobs() == ([], []) and damaged.exists()


def test_full_disk_is_told_and_leaves_nothing_behind(shelf, job, plugin, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(plugin("kept").os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        shelf.put(job)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_files_of_the_first_version_are_read(shelf, tmp_path):
    """As it wrote them: a request without inputs, samplers and weights, pictures without their number in the batch."""
    request = {
        "operation": "object", "model": "builtin", "prompt": "old glass", "negative": "", "width": 64, "height": 64,
        "steps": 4, "cfg": 5.0, "seed": 1, "batch": 1,
    }  # fmt: skip
    generate = json.dumps({"type": "generate", "job": "a" * 32, "request": request})
    head = {"generate": generate, "area": [3, 5, 64, 64], "pictures": [["seed 1", [3, 5, 2, 1], 1.0, True]]}
    folder = tmp_path / "layer_diffusion" / "kept"
    folder.mkdir(parents=True)
    (folder / f"{'a' * 32}.result").write_bytes(json.dumps(head).encode() + b"\n" + bytes(range(8)))
    (read,), damaged = shelf.jobs()
    assert damaged == [] and read.request.prompt == "old glass" and read.request.weight == 1.0
    assert read.pictures[0].pixels == bytes(range(8)) and read.pictures[0].image == 0


@pytest.mark.parametrize(("source", "operation"), [("init", "reblend"), ("foreground", "blend")])
def test_a_new_blend_of_an_earlier_version_is_read_as_one(shelf, job, file, source, operation):
    """It was asked for as a blend that starts from a picture."""
    line, pixels = file.read_bytes().split(b"\n", 1)
    head = json.loads(line)
    generate = json.loads(head["generate"])
    sources = dict.fromkeys(("foreground", source))
    inputs = [{"source": each, "width": 64, "height": 96} for each in sources]
    generate["request"].update(operation="blend", inputs=inputs)
    head["generate"] = json.dumps(generate)
    file.write_bytes(json.dumps(head).encode() + b"\n" + pixels)
    (read,), damaged = shelf.jobs()
    assert damaged == [] and read.request.operation == operation
