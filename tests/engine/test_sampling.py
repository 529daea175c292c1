"""Schedule, noise and sampler against recorded tables and diffusers' own solver."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

from backend.engine.noise import gaussian
from backend.engine.sampling import dpmpp_2m, guided_denoiser, karras_sigmas, model_time, sigma_table

RECORDED = json.loads((Path(__file__).parent / "data" / "scheduler_parity_20.json").read_text())


def mixture_noise(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Noise in x of an ideal model whose data are two points, ±1."""
    return (x - torch.tanh(x / sigma**2)) / sigma


def test_sigma_table_and_karras_schedule_equal_the_recorded_ones():
    assert float(sigma_table()[0]) == pytest.approx(RECORDED["sigma_min"], rel=1e-6)
    assert float(sigma_table()[-1]) == pytest.approx(RECORDED["sigma_max"], rel=1e-6)
    assert karras_sigmas(20) == pytest.approx(RECORDED["karras"], rel=1e-6)


def test_model_times_are_the_nearest_ones():
    assert [model_time(sigma) for sigma in karras_sigmas(20)[:-1]] == RECORDED["karras_t_nearest"]


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_trajectory_equals_that_of_diffusers_with_the_corrected_first_noise(steps):
    noise = gaussian(5, (1, 4, 8, 8))

    def predict(scaled: torch.Tensor, time: int) -> torch.Tensor:
        sigma = float(sigma_table()[time])
        return mixture_noise(scaled * (sigma**2 + 1) ** 0.5, sigma)

    seen: list[int] = []
    found = dpmpp_2m(guided_denoiser(predict, 1), noise * karras_sigmas(steps)[0], karras_sigmas(steps), seen.append)
    assert seen == list(range(steps))

    scheduler = DPMSolverMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", algorithm_type="dpmsolver++",
        solver_order=2, use_karras_sigmas=True, final_sigmas_type="zero",
    )
    scheduler.set_timesteps(steps)
    x = noise * RECORDED["init_fix_factor_vp"]
    for time in scheduler.timesteps:
        [x] = scheduler.step(predict(x, int(time)), time, x, return_dict=False)
    assert float((found - x).abs().max()) < 1e-5, "the data are ±1"


def test_guidance_extrapolates_from_the_unconditional_rows():
    def predict(scaled: torch.Tensor, time: int) -> torch.Tensor:
        return torch.cat([torch.full_like(scaled[:1], 1.0), torch.full_like(scaled[:1], 3.0)])

    denoised = guided_denoiser(predict, 5.0)(torch.zeros(1, 4, 2, 2), 2.0)
    assert torch.equal(denoised, torch.full((1, 4, 2, 2), -2.0 * (1 + 5 * 2)))


def test_before_step_stops_the_sampler_before_the_next_model_call():
    calls: list[float] = []

    def stop(step: int) -> None:
        if step == 3:
            raise KeyboardInterrupt

    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        calls.append(sigma)
        return x

    with pytest.raises(KeyboardInterrupt):
        dpmpp_2m(denoise, torch.zeros(1, 4, 2, 2), karras_sigmas(10), stop)
    assert calls == karras_sigmas(10)[:3]


def test_noise_equals_that_of_a_gpu():
    expected = [-0.92466259, -0.42534415, -2.6438457, 0.14518388]
    assert gaussian(0, (4, 64, 64)).flatten()[:4].tolist() == pytest.approx(expected, abs=1e-6)


def test_noise_is_normal_and_depends_on_all_bits_of_the_seed():
    first, second = gaussian(1, (4, 64, 64)), gaussian(1 + 2**32, (4, 64, 64))
    assert abs(float(first.mean())) < 0.03 and abs(float(first.std()) - 1) < 0.03
    assert not torch.equal(first, second)
