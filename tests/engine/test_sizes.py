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


@pytest.mark.parametrize("native", [64, 128, 512, 1024])
def test_every_size_keeps_its_aspect_inside_the_generated_picture(native):
    for width, height in itertools.product(SIDES, SIDES):
        working = working_size(width, height, native)
        left, top, right, bottom = working.box
        assert 0 <= left < right <= working.width and 0 <= top < bottom <= working.height
        assert (right - left) / (bottom - top) == pytest.approx(width / height)
        multiple = min(64, native // 8)
        assert working.width % multiple == working.height % multiple == 0
        assert working.width - (right - left) < multiple and working.height - (bottom - top) < multiple
        area = (right - left) * (bottom - top)
        assert native**2 * 0.99 < area < native**2 * (4.01 if native >= 512 else 1.01)


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
