"""Padding, offset encoder, transparent decoder and ensemble against the reference's numbers (absolute 1e-4)."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import load_file

from backend.engine.padding import grey_composite, pad_rgb
from backend.engine.transparency import (
    OFFSET_GAIN,
    decode,
    encode,
    lower_median,
    pad_to_multiple,
    passes,
    quantize,
    to_rgba,
    vae_input,
)
from backend.engine.transparency_nets import OffsetEncoder, TransparentDecoder
from protocol.request import Decoding
from tests.engine.synth import VAE_CONFIG, offset_encoder_weights, transparent_decoder_weights, vae_weights

DATA = Path(__file__).parent / "data"
PICTURES = load_file(DATA / "padding_resize.safetensors")
ENCODED = load_file(DATA / "transparent_encoder.safetensors")
ENCODED_NAMES = sorted({key.partition(".")[0] for key in ENCODED})


def real_shapes(file: str) -> dict[str, tuple[int, ...]]:
    listing = json.loads(gzip.decompress((DATA / "real_keys.json.gz").read_bytes()))
    return {key: tuple(shape) for key, shape in listing[file].items()}


@pytest.fixture(scope="module")
def decoder() -> TransparentDecoder:
    shapes = real_shapes("layer_sd15_vae_transparent_decoder.safetensors")
    net = TransparentDecoder.from_shapes(shapes)
    net.load_state_dict(transparent_decoder_weights(shapes))
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def offset_encoder() -> OffsetEncoder:
    shapes = real_shapes("layer_sd15_vae_transparent_encoder.safetensors")
    net = OffsetEncoder.from_shapes(shapes)
    net.load_state_dict(offset_encoder_weights(shapes))
    return net.double().eval().requires_grad_(False)


def crooked(pixels: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
    """A stand-in for the decoder that commutes with no rotation: it depends on where a pixel lies."""
    rows, columns = (torch.linspace(0, 1, n) for n in pixels.shape[-2:])
    ramp = rows[:, None] * 0.3 + columns[None] * 0.1
    latent = torch.nn.functional.interpolate(latent[:, :1], scale_factor=8.0)
    return torch.cat([pixels, pixels[:, :1] * 0.5 + latent], 1) * 0.5 + ramp


class Crooked(torch.nn.Module):
    multiple = 64

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = torch.nn.Conv2d(1, 1, 1)
        self.calls: list[tuple[int, ...]] = []

    def forward(self, pixels: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        self.calls.append(tuple(pixels.shape))
        return crooked(pixels, latent)


@pytest.mark.parametrize("name", sorted(key[:-5] for key in PICTURES if key.endswith(".rgba")))
def test_padding_and_grey_composite(name):
    rgba = PICTURES[f"{name}.rgba"].numpy()
    np.testing.assert_allclose(pad_rgb(rgba), PICTURES[f"{name}.padded"].numpy(), atol=1e-5)
    np.testing.assert_allclose(grey_composite(rgba), PICTURES[f"{name}.grey"].numpy(), atol=1e-6)


def test_single_pass_and_ensemble_of_the_real_architecture(decoder):
    recorded = load_file(DATA / "transparent_decoder.safetensors")
    with torch.no_grad():
        single = decoder(recorded["sq.pixel"], recorded["sq.latent"])
        done: list[int] = []
        ensemble = decode(decoder, recorded["sq.pixel"], recorded["sq.latent"], done.append)
    torch.testing.assert_close(single, recorded["sq.single"], atol=1e-4, rtol=0)
    torch.testing.assert_close(ensemble, recorded["sq.ensemble"], atol=1e-4, rtol=0)
    assert done == [0, 2, 4, 6]


@pytest.mark.parametrize("count", [3, 8])
def test_median_of_passes_is_that_of_torch_bit_by_bit(count):
    """All orders of zeros and ones: a network of comparisons that is right for these is right for all values."""
    bits = torch.arange(2**count)[None].bitwise_right_shift(torch.arange(count)[:, None]).remainder(2).float()
    random = torch.rand(count, 3, 211, 311, generator=torch.Generator().manual_seed(1))
    for values in (bits[:, None, None], random, random.half(), (random * 4).round()):
        found = lower_median(list(values.split(1)))
        assert torch.equal(found[0], values.median(0).values)


@pytest.mark.parametrize("count", [3, 8])
def test_a_value_that_is_no_number_is_not_lost_in_the_median(count):
    for place in range(count):
        values = torch.rand(count, 1, 1, 1, 4)
        values[place, ..., 2] = torch.nan
        assert lower_median(list(values)).isnan().flatten().tolist() == [False, False, True, False]


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("decoding", Decoding)
@pytest.mark.parametrize("size", [(64, 128), (576, 512)], ids=["batched", "one by one"])
def test_every_orientation_counts_once_and_is_turned_back(size, decoding, lanes):
    pixels, net = torch.rand(1, 3, *size), Crooked()
    latent = torch.rand(1, 4, size[0] // 8, size[1] // 8)
    asked = []
    orientations = [(mirrored, quarters) for mirrored in (False, True) for quarters in range(4)]
    for mirrored, quarters in orientations if decoding is Decoding.FULL else orientations[:3]:
        fed = [torch.rot90(x.flip(3) if mirrored else x, quarters, (2, 3)) for x in (pixels, latent)]
        back = torch.rot90(crooked(fed[0], fed[1]).clamp(0, 1), -quarters, (2, 3))
        asked.append(back.flip(3) if mirrored else back)
    expected = torch.stack(asked).median(0).values
    done: list[int] = []
    found = decode(net, pixels, latent, done.append, decoding, lanes=lanes)  # type: ignore[arg-type]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert sum(shape[0] for shape in net.calls) == passes(decoding) == len(asked)
    assert done[0] == 0 and done == sorted(set(done)) and len(done) == len(net.calls)


def test_any_multiple_of_eight_is_padded_for_the_decoder_and_cropped():
    pixels, latent, net = torch.rand(1, 3, 72, 104), torch.rand(1, 4, 9, 13), Crooked()
    assert decode(net, pixels, latent).shape == (1, 4, 72, 104)  # type: ignore[arg-type]
    assert {shape[2:] for shape in net.calls} == {(128, 128)}
    padded = pad_to_multiple(pixels, 64)
    assert torch.equal(padded[..., :72, :104], pixels) and torch.equal(padded[..., 127, 127], pixels[..., 71, 103])


def test_a_fault_of_a_lane_is_that_of_the_decoder():
    def broken(pixels, latent):
        raise MemoryError

    net = Crooked()
    net.forward = broken
    with pytest.raises(MemoryError):
        decode(net, torch.rand(1, 3, 64, 64), torch.rand(1, 4, 8, 8), lanes=2)  # type: ignore[arg-type]


def test_cancelling_between_passes_leaves_the_decoder_unasked():
    net = Crooked()

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode(net, torch.rand(1, 3, 64, 64), torch.rand(1, 4, 8, 8), stop)  # type: ignore[arg-type]
    assert net.calls == []


def test_pixels_are_cut_off_not_rounded_and_colour_under_alpha_stays():
    decoded = torch.tensor([0.0, 0.999, 0.5, 1.2]).view(4, 1, 1)
    assert quantize(to_rgba(decoded)).tolist() == [[[254, 127, 255, 0]]]


@pytest.mark.parametrize("name", ENCODED_NAMES)
def test_offset_and_latent_of_a_picture_with_alpha(name, offset_encoder):
    rgba = PICTURES[f"{name}.rgba"].numpy()
    mean, std = (ENCODED[f"{name}.post_{part}"].double() for part in ("mean", "std"))
    latent = encode(offset_encoder, mean, std, rgba)
    torch.testing.assert_close(latent, ENCODED[f"{name}.latent_offset300"].double(), atol=1e-4, rtol=0)
    raw = (latent - mean) / (std * OFFSET_GAIN)
    torch.testing.assert_close(raw, ENCODED[f"{name}.offset_raw"].double(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ENCODED_NAMES)
def test_posterior_of_the_grey_composite(name):
    vae: Any = AutoencoderKL(**VAE_CONFIG)
    vae.load_state_dict(vae_weights({k: v.shape for k, v in vae.state_dict().items()}))
    with torch.no_grad():
        posterior = vae.eval().encode(vae_input(PICTURES[f"{name}.rgba"].numpy())).latent_dist
    torch.testing.assert_close(posterior.mean, ENCODED[f"{name}.post_mean"], atol=1e-4, rtol=0)
    torch.testing.assert_close(posterior.std, ENCODED[f"{name}.post_std"], atol=1e-4, rtol=0)
