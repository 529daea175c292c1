"""The verdict measures what it says it measures, and advises what has helped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.engine.verdict import verdict
from protocol.job import ModelInfo
from protocol.request import Decoding, Injection, Operation, Request

REQUEST = Request(Operation.OBJECT, "m", "an apple", "bad", 128, 128, 20, 5.0, 1, 1)
SD15 = ModelInfo("m", "Realistic Vision", "sd15", 512, (Operation.OBJECT,), "")
SDXL = replace(SD15, family="sdxl", name="Juggernaut XL")


def disc(edge=(200, 40, 30), haze=0, side=128) -> np.ndarray:
    """A red disc with a soft edge of a colour, on a haze."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    cover = ((side * 0.3 - np.hypot(rows, columns)) / 3).clip(0, 1)
    rgba = np.empty((side, side, 4), np.uint8)
    rgba[..., :3] = np.where(cover[..., None] == 1, (200, 40, 30), edge)
    rgba[..., 3] = np.maximum(cover * 255, haze)
    return rgba


def test_shares_add_up_and_a_clean_object_needs_no_advice():
    found = verdict(disc(), REQUEST, SD15)
    assert found.transparent + found.soft + found.opaque == pytest.approx(1)
    assert found.opaque == pytest.approx(np.pi * 0.28**2, abs=0.02) and 0.01 < found.soft < 0.1
    assert found.residue == 0 and found.halo < 1e-6 and found.advice == ""


def test_residue_is_the_alpha_of_the_haze():
    found = verdict(disc(haze=10), REQUEST, SD15)
    assert found.residue == pytest.approx(10 / 255)
    assert "haze" in found.advice and "another seed" in found.advice


def test_a_glow_that_fades_is_not_residue():
    rows, columns = np.mgrid[:128, :128] - 63.5
    rgba = np.full((128, 128, 4), 255, np.uint8)
    rgba[..., 3] = 200 * np.exp(-(rows**2 + columns**2) / 2 / 16**2)
    found = verdict(rgba, REQUEST, SD15)
    assert found.residue < 0.02 and found.opaque == 0 and found.advice == ""


def test_halo_is_the_colour_distance_of_the_edge():
    found = verdict(disc(edge=(200, 40, 132)), REQUEST, SD15)
    assert found.halo == pytest.approx(102 / 255 / 3, abs=0.02) and found.advice == ""
    assert "edge" in verdict(disc(edge=(255, 255, 255)), REQUEST, SD15).advice


def test_blemishes_of_the_fast_decoding_are_met_by_the_full_one():
    assert "Decode fully" in verdict(disc(haze=10), replace(REQUEST, decoding=Decoding.FAST), SD15).advice


@pytest.mark.parametrize("alpha", [255, 128])
def test_nothing_empty_is_said_with_what_to_do(alpha):
    rgba = np.full((64, 64, 4), alpha, np.uint8)
    found = verdict(rgba, REQUEST, SDXL)
    assert found.transparent == 0 and found.opaque == float(alpha == 255)
    for words in ("Nothing in this layer is empty", "mid-grey", "convolution", "another seed"):
        assert words in found.advice
    assert "weight" not in found.advice and "known to" not in found.advice
    assert "by attention" in verdict(rgba, replace(REQUEST, injection=Injection.CONVOLUTION), SDXL).advice
    assert "injection" not in verdict(rgba, REQUEST, SD15).advice, "SD1.5 has one way only"
    for weakened in (replace(REQUEST, weight=0.5), replace(REQUEST, stop_at=0.4)):
        assert "weight and stop-at" in verdict(rgba, weakened, SDXL).advice


@pytest.mark.parametrize(("name", "word"), [
    ("ponyDiffusionV6XL", "Pony"), ("Illustrious-XL-v1.0", "Pony"), ("noobaiXL_v11", "Pony"),
    ("animagine-xl-4", "Pony"), ("sd_xl_turbo_1.0", "few steps"), ("juggernautXL_lightning", "few steps"),
])
def test_model_families_that_are_known_to_fail_are_named(name, word):
    for alpha in (0, 255):
        advice = verdict(np.full((64, 64, 4), alpha, np.uint8), REQUEST, replace(SDXL, name=name)).advice
        assert word in advice and "known to do this" in advice


def test_an_empty_layer_is_said_with_what_to_do():
    rgba = np.full((64, 64, 4), 5, np.uint8)
    found = verdict(rgba, replace(REQUEST, negative=" "), SD15)
    assert (found.transparent, found.opaque) == (1, 0)
    assert "This layer is empty" in found.advice and "negative prompt" in found.advice
    assert "negative prompt" not in verdict(rgba, REQUEST, SD15).advice


@pytest.mark.parametrize("shape", [(64, 2048), (1, 1), (3, 64)])
def test_any_shape_is_measured(shape):
    rgba = np.random.default_rng(1).integers(0, 256, (*shape, 4), np.uint8)
    found = verdict(rgba, REQUEST, SD15)
    assert found.transparent + found.soft + found.opaque == pytest.approx(1)
