"""Philox against its published vectors, noise against a GPU's, Brownian noise against recorded numbers of torchsde."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from backend.engine.brownian import BrownianNoise, BrownianTree
from backend.engine.noise import gaussian, philox

RECORDED = json.loads((Path(__file__).parent / "data" / "brownian_noise.json").read_text())
SIGMAS = RECORDED["sigmas"]
WORD = 0xFFFFFFFF


def philox_by_hand(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4×32-10 of one counter (Salmon et al. 2011)."""
    for i in range(10):
        left, right = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        first, second = ((k + i * step) & WORD for k, step in zip(key, (0x9E3779B9, 0xBB67AE85), strict=True))
        counter = [right >> 32 ^ counter[1] ^ first, right & WORD, left >> 32 ^ counter[3] ^ second, left & WORD]
    return counter


@pytest.mark.parametrize(("counter", "key", "words"), [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([WORD] * 4, [WORD] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
     [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
])
def test_philox_by_hand_gives_the_published_vectors(counter: list[int], key: list[int], words: list[int]):
    assert philox_by_hand(counter, key) == words


@pytest.mark.parametrize("seed", [0, 12345, 2**32 - 1, 0x299F31D0A4093822])
@pytest.mark.parametrize("call", [0, 1, 7])
def test_philox_counts_elements_and_calls(seed: int, call: int):
    first, second = philox(seed, 5, call)
    expected = [philox_by_hand([call, 0, index, 0], [seed & WORD, seed >> 32]) for index in range(5)]
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(words[0], words[1]) for words in expected]


def test_noise_equals_that_of_a_gpu():
    expected = [-0.92466259, -0.42534415, -2.6438457, 0.14518388]
    assert gaussian(0, (4, 64, 64)).flatten()[:4].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("call", [0, 3])
def test_noise_is_normal_and_depends_on_all_bits_of_the_seed(call: int):
    first, second = gaussian(1, (4, 64, 64), call), gaussian(1 + 2**32, (4, 64, 64), call)
    assert abs(float(first.mean())) < 0.03 and abs(float(first.std()) - 1) < 0.03
    assert not torch.equal(first, second)


def test_later_draws_are_independent_of_the_first():
    first, later = gaussian(3, (4, 64, 64)).flatten(), gaussian(3, (4, 64, 64), 1).flatten()
    assert abs(float(torch.corrcoef(torch.stack([first, later]))[0, 1])) < 0.03


@pytest.mark.parametrize("steps", [range(19), reversed(range(19)), range(7, 19)])
def test_brownian_noise_equals_that_of_torchsde_whatever_is_asked_first(steps: range):
    noise = BrownianNoise(RECORDED["seeds"], SIGMAS[-2], SIGMAS[0], tuple(RECORDED["shape"]))
    for i in steps:
        found = noise(SIGMAS[i], SIGMAS[i + 1])
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, torch.tensor(RECORDED["noise"][i]), rtol=0, atol=2e-6)


def test_a_row_of_brownian_noise_is_the_one_of_its_seed():
    both = BrownianNoise([5, 6], 0.03, 14.6, (4, 8, 8))(2.0, 1.0)
    assert torch.equal(both[1:], BrownianNoise([6], 0.03, 14.6, (4, 8, 8))(2.0, 1.0))
    assert not torch.equal(both[0], both[1])


def test_brownian_motion_has_independent_increments_of_its_own_variance():
    tree = BrownianTree(9, 0.5, 8.5, (4, 64, 64))
    start, early, late, end = (tree(time).flatten() for time in (0.5, 2.2, 2.7, 8.5))
    assert float(start.abs().max()) == 0
    for increment, time in ((early, 1.7), (late - early, 0.5), (end - late, 5.8)):
        assert float(increment.var()) == pytest.approx(time, rel=0.05)
    assert abs(float(torch.corrcoef(torch.stack([early, late - early]))[0, 1])) < 0.03
