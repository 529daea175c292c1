"""Prompt parsing, chunks and emphasis against what the web interfaces compute."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from backend.engine.prompts import (
    BEGIN,
    END,
    chunks,
    clip_vocabulary,
    emphasize,
    folder_vocabulary,
    parse_emphasis,
    same_length,
    time_ids,
)
from protocol.errors import ErrorCode, LayerDiffusionError

DATA = Path(__file__).parent / "data"
RECORDED = json.loads((DATA / "prompts.json").read_text())


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["prompt"][:30])
def test_weights_tokens_and_chunks_equal_the_recorded_ones(case):
    assert parse_emphasis(case["prompt"]) == [(text, pytest.approx(weight)) for text, weight in case["parsed"]]
    found = chunks(case["prompt"], clip_vocabulary())
    assert [list(chunk.tokens) for chunk in found] == [chunk["tokens"] for chunk in case["chunks"]]
    assert [list(chunk.weights) for chunk in found] == [
        pytest.approx(chunk["multipliers"]) for chunk in case["chunks"]
    ]


@pytest.mark.parametrize(("prompt", "expected"), [
    ("", [("", 1.0)]),
    ("a (red) apple", [("a ", 1.0), ("red", 1.1), (" apple", 1.0)]),
    ("a [red] apple", [("a ", 1.0), ("red", 1 / 1.1), (" apple", 1.0)]),
    ("((red)) (blue:1.5)", [("red", 1.21), (" ", 1.0), ("blue", 1.5)]),
    ("(a (b:2))", [("a ", 1.1), ("b", 2.2)]),
    (r"\(literal\] \\", [("(literal] \\", 1.0)]),
    ("(open", [("open", 1.1)]),
    ("shut)", [("shut)", 1.0)]),
    ("ratio 3:4", [("ratio 3:4", 1.0)]),
    ("(thing:-0.5)", [("thing", -0.5)]),
])
def test_emphasis(prompt, expected):
    assert parse_emphasis(prompt) == [(text, pytest.approx(weight)) for text, weight in expected]


def test_a_weight_that_is_no_number_is_a_clear_error():
    with pytest.raises(LayerDiffusionError) as error:
        parse_emphasis("(red:1.2.3)")
    assert error.value.code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize(("before", "kept"), [(54, 75), (55, 56)], ids=["21st from the end", "20th from the end"])
def test_a_full_chunk_is_broken_after_a_comma_among_its_last_twenty_tokens(before, kept):
    vocabulary = clip_vocabulary()
    first, second = chunks("a " * before + "," + " b" * 30, vocabulary)
    assert sum(token != vocabulary.end for token in first.tokens) - 1 == kept
    assert sum(token != vocabulary.end for token in second.tokens) - 1 == before + 31 - kept


def test_emphasis_of_embeddings_equals_the_recorded_one():
    recorded = load_file(DATA / "emphasis.safetensors")
    found = emphasize(recorded["z"], recorded["mult"])
    torch.testing.assert_close(found, recorded["out.Original"], atol=1e-6, rtol=1e-5)


def test_contexts_of_different_length_are_repeated_not_padded():
    short, long = torch.randn(1, 154, 8), torch.randn(1, 231, 8)
    repeated = same_length([short, long])
    assert repeated is not None
    a, b = repeated
    assert a.shape == b.shape == (1, 462, 8)
    assert torch.equal(a[:, 308:], short) and torch.equal(b[:, 231:], long)


def test_contexts_without_a_small_common_length_are_left_alone():
    assert same_length([torch.randn(1, 77 * 2, 8), torch.randn(1, 77 * 5, 8)]) is None


def test_size_conditioning_names_height_before_width_and_no_crop():
    ids = time_ids(832, 1216)
    assert ids.dtype == torch.float32 and ids.tolist() == [[832, 1216, 0, 0, 832, 1216]]


@pytest.mark.parametrize(("ids", "merges"), [
    ({"a": 0, "b": 1}, "a b\n"), ({"ab": 0, "b": 1}, "a b\n"), ({"a": "x"}, ""), ({"a": -1}, ""), ({"a": 2**70}, ""),
    ({"a": True}, ""), ({}, "a b c\n"),
], ids=["no result", "no part", "text", "negative", "huge", "boolean", "three parts"])
def test_a_vocabulary_that_contradicts_itself_is_a_value_error(tmp_path, ids, merges):
    (tmp_path / "vocab.json").write_text(json.dumps(ids | {BEGIN: 7, END: 8}))
    (tmp_path / "merges.txt").write_text(merges)
    with pytest.raises(ValueError):
        folder_vocabulary(tmp_path)


def test_a_vocabulary_that_is_no_object_is_a_value_error(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": ["a"], "merges": []}}')
    with pytest.raises(ValueError):
        folder_vocabulary(tmp_path)


def test_the_size_of_a_vocabulary_counts_its_largest_id(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 5, BEGIN: 7, END: 99}))
    (tmp_path / "merges.txt").write_text("")
    assert folder_vocabulary(tmp_path).size == 100


def test_a_models_own_vocabulary_gives_its_own_special_tokens(tmp_path):
    pieces = [*(chr(code) for code in range(ord("!"), ord("~") + 1))]
    pieces += [letter + "</w>" for letter in pieces] + ["ap", "BOS", "EOS"]
    ids = {piece: index for index, piece in enumerate(pieces)}
    (tmp_path / "vocab.json").write_text(json.dumps(ids))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na p\n")
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": "BOS", "eos_token": {"content": "EOS"}}')
    vocabulary = folder_vocabulary(tmp_path)
    [chunk] = chunks("apa,", vocabulary)
    assert chunk.tokens[:4] == (ids["BOS"], ids["ap"], ids["a</w>"], ids[",</w>"])
    assert set(chunk.tokens[4:]) == {ids["EOS"]} and len(chunk.tokens) == 77
