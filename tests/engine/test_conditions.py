"""Pictures are resized as the reference does, land where the result will be cut out, and are encoded by its formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from backend.engine import conditions
from backend.engine.conditions import condition, encode, encode_transparent, posterior_noise, resize
from backend.engine.sizes import Working, to_request, working_size
from backend.engine.transparency_nets import OffsetEncoder
from protocol.request import Resize
from tests.engine.synth import VAE_CONFIG, offset_encoder_weights, vae_weights
from tests.engine.test_transparency import ENCODED, ENCODED_NAMES, PICTURES, real_shapes

MODES = {
    "RESIZE": Resize.JUST_RESIZE, "CROP_AND_RESIZE": Resize.CROP_AND_RESIZE, "RESIZE_AND_FILL": Resize.RESIZE_AND_FILL,
}


@pytest.fixture(scope="module")
def vae() -> Any:
    net: Any = AutoencoderKL(**VAE_CONFIG)
    net.load_state_dict(vae_weights({key: value.shape for key, value in net.state_dict().items()}))
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def offset_encoder() -> OffsetEncoder:
    shapes = real_shapes("layer_sd15_vae_transparent_encoder.safetensors")
    net = OffsetEncoder.from_shapes(shapes)
    net.load_state_dict(offset_encoder_weights(shapes))
    return net.eval().requires_grad_(False)


def exactly(rgba: np.ndarray) -> Working:
    """The working size that leaves a picture as it is."""
    height, width = rgba.shape[:2]
    return Working(width, height, (0, 0, width, height))


@pytest.mark.parametrize("key", sorted(key for key in PICTURES if key.startswith("resize.")))
def test_resize_modes(key):
    _, picture, mode, size = key.split(".")
    height, width = map(int, size.split("x"))
    found = resize(PICTURES[f"{picture}.grey"].numpy(), width, height, MODES[mode])
    # Recorded in float16.
    np.testing.assert_allclose(found, PICTURES[key].float().numpy(), atol=5e-4)


def test_a_picture_of_the_right_size_is_not_resampled():
    picture = np.random.default_rng(1).random((40, 56, 3), np.float32)
    for mode in Resize:
        assert np.array_equal(resize(picture, 56, 40, mode), picture)


@pytest.mark.parametrize("shape", [(1, 2048), (2048, 1)])
def test_a_strip_is_brought_to_a_square_without_becoming_enormous(shape, monkeypatch):
    sizes: list[int] = []
    real = conditions._resample
    monkeypatch.setattr(conditions, "_resample", lambda p, w, h: sizes.append(w * h) or real(p, w, h))
    strip = np.linspace(0, 1, 2048, dtype=np.float32).reshape(*shape, 1).repeat(3, 2)
    for mode in Resize:
        assert resize(strip, 512, 512, mode).shape == (512, 512, 3)
    assert max(sizes) <= 2048 * 512


def test_fill_is_the_median_of_the_border():
    picture = np.zeros((10, 20, 3), np.float32)
    picture[0], picture[-1] = 0.25, 0.25
    filled = resize(picture, 20, 20, Resize.RESIZE_AND_FILL)
    assert (filled[:5] == 0.25).all() and (filled[15:] == 0.25).all() and (filled[6:14] == 0).all()


def test_a_condition_of_the_working_size_is_the_grey_composite():
    rgba = PICTURES["noise_alpha_64x128.rgba"].numpy()
    found = condition(rgba, exactly(rgba), Resize.CROP_AND_RESIZE)
    assert found.shape == (1, 3, 64, 128) and found.dtype == torch.float32
    expected = PICTURES["noise_alpha_64x128.grey"].permute(2, 0, 1)[None]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("width", "height", "native"), [
    (500, 700, 512), (100, 70, 512), (1999, 1333, 512), (640, 480, 128),
])
def test_what_comes_out_lies_where_it_went_in(width, height, native):
    """Through the working size and back again a picture is the same: conditions and results are in register."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    wave = 127.5 + 100 * np.sin(columns / width * 9) * np.cos(rows / height * 7)
    rgba = np.dstack([wave, wave[::-1], wave[:, ::-1], np.full_like(wave, 255)]).astype(np.uint8)
    working = working_size(width, height, native)
    placed = condition(rgba, working, Resize.CROP_AND_RESIZE)[0].permute(1, 2, 0).numpy()
    assert placed.shape == (working.height, working.width, 3)
    back = to_request(np.dstack([placed, np.ones(placed.shape[:2], np.float32)]).clip(0, 1), working, width, height)
    seen = back[..., 3] > 0.99
    assert seen.mean() > 0.5
    assert np.abs(back[seen][:, :3] - rgba[seen][:, :3] / 255).mean() < 0.01


