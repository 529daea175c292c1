"""The map from latents to soft pictures: what it learns, and what it needs for that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.engine.projection import CONTRAST, ENOUGH, LONGEST, SHARPNESS, Projection

MIX = torch.tensor([[0.04, 0.0, 0.01, 0.0], [0.0, 0.04, 0.0, 0.01], [0.01, 0.0, 0.04, 0.0], [0.0, 0.0, 0.02, 0.06]])
LEVELS = torch.tensor([0.3, 0.2, 0.1, 0.6])


def latents(seed: int, rows: int = 12, columns: int = 12, channels: int = 4) -> Tensor:
    return torch.randn(1, channels, rows, columns, generator=torch.Generator().manual_seed(seed))


def decode(latent: Tensor) -> NDArray[np.float32]:
    """Straight RGBA, eight pixels a cell, whose premultiplied values are a known linear function of the cells."""
    covered = torch.einsum("oc,chw->hwo", MIX, latent[0]) + LEVELS
    straight = torch.cat([covered[..., :3] / covered[..., 3:], covered[..., 3:]], 2)
    return straight.repeat_interleave(8, 0).repeat_interleave(8, 1).numpy()


def taught(pictures: int = 4) -> Projection:
    projection = Projection()
    for seed in range(pictures):
        projection.learn(latents(seed), decode(latents(seed)))
    return projection


def test_it_finds_a_linear_decoder():
    projection = taught()
    for values in ([0.0, 0.0, 0.0, 0.0], [1.0, -1.0, 0.5, 0.5], [-1.0, 0.5, 1.0, -0.5]):
        even = torch.tensor(values).view(1, 4, 1, 1).expand(1, 4, 8, 8)
        expected, found = decode(even)[0, 0], projection(even)
        np.testing.assert_allclose(found[..., :3], np.broadcast_to(expected[:3], found[..., :3].shape), atol=0.02)
        np.testing.assert_allclose(found[..., 3], 0.5 + CONTRAST * (expected[3] - 0.5), atol=0.02)


def test_it_knows_nothing_before_it_has_seen_enough():
    projection = Projection()
    assert not projection.is_known
    few = latents(0, 7, 9)
    projection.learn(few, decode(few))
    assert few[0, 0].numel() < ENOUGH and not projection.is_known
    projection.learn(few, decode(few))
    assert projection.is_known


def test_whatever_it_is_shown_is_a_picture():
    wild = taught()(100 * latents(7))
    assert wild.dtype == np.float32 and wild.min() == 0 and wild.max() == 1


def test_opaque_pictures_stay_opaque():
    projection = Projection()
    for seed in range(4):
        rgba = decode(latents(seed))
        rgba[..., 3] = 1
        projection.learn(latents(seed), rgba)
    assert (projection(3 * latents(9))[..., 3] == 1).all()


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (8, 24), (128, 64), (3, 200)])
def test_its_pictures_have_the_shape_of_the_latent(rows, columns):
    height, width, _ = taught()(latents(0, rows, columns)).shape
    assert max(height, width) == min(SHARPNESS * max(rows, columns), LONGEST)
    assert (height, width) == pytest.approx((rows * width / columns, width), abs=1)


def test_it_keeps_no_more_the_more_it_learns():
    def held(projection: Projection) -> int:
        return sum(value.numel() for value in vars(projection).values() if isinstance(value, Tensor))

    assert held(taught(20)) == held(taught(1))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_it_learns_nothing_from_numbers_that_are_none(value):
    projection, broken = taught(), latents(5)
    broken[0, 0, 3, 3] = value
    expected = projection(latents(6))
    projection.learn(broken, decode(latents(5)))
    np.testing.assert_array_equal(projection(latents(6)), expected)
