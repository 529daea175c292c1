"""Noise levels and samplers as AUTOMATIC1111 and Forge compute them, in k-diffusion's terms (Karras et al. 2022).

Everything but UniPC runs in variance-exploding space: ``x = clean latent + σ·noise``, so that the first noise is
``σ_max·noise`` (diffusers' solvers start from ``noise·sqrt(1 + σ_max²)`` of the variance-preserving form, 0.23 % more).
Tables are float32 because theirs are: ties of rounding and the times of Brownian noise depend on the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import count, pairwise

import torch
from torch import Tensor

from protocol.request import Sampler

from . import unipc
from .brownian import BrownianNoise
from .noise import gaussian

TRAIN_STEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
"""Stable Diffusion's schedule: linear in the square root of beta."""
KARRAS_RHO = 7.0
FULL_STRENGTH = 0.999
"""A1111 counts the steps of a larger strength as those of this one."""

Denoiser = Callable[[Tensor, float, int], Tensor]
"""``x [B, C, h, w]`` in variance-exploding space, σ and the model time → the denoised latent, all float32."""
StepNoise = Callable[[float, float], Tensor]
"""σ before and after a step → standard normal noise ``[B, C, h, w]`` for it."""
BeforeStep = Callable[[int, int], None]
"""Called with the step and the number of steps before every model call; raises to stop."""