def test_around_the_box_the_picture_goes_on():
    rgba = np.random.default_rng(2).integers(0, 256, (40, 40, 4), np.uint8)
    rgba[..., 3] = 255
    found = condition(rgba, Working(64, 48, (12, 4, 52, 44)), Resize.JUST_RESIZE)[0].permute(1, 2, 0).numpy()
    assert np.allclose(found[4:44, 12:52], rgba[..., :3] / 255, atol=1e-6)
    assert (found[:4, 12:52] == found[4, 12:52]).all() and (found[20, 52:] == found[20, 51]).all()


@pytest.mark.parametrize("name", ENCODED_NAMES)
def test_the_latent_is_the_scaled_mean_of_the_posterior(name, vae):
    rgba = PICTURES[f"{name}.rgba"].numpy()
    latent = encode(vae, condition(rgba, exactly(rgba), Resize.CROP_AND_RESIZE), 0.13025)
    torch.testing.assert_close(latent, ENCODED[f"{name}.post_mean"] * 0.13025, atol=1e-4, rtol=0)


def test_posterior_samples_come_from_one_generator_in_turn(vae):
    rgba = PICTURES["soft_64x64.rgba"].numpy()
    picture = condition(rgba, exactly(rgba), Resize.CROP_AND_RESIZE)
    noise = posterior_noise(12345)
    first, second = (encode(vae, picture, 1.0, noise) for _ in range(2))
    torch.manual_seed(46809)
    for latent in (first, second):
        expected = ENCODED["soft_64x64.post_mean"] + ENCODED["soft_64x64.post_std"] * torch.randn(1, 4, 8, 8)
        torch.testing.assert_close(latent, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ENCODED_NAMES)
def test_transparent_latent(name, vae, offset_encoder):
    rgba = PICTURES[f"{name}.rgba"].numpy()
    latent = encode_transparent(vae, offset_encoder, rgba, exactly(rgba), Resize.CROP_AND_RESIZE, 0.18215)
    expected = ENCODED[f"{name}.latent_offset300"] * 0.18215
    torch.testing.assert_close(latent, expected, atol=3e-4, rtol=0)


def test_an_enlarged_object_keeps_its_colour_to_the_edge(monkeypatch, vae, offset_encoder):
    rgba = np.zeros((50, 70, 4), np.uint8)
    rgba[..., 1] = 255
    rgba[10:40, 20:50] = (255, 0, 0, 255)
    seen: list[np.ndarray] = []
    monkeypatch.setattr(
        conditions.transparency, "vae_input", lambda placed: seen.append(placed) or torch.zeros(1, 3, *placed.shape[:2])
    )
    working = working_size(70, 50, 512)
    latent = encode_transparent(vae, offset_encoder, rgba, working, Resize.CROP_AND_RESIZE, 1.0)
    assert latent.shape == (1, 4, working.height // 8, working.width // 8) and latent.isfinite().all()
    soft = (seen[0][..., 3] > 20) & (seen[0][..., 3] < 235)
    assert soft.any() and seen[0][soft][:, 0].min() > 240 and seen[0][soft][:, 1].max() < 15
