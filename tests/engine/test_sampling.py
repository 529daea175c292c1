"""Noise levels against recorded tables; samplers against the formulas in float64 and against diffusers' solvers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor

from backend.engine.brownian import BrownianNoise
from backend.engine.noise import gaussian
from backend.engine.sampling import (
    alphas_cumprod,
    karras_sigmas,
    linear_sigmas,
    model_time,
    sample,
    sigma_table,
    stop_sigma,
)
from protocol.request import Sampler

RECORDED = json.loads((Path(__file__).parent / "data" / "scheduler_parity_20.json").read_text())
CPU = torch.device("cpu")
SHAPE = (4, 6, 10)
SEEDS = [12345, 12346, 2**32 - 1]
TOLERANCE = 5e-5
"""Of the largest value; a float32 trajectory stays below it."""
INIT = gaussian(77, (1, *SHAPE))
STOPS = [1.0, 0.5, 0.0]
STARTS = [(None, 1.0), (INIT, 1.0), (INIT, 0.6), (INIT, 0.0)]
STARTS_IDS = ["noise", "init 1", "init 0.6", "init 0"]

Model = Callable[[Tensor, float, int], Tensor]


def mixture(x: Tensor, sigma: float, points: tuple[float, float]) -> Tensor:
    """The ideal denoiser of data at two points of equal weight, each blurred by 0.3."""
    variance = sigma**2 + 0.09
    distances = torch.stack([-(x - point) ** 2 / (2 * variance) for point in points])
    means = torch.stack([(0.09 * x + sigma**2 * point) / variance for point in points])
    return (distances.softmax(0) * means).sum(0)


class Handover:
    """A model that becomes another one below `stop_sigma`, and knows how it was asked."""

    def __init__(self, stop: float = 1.0) -> None:
        self.stop = stop_sigma(stop)
        self.asked: list[tuple[float, int]] = []

    def __call__(self, x: Tensor, sigma: float, time: int) -> Tensor:
        self.asked.append((sigma, time))
        return mixture(x, sigma, (-1.5, 0.5) if sigma < self.stop else (-1.0, 1.0))

    @property
    def acted(self) -> int:
        """Model calls before the hand-over."""
        return sum(sigma >= self.stop for sigma, _ in self.asked)


def draw(
    sampler: Sampler, model: Model, steps: int, init: Tensor | None = None, strength: float = 1.0,
    seeds: Sequence[int] = tuple(SEEDS), before_step: Callable[[int, int], None] = lambda step, total: None,
) -> Tensor:
    return sample(sampler, model, seeds, SHAPE, steps, CPU, before_step, init, strength)


def first_noise(call: int = 0) -> Tensor:
    return torch.stack([gaussian(seed, SHAPE, call) for seed in SEEDS]).double()


def used_levels(levels: list[float], init: Tensor | None, strength: float) -> tuple[list[float], Tensor]:
    """The noise levels that are gone down and x at the first of them, float64."""
    if init is None:
        return levels, levels[0] * first_noise()
    steps = len(levels) - 1
    levels = levels[steps - int(min(strength, 0.999) * steps) - 1:]
    return levels, init.double() + levels[0] * first_noise()


def expected_2m(model: Model, levels: list[float], x: Tensor) -> Tensor:
    """DPM-Solver++(2M) as in Lu et al. 2022, algorithm 2, with α = 1."""
    logs = [-math.log(level) if level else math.inf for level in levels]
    old = None
    for i in range(len(levels) - 1):
        denoised = model(x, levels[i], model_time(levels[i]))
        h = logs[i + 1] - logs[i]
        target = denoised
        if old is not None and levels[i + 1] > 0:
            r = (logs[i] - logs[i - 1]) / h
            target = (1 + 1 / (2 * r)) * denoised - 1 / (2 * r) * old
        x = levels[i + 1] / levels[i] * x - math.expm1(-h) * target
        old = denoised
    return x


def expected_2m_sde(model: Model, levels: list[float], x: Tensor, noise: BrownianNoise) -> Tensor:
    """SDE-DPM-Solver++(2M), midpoint, as k-diffusion writes it, with η = 1."""
    old, last = None, 0.0
    for level, following in zip(levels[:-1], levels[1:], strict=True):
        denoised = model(x, level, model_time(level))
        if following == 0:
            return denoised
        h = math.log(level) - math.log(following)
        x = following / level * math.exp(-h) * x - math.expm1(-2 * h) * denoised
        if old is not None:
            x = x - 0.5 * math.expm1(-2 * h) * (h / last) * (denoised - old)
        x = x + noise(level, following).double() * following * math.sqrt(-math.expm1(-2 * h))
        old, last = denoised, h
    return x


def expected_euler_a(model: Model, levels: list[float], x: Tensor) -> Tensor:
    """Euler's method down to σ_down, and noise up to the next level."""
    for i, (level, following) in enumerate(zip(levels[:-1], levels[1:], strict=True)):
        slope = (x - model(x, level, model_time(level))) / level
        up = math.sqrt(following**2 * (level**2 - following**2) / level**2)
        down = math.sqrt(following**2 - up**2)
        x = x + slope * (down - level)
        if following > 0:
            x = x + first_noise(i + 1) * up
    return x