@cache
def alphas_cumprod() -> Tensor:
    """ᾱ of the model times 0 … 999, float32 ``[1000]``, 0.99915 to 0.00466."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TRAIN_STEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


@cache
def sigma_table() -> Tensor:
    """σ of the model times 0 … 999, float32 ``[1000]``, 0.029 to 14.6."""
    return ((1 - alphas_cumprod()) / alphas_cumprod()).sqrt()


def karras_sigmas(steps: int) -> list[float]:
    """Descending noise levels, `steps` of them from σ_max to σ_min, and 0 (Karras et al. 2022, equation 5)."""
    low, high = (float(sigma_table()[i]) ** (1 / KARRAS_RHO) for i in (0, -1))
    return [*((high + torch.linspace(0, 1, steps) * (low - high)) ** KARRAS_RHO).tolist(), 0.0]


def linear_sigmas(steps: int) -> list[float]:
    """Descending noise levels of `steps` model times evenly spaced from 999 to 0, and 0."""
    return [*_sigma_at(torch.linspace(TRAIN_STEPS - 1, 0, steps)).tolist(), 0.0]


def model_time(sigma: float) -> int:
    """The model time whose σ is nearest on a logarithmic scale; Forge rounds so, AUTOMATIC1111 interpolates."""
    return int((torch.tensor(sigma).log() - sigma_table().log()).abs().argmin())


def stop_sigma(fraction: float) -> float:
    """σ below which the base model draws alone, when LayerDiffuse is to act for this fraction of the model's time.

    Returns:
        0 (it always acts) from a fraction of 1, infinity (never) up to 0.
    """
    if fraction >= 1:
        return 0.0
    if fraction <= 0:
        return float("inf")
    return float(_sigma_at(torch.tensor((1 - fraction) * (TRAIN_STEPS - 1))))


def _sigma_at(times: Tensor) -> Tensor:
    return _between(sigma_table().log(), times).exp()


def _between(table: Tensor, times: Tensor) -> Tensor:
    """A table's values at times between the model's, interpolated linearly."""
    part = times.frac()
    return (1 - part) * table[times.floor().long()] + part * table[times.ceil().long()]


def sample(
    sampler: Sampler, denoise: Denoiser, seeds: Sequence[int], shape: tuple[int, int, int], steps: int,
    place: torch.device, before_step: BeforeStep, init: Tensor | None = None, strength: float = 1.0,
) -> Tensor:
    """Draw latents; each row is the one that its seed alone gives.

    Args:
        sampler: which solver, on its own noise levels. UniPC takes as many steps as fit into the model's times at a
            whole spacing, ``1000 // steps``: 31 for 30.
        denoise: the model.
        seeds: of each row, 0 to 2^32 - 1.
        shape: (C, h, w) of a row.
        steps: of the schedule, 1 to 1000.
        place: where x lives; noise is always drawn on the CPU.
        before_step: see `BeforeStep`.
        init: scaled clean latents ``[B or 1, C, h, w]`` to draw anew.
        strength: 0 to 1, how much of the schedule `init` goes through, as A1111 counts it: with
            ``t = int(min(strength, 0.999) * steps)``, t + 1 model calls, UniPC t (at least one).

    Returns:
        Scaled clean latents ``[B, C, h, w]`` float32; UniPC leaves the noise of model time 0 in them.
    """
    kept = int(min(strength, FULL_STRENGTH) * steps)
    first = _noise(seeds, shape, place, 0)
    if init is not None:
        init = init.to(place, torch.float32)
    if sampler is Sampler.UNIPC:
        return _sample_unipc(denoise, first, steps, before_step, init, kept)
    euler = sampler is Sampler.EULER_A
    sigmas = linear_sigmas(steps) if euler else karras_sigmas(steps)
    noise = _step_noise(sampler, seeds, shape, place, sigmas)
    if init is None:
        x = sigmas[0] * first
    else:
        sigmas = sigmas[steps - kept - 1:]
        x = init + sigmas[0] * first
    return solve(denoise, x, sigmas, before_step, not euler, noise)


def solve(
    denoise: Denoiser, x: Tensor, sigmas: Sequence[float], before_step: BeforeStep, second_order: bool,
    noise: StepNoise | None,
) -> Tensor:
    """Go down the noise levels by one formula, which is four solvers.

    Without noise DDIM and, of second order, DPM-Solver++(2M); with noise Euler ancestral and SDE-DPM-Solver++(2M) in
    the midpoint form (Lu et al. 2022, "DPM-Solver++", algorithm 2 and its stochastic variant).

    Args:
        denoise: the model.
        x: ``[B, C, h, w]`` float32 at the first noise level, the precision of all sums.
        sigmas: descending, ending with 0.
        before_step: see `BeforeStep`.
        second_order: whether the denoised latent is extrapolated along log σ from the step before.
        noise: asked for every step but the last; None for the deterministic solvers.

    Returns:
        The denoised latent ``[B, C, h, w]`` float32.
    """
    previous: Tensor | None = None
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        before_step(i, len(sigmas) - 1)
        denoised = denoise(x, sigma, model_time(sigma))
        if sigma_next == 0:
            x = denoised
            break
        target = denoised
        if second_order and previous is not None:
            growth = math.log(sigma_next / sigma) / math.log(sigma / sigmas[i - 1])
            target = denoised + growth / 2 * (denoised - previous)
        keep = sigma_next / sigma if noise is None else (sigma_next / sigma) ** 2
        x = keep * x + (1 - keep) * target
        if noise is not None:
            x = x + sigma_next * (1 - keep) ** 0.5 * noise(sigma, sigma_next)
        previous = denoised
    return x


def _noise(seeds: Sequence[int], shape: tuple[int, ...], place: torch.device, call: int) -> Tensor:
    return torch.stack([gaussian(seed, shape, call) for seed in seeds]).to(place)


def _step_noise(
    sampler: Sampler, seeds: Sequence[int], shape: tuple[int, ...], place: torch.device, sigmas: Sequence[float]
) -> StepNoise | None:
    """What a sampler adds at its steps; `sigmas` is the full schedule, over which Brownian motion is drawn."""
    if sampler is Sampler.EULER_A:
        calls = count(1)
        return lambda sigma, sigma_next: _noise(seeds, shape, place, next(calls))
    if sampler is Sampler.DPMPP_2M_SDE_KARRAS:
        brownian = BrownianNoise(seeds, sigmas[-2], sigmas[0], shape)
        return lambda sigma, sigma_next: brownian(sigma, sigma_next).to(place)
    return None


def _sample_unipc(
    denoise: Denoiser, noise: Tensor, steps: int, before_step: BeforeStep, init: Tensor | None, kept: int
) -> Tensor:
    """UniPC evenly in time; the model is asked at the nearest whole time, noise levels are those between.

    An initial latent gets the noise of one spacing above the first time of the grid, as in A1111.
    """
    spaced = [min(time + 1, TRAIN_STEPS - 1) for time in range(0, TRAIN_STEPS, TRAIN_STEPS // steps)]
    calls, start, x = len(spaced), 1.0, noise
    if init is not None:
        calls = max(kept, 1)
        start = float(torch.tensor(spaced[calls - 1]) / TRAIN_STEPS + 1 / TRAIN_STEPS)
        alpha = float(alphas_cumprod()[spaced[kept]])
        x = alpha**0.5 * init + (1 - alpha) ** 0.5 * noise
    times = (torch.linspace(start, 1 / TRAIN_STEPS, calls + 1) - 1 / TRAIN_STEPS) * TRAIN_STEPS
    log_alphas = _between(alphas_cumprod().double().log() / 2, times)
    alphas, sigmas = log_alphas.exp().tolist(), (-torch.expm1(2 * log_alphas)).sqrt().tolist()

    def predict(x: Tensor, i: int) -> Tensor:
        before_step(i, calls)
        time = int(times[i].round())
        sigma = float(sigma_table()[time])
        exploding = x * (sigma**2 + 1) ** 0.5
        found = (exploding - denoise(exploding, sigma, time)) / sigma
        return (x - sigmas[i] * found) / alphas[i]

    return unipc.solve(predict, x, alphas, sigmas)
