from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main

ROOT = Path(__file__).parents[2]


def generate(output, *arguments, model="tiny"):
    always = ["generate", "--model", str(model), "--prompt", "a red apple", "--steps", "2", "--output", str(output)]
    return main([*always, *arguments])


def furthest(one, other):
    return np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max()


def refused(capsys, *words):
    """The command printed one short paragraph with these words, no traceback, and nothing on standard output."""
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    last = err.rstrip("\n").rpartition("\n")[2]
    assert all(word in last for word in words), err
    assert last.count(". ") >= 1, "a sentence that says what happened and one that says what to do"


def test_whole_command_in_a_process_of_its_own(tiny_model, tmp_path):
    command = [sys.executable, "-m", "backend", "generate", "--model", "tiny", "--operation", "object"]
    command += ["--prompt", "a red apple", "--negative", "", "--seed", "1", "--steps", "2", "--cfg", "5"]
    command += ["--size", "96x64", "--batch", "1"]
    answer = subprocess.run([*command, "--output", tmp_path / "apple.ora"], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == f"{tmp_path / 'apple.ora'}\n"
    assert "100%" in answer.stderr and "seed 1" in answer.stderr
    with zipfile.ZipFile(tmp_path / "apple.ora") as archive, archive.open("mergedimage.png") as file:
        assert Image.open(file).size == (96, 64)


def test_same_seed_gives_the_same_picture_and_the_batch_counts_on(tiny_model, tmp_path, capsys):
    assert generate(tmp_path / "two.png", "--seed", "7", "--batch", "2") == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "two-1.png"), str(tmp_path / "two-2.png")]
    for name in ("one.png", "again.png"):
        assert generate(tmp_path / name, "--seed", "8") == 0
    one, again, second, first = (
        Image.open(tmp_path / name) for name in ("one.png", "again.png", "two-2.png", "two-1.png")
    )
    assert one.size == (64, 64) and one.tobytes() == again.tobytes()
    # Matrices of another size may be summed in another order.
    assert furthest(one, second) <= 2 < furthest(one, first)


def test_model_may_be_a_path(tiny_model, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(tmp_path))
    (tmp_path / "layers").symlink_to(tiny_model / "layers")
    assert generate(tmp_path / "out", model=tiny_model / "checkpoints" / "tiny") == 0
    assert (tmp_path / "out" / "layers.ora").is_file()


def test_drawn_seed_is_told(tiny_model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("backend.make.secrets.randbelow", lambda below: below - 1)
    assert generate(tmp_path / "a.png") == 0
    assert "seed 4294967295" in capsys.readouterr().err


@pytest.mark.parametrize(("model", "cfg", "decoding"), [("tiny", 5, "full"), ("builtin", 3, "fast")])
def test_guidance_and_decoding_are_what_suits_the_model(tiny_model, tmp_path, model, cfg, decoding):
    assert generate(tmp_path / "a.png", model=model) == 0
    request = json.loads(Image.open(tmp_path / "a.png").info["layer_diffusion"])["request"]
    assert (request["cfg"], request["decoding"]) == (cfg, decoding)


def test_unknown_model(tiny_model, tmp_path, capsys):
    assert generate(tmp_path / "a.png", model="juggernaut") == 2
    refused(capsys, "juggernaut", "tiny")


def test_path_with_nothing_there(tmp_path, capsys):
    assert generate(tmp_path / "a.png", model=tmp_path / "none.safetensors") == 2
    refused(capsys, "none.safetensors", "Check the path")


def test_missing_layer_file(tiny_model, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(tmp_path))
    assert generate(tmp_path / "a.png", model=tiny_model / "checkpoints" / "tiny") == 2
    refused(capsys, "layer_sd15_transparent_attn.safetensors", str(tmp_path / "layers"))


@pytest.mark.parametrize(
    ("name", "data"), [("a.safetensors", b"\x08\0\0"), ("a.ckpt", b"\x80\x02}q\x00."), ("b.safetensors", b"")]
)
def test_corrupt_or_pickled_checkpoint(tmp_path, capsys, name, data):
    (tmp_path / name).write_bytes(data)
    assert generate(tmp_path / "a.png", model=tmp_path / name) == 2
    refused(capsys, name)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--size", "0x0"], "64"),
        (["--size", "64x4096"], "2048"),
        (["--steps", "0"], "steps"),
        (["--cfg", "nan"], "CFG"),
        (["--batch", "17"], "batch"),
        (["--seed", "-5"], "seed"),
        (["--seed", str(2**32)], "seed"),
        (["--prompt", "x" * 4001], "4000"),
    ],
)
def test_setting_out_of_range(tiny_model, tmp_path, capsys, arguments, word):
    assert generate(tmp_path / "a.png", *arguments) == 2
    refused(capsys, word)
    assert list(tmp_path.iterdir()) == []


def test_size_that_is_none(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        generate(tmp_path / "a.png", "--size", "large")
    assert caught.value.code == 2 and "256x256" in capsys.readouterr().err


def test_output_that_cannot_be_written_is_refused_before_the_work(tmp_path, capsys):
    assert generate(tmp_path / "a.jpg", model="not even looked for") == 2
    refused(capsys, ".jpg", ".png")


def test_full_disk(tiny_model, tmp_path, capsys):
    (tmp_path / "a.ora.part").symlink_to("/dev/full")
    assert generate(tmp_path / "a.ora", "--seed", "3") == 2
    refused(capsys, "a.ora", "disk is full", "Free some space")
    assert list(tmp_path.iterdir()) == []


def test_unexpected_error_is_one_sentence_and_a_trace_on_demand(tiny_model, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise ZeroDivisionError("seven")

    monkeypatch.setattr("backend.outputs.check_target", fail)
    assert generate(tmp_path / "a.png") == 2
    refused(capsys, "ZeroDivisionError: seven", "--trace")
    assert main(["--trace", "generate", "--prompt", "", "--output", "a.png"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_bench_prints_cold_and_warm(tiny_model, capsys):
    assert main(["bench", "--model", "tiny", "--steps", "1", "--images", "1"]) == 0
    out = capsys.readouterr().out
    assert "Tiny" in out or "tiny" in out
    assert "cold" in out and "warm" in out