def unipc_times(steps: int, kept: int | None) -> Tensor:
    """Model times of A1111's grid, float32 as there; `kept` steps when it starts from a picture."""
    spaced = (torch.arange(0, 1000, 1000 // steps) + 1).clip(0, 999)
    if kept is None:
        start: float | Tensor = 1.0
    else:
        spaced = spaced[:max(kept, 1)]
        start = spaced[-1] / 1000 + 1 / 1000
    return (torch.linspace(float(start), 1.0 / 1000, len(spaced) + 1) - 1.0 / 1000) * 1000.0


def expected_unipc(model: Model, steps: int, init: Tensor | None, strength: float) -> Tensor:
    """diffusers' solver in float64 on A1111's noise levels, its model asked as Forge asks."""
    kept = None if init is None else int(min(strength, 0.999) * steps)
    times = unipc_times(steps, kept)
    x = first_noise()
    if init is not None and kept is not None:
        alpha = alphas_cumprod().double()[min(kept * (1000 // steps) + 1, 999)]
        x = alpha.sqrt() * init.double() + (1 - alpha).sqrt() * x
    logs = torch.from_numpy(np.interp(times.numpy(), np.arange(1000), alphas_cumprod().double().log().numpy()))
    scheduler = UniPCMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", solver_order=3, solver_type="bh1",
        predict_x0=True, lower_order_final=True, timestep_spacing="linspace", final_sigmas_type="sigma_min",
    )
    scheduler.set_timesteps(len(times) - 1)
    scheduler.sigmas = torch.expm1(-logs).sqrt()
    for i, time in enumerate(scheduler.timesteps):
        asked = int(times[i].round())
        sigma = float(sigma_table()[asked])
        exploding = x * math.sqrt(sigma**2 + 1)
        found = (exploding - model(exploding, sigma, asked)) / sigma
        x = scheduler.step(found, time, x, return_dict=False)[0]
    return x


def expected(sampler: Sampler, model: Model, steps: int, init: Tensor | None, strength: float) -> Tensor:
    if sampler is Sampler.UNIPC:
        return expected_unipc(model, steps, init, strength)
    full = linear_sigmas(steps) if sampler is Sampler.EULER_A else karras_sigmas(steps)
    levels, x = used_levels(full, init, strength)
    if sampler is Sampler.EULER_A:
        return expected_euler_a(model, levels, x)
    if sampler is Sampler.DPMPP_2M_KARRAS:
        return expected_2m(model, levels, x)
    return expected_2m_sde(model, levels, x, BrownianNoise(SEEDS, full[-2], full[0], SHAPE))


def far(found: Tensor, wanted: Tensor) -> float:
    assert found.dtype == torch.float32 and found.shape == wanted.shape
    return float((found - wanted).abs().max() / wanted.abs().max())


def test_sigma_table_equals_the_recorded_one():
    assert float(sigma_table()[0]) == RECORDED["sigma_min"]
    assert float(sigma_table()[-1]) == RECORDED["sigma_max"]


def test_noise_levels_equal_the_recorded_ones():
    assert karras_sigmas(20) == pytest.approx(RECORDED["karras"], rel=2e-7)
    assert linear_sigmas(20) == pytest.approx(RECORDED["linspace"], rel=2e-7)


def test_model_times_are_the_nearest_ones():
    assert [model_time(sigma) for sigma in karras_sigmas(20)[:-1]] == RECORDED["karras_t_nearest"]
    assert [model_time(sigma) for sigma in linear_sigmas(20)[:-1]] == [round(t) for t in RECORDED["linspace_t"]]


def test_stop_sigmas_equal_the_recorded_ones():
    for fraction, sigma in RECORDED["ending_step_sigma"].items():
        assert stop_sigma(float(fraction)) == pytest.approx(sigma, rel=1e-6)
    assert stop_sigma(1.0) == 0 and stop_sigma(0.0) == math.inf


@pytest.mark.parametrize(("sampler", "table"), [
    (Sampler.DPMPP_2M_KARRAS, "karras"), (Sampler.DPMPP_2M_SDE_KARRAS, "karras"), (Sampler.EULER_A, "linspace"),
    (Sampler.UNIPC, "unipc"),
])
def test_layer_diffuse_acts_in_the_recorded_steps(sampler: Sampler, table: str):
    for fraction, steps in RECORDED[f"ld_steps_{table}"].items():
        model = Handover(float(fraction))
        draw(sampler, model, 20, seeds=[1])
        assert (model.acted, len(model.asked)) == (steps, 20), fraction


@pytest.mark.parametrize(("init", "strength"), STARTS, ids=STARTS_IDS)
@pytest.mark.parametrize("stop", STOPS[:2])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 18, 30])
@pytest.mark.parametrize("sampler", Sampler)
def test_trajectory_follows_the_formulas(
    sampler: Sampler, steps: int, stop: float, init: Tensor | None, strength: float
):
    model, reference = Handover(stop), Handover(stop)
    found = draw(sampler, model, steps, init, strength)
    assert far(found, expected(sampler, reference, steps, init, strength)) < TOLERANCE
    assert model.asked == reference.asked


@pytest.mark.parametrize("sampler", Sampler)
def test_the_switch_changes_the_result_and_so_does_the_step_before_it(sampler: Sampler):
    always, half, never = (draw(sampler, Handover(stop), 20) for stop in STOPS)
    assert far(half, always) > 0.01 and far(half, never) > 0.01


@pytest.mark.parametrize(("algorithm", "sampler"), [
    ("dpmsolver++", Sampler.DPMPP_2M_KARRAS), ("sde-dpmsolver++", Sampler.DPMPP_2M_SDE_KARRAS),
])
@pytest.mark.parametrize("steps", [2, 5, 20])
def test_trajectory_equals_that_of_diffusers_with_the_corrected_first_noise(
    algorithm: Literal["dpmsolver++", "sde-dpmsolver++"], sampler: Sampler, steps: int
):
    scheduler = DPMSolverMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", algorithm_type=algorithm, solver_order=2,
        use_karras_sigmas=True, final_sigmas_type="zero",
    )
    scheduler.set_timesteps(steps)
    levels = karras_sigmas(steps)
    noise = BrownianNoise(SEEDS, levels[-2], levels[0], SHAPE)
    x = first_noise().float() * RECORDED["init_fix_factor_vp"]
    for i, time in enumerate(scheduler.timesteps):
        sigma = levels[i]
        exploding = x * (sigma**2 + 1) ** 0.5
        found = (exploding - mixture(exploding, sigma, (-1.0, 1.0))) / sigma
        added = noise(sigma, levels[i + 1]) if levels[i + 1] else torch.zeros_like(x)
        [x] = scheduler.step(found, time, x, variance_noise=added, return_dict=False)
    assert far(draw(sampler, Handover(), steps), x) < TOLERANCE


def test_unipc_asks_at_the_recorded_times():
    model = Handover()
    draw(Sampler.UNIPC, model, 20, seeds=[1])
    assert [time for _, time in model.asked] == RECORDED["unipc_diff_t"]


@pytest.mark.parametrize(("sampler", "steps", "strength", "calls"), [
    (Sampler.UNIPC, 25, None, 25), (Sampler.UNIPC, 30, None, 31), (Sampler.UNIPC, 150, None, 167),
    (Sampler.UNIPC, 30, 1.0, 29), (Sampler.UNIPC, 20, 0.5, 10), (Sampler.UNIPC, 20, 0.0, 1),
    (Sampler.EULER_A, 30, None, 30), (Sampler.EULER_A, 20, 1.0, 20), (Sampler.EULER_A, 20, 0.5, 11),
    (Sampler.DPMPP_2M_KARRAS, 20, 0.35, 8), (Sampler.DPMPP_2M_SDE_KARRAS, 20, 0.0, 1),
])
def test_steps_are_counted_as_in_a1111(sampler: Sampler, steps: int, strength: float | None, calls: int):
    model, told = Handover(), list[tuple[int, int]]()
    draw(
        sampler, model, steps, INIT if strength is not None else None, strength or 0.0, [1],
        lambda step, total: told.append((step, total)),
    )
    assert told == [(step, calls) for step in range(calls)]
    assert len(model.asked) == calls


def test_a_picture_starts_at_the_last_levels_of_the_schedule():
    model = Handover()
    draw(Sampler.DPMPP_2M_KARRAS, model, 20, INIT, 0.5, [1])
    assert [sigma for sigma, _ in model.asked] == karras_sigmas(20)[9:-1]


@pytest.mark.parametrize("sampler", Sampler)
def test_a_picture_drawn_anew_a_little_stays_what_it_is(sampler: Sampler):
    found = draw(sampler, Handover(), 20, INIT, 0.0)
    assert float((found - INIT).abs().max()) < 0.3
    assert far(draw(sampler, Handover(), 20, INIT, 1.0), found) > 0.3


@pytest.mark.parametrize(("init", "strength"), STARTS[:3], ids=STARTS_IDS[:3])
@pytest.mark.parametrize("sampler", Sampler)
def test_every_row_of_a_batch_is_the_one_of_its_seed(sampler: Sampler, init: Tensor | None, strength: float):
    batch = draw(sampler, Handover(0.5), 8, init, strength)
    for row, seed in zip(batch, SEEDS, strict=True):
        assert far(draw(sampler, Handover(0.5), 8, init, strength, [seed])[0], row) < 1e-6
    assert far(batch[:1], batch[1:2]) > 0.1


@pytest.mark.parametrize("sampler", Sampler)
def test_rows_may_start_from_pictures_of_their_own(sampler: Sampler):
    pictures = torch.cat([INIT, -INIT, 2 * INIT])
    batch = draw(sampler, Handover(), 8, pictures, 0.5)
    assert far(draw(sampler, Handover(), 8, pictures[1:2], 0.5, SEEDS[1:2]), batch[1:2]) < 1e-6


@pytest.mark.parametrize("sampler", Sampler)
def test_before_step_stops_the_sampler_before_the_next_model_call(sampler: Sampler):
    def stop(step: int, total: int) -> None:
        if step == 3:
            raise KeyboardInterrupt

    model = Handover()
    with pytest.raises(KeyboardInterrupt):
        draw(sampler, model, 10, before_step=stop)
    assert len(model.asked) == 3
