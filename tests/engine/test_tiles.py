"""A picture computed in bands is the picture computed whole: no seams, no shifted colours."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from backend.engine import tiles, transparency
from backend.engine.transparency_nets import TransparentDecoder
from protocol.request import Decoding
from tests.engine.synth import VAE_CONFIG, vae_weights
from tests.engine.tiny import random_net

ONE_ROW = 1
"""Values in a band that hold less than a row, so that every row is a band of its own."""
SIZES = [(64, 64), (72, 104), (128, 40)]


@pytest.fixture(scope="module")
def vae() -> Any:
    net: Any = AutoencoderKL(**VAE_CONFIG)
    net.load_state_dict(vae_weights({key: value.shape for key, value in net.state_dict().items()}))
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=[(8, 8, 8, 16), (8, 8, 16, 16, 24)], ids=["four levels", "five levels"])
def decoder(request) -> TransparentDecoder:
    return random_net(lambda: TransparentDecoder(request.param, 3), 6)


def smooth(*shape: int) -> torch.Tensor:
    """Brightness that changes over the picture: statistics of a part are not those of the whole."""
    rows, columns = (torch.linspace(-1, 1, side) for side in shape[-2:])
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 0.3 + rows[:, None] * 2 + columns


@pytest.mark.parametrize("band", [ONE_ROW, 1 << 13], ids=["one row", "several rows"])
@pytest.mark.parametrize("size", SIZES)
def test_vae_in_bands_is_the_vae(size, band, vae, monkeypatch):
    monkeypatch.setattr(tiles, "BAND", band)
    banded, pixels = tiles.vae(vae, frugal=True), smooth(1, 3, *size)
    found, expected = (net.encode(pixels).latent_dist for net in (banded, vae))
    torch.testing.assert_close(found.mean, expected.mean, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(found.std, expected.std, atol=2e-5, rtol=1e-5)
    latent = smooth(1, 4, size[0] // 8, size[1] // 8)
    torch.testing.assert_close(banded.decode(latent).sample, vae.decode(latent).sample, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("band", [ONE_ROW, 1 << 11], ids=["one row", "several rows"])
@pytest.mark.parametrize("rows", [1, 2])
def test_transparent_decoder_in_bands_is_the_transparent_decoder(rows, band, decoder, monkeypatch):
    monkeypatch.setattr(tiles, "BAND", band)
    pixels, latent = smooth(rows, 3, 64, 96), smooth(rows, 4, 8, 12)
    found = tiles.transparent(decoder, frugal=True)(pixels, latent)
    torch.testing.assert_close(found, decoder(pixels, latent), atol=2e-5, rtol=1e-5)


def test_bands_keep_the_precision_of_the_network(vae):
    half: Any = AutoencoderKL(**VAE_CONFIG)
    half.load_state_dict(vae.state_dict())
    half = half.to(torch.bfloat16).eval().requires_grad_(False)
    latent = smooth(1, 4, 8, 8)
    found = tiles.vae(half, frugal=True).decode(latent.bfloat16()).sample
    assert found.dtype == torch.bfloat16
    exact, plain = vae.decode(latent).sample, half.decode(latent.bfloat16()).sample
    assert (found - exact).abs().mean() < 1.5 * (plain - exact).abs().mean()


def test_only_large_pictures_are_cut(vae, monkeypatch):
    cut: list[int] = []
    real = tiles._Bands.convolve
    monkeypatch.setattr(tiles._Bands, "convolve", lambda *a, **k: cut.append(1) or real(*a, **k))
    monkeypatch.setattr(tiles, "LARGE", 64 * 64)

    def run(side: int, frugal: bool) -> bool:
        cut.clear()
        tiles.vae(vae, frugal).encode(smooth(1, 3, side, side))
        encoded = len(cut)
        tiles.vae(vae, frugal).decode(smooth(1, 4, side // 8, side // 8))
        assert (encoded > 0) == (len(cut) > encoded), "both ways or neither"
        return encoded > 0

    assert not run(64, frugal=False) and run(128, frugal=False) and run(64, frugal=True)


@pytest.mark.parametrize("decoding", Decoding)
def test_the_ensemble_with_little_memory_is_the_ensemble(decoding, decoder, monkeypatch):
    monkeypatch.setattr(tiles, "BAND", 1 << 11)
    pixels, latent = smooth(1, 3, 72, 56).sigmoid(), smooth(1, 4, 9, 7)
    expected = transparency.decode(decoder, pixels, latent, decoding=decoding)
    found = transparency.decode(decoder, pixels, latent, decoding=decoding, frugal=True)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
