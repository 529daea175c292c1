"""Working sizes keep the aspect, stay in the model's range, and resampling bleeds no colour."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from backend.engine.sizes import to_request, working_size

SIDES = (64, 65, 100, 128, 333, 512, 640, 1024, 1999, 2048)


@pytest.mark.parametrize(("size", "native", "expected"), [
    ((512, 512), 512, (512, 512)), ((512, 640), 512, (512, 640)), ((1024, 1024), 512, (1024, 1024)),
    ((2048, 2048), 512, (1024, 1024)), ((256, 256), 512, (512, 512)), ((64, 64), 512, (512, 512)),
    ((128, 128), 128, (128, 128)), ((256, 256), 128, (128, 128)), ((500, 700), 512, (512, 704)),
])
def test_working_size(size, native, expected):
    working = working_size(size[0], size[1], native)
    assert (working.width, working.height) == expected


@pytest.mark.parametrize("native", [512, 1024])
def test_every_size_keeps_its_aspect_inside_the_generated_picture(native):
    for width, height in itertools.product(SIDES, SIDES):
        working = working_size(width, height, native)
        left, top, right, bottom = working.box
        assert 0 <= left < right <= working.width and 0 <= top < bottom <= working.height
        assert (right - left) / (bottom - top) == pytest.approx(width / height)
        assert working.width % 64 == working.height % 64 == 0
        assert working.width - (right - left) < 64 and working.height - (bottom - top) < 64
        assert native**2 * 0.99 < (right - left) * (bottom - top) < native**2 * 4.01


@pytest.mark.parametrize(("width", "height"), [(640, 480), (100, 333), (2048, 64)])
def test_a_small_model_makes_its_square_and_it_is_fitted_into_the_middle(width, height):
    working = working_size(width, height, 128)
    assert (working.width, working.height) == (128, 128)
    rgba = np.ones((128, 128, 4), np.float32)
    result = to_request(rgba, working, width, height)
    assert result.shape == (height, width, 4)
    side = min(width, height)
    solid = result[..., 3] > 0.5
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    assert len(rows) == pytest.approx(side, abs=2) and len(columns) == pytest.approx(side, abs=2)
    assert rows[0] + rows[-1] == pytest.approx(height - 1, abs=2)
    assert columns[0] + columns[-1] == pytest.approx(width - 1, abs=2)
    assert result[0, 0, :3].min() > 0.99 and result[0, 0, 3] == 0, "the colour goes on under the emptiness around"


@pytest.mark.parametrize(("width", "height"), [(640, 480), (100, 333), (2048, 64)])
def test_the_square_of_a_small_model_covers_the_whole_request_when_it_must(width, height):
    working = working_size(width, height, 128, whole=True)
    assert (working.width, working.height) == (128, 128)
    left, top, right, bottom = working.box
    assert 0 <= left and right <= 128 and 0 <= top and bottom <= 128
    assert (right - left) / (bottom - top) == pytest.approx(width / height)
    rgba = np.zeros((128, 128, 4), np.float32)
    rgba[..., 3] = 1
    rgba[:, :, 0] = np.linspace(0, 1, 128)[None]
    result = to_request(rgba, working, width, height)
    assert result[..., 3].min() > 0.999, "nothing of an opaque layer is empty"
    assert result[..., 0].mean() == pytest.approx(0.5, abs=0.01), "cut evenly on both sides"


def test_covering_changes_nothing_for_a_full_size_model():
    for width, height in itertools.product(SIDES, SIDES):
        assert working_size(width, height, 512, whole=True) == working_size(width, height, 512)


def test_a_size_within_range_is_cut_out_untouched():
    working = working_size(500, 700, 512)
    rgba = np.random.default_rng(1).random((working.height, working.width, 4), np.float32)
    assert np.array_equal(to_request(rgba, working, 500, 700), rgba[2:702, 6:506])


def test_colour_does_not_bleed_out_of_nothing_and_stays_under_alpha_zero():
    rgba = np.zeros((128, 128, 4), np.float32)
    rgba[..., 2] = 1
    rgba[:, :64] = (1, 0, 0, 1)
    result = to_request(rgba, working_size(256, 256, 128), 256, 256)
    assert result.shape == (256, 256, 4)
    edge = (result[..., 3] > 0.1) & (result[..., 3] < 0.9)
    assert edge.any() and result[edge][:, 0].min() > 0.98, "the soft edge is as red as the inside"
    assert result[:, :100, 3].min() > 0.999 and result[:, 156:, 3].max() < 0.001
    assert result[:, 200:, 2].min() > 0.99, "blue under alpha zero is kept"
