"""Sigma table, Karras schedule and the DPM++ 2M sampler, in k-diffusion's terms (Karras et al. 2022, Lu et al. 2022).

Everything runs in variance-exploding space: ``x = clean latent + σ·noise``, so that the first noise is ``σ_max·noise``
(diffusers' solvers start from ``noise·sqrt(1 + σ_max²)`` of the variance-preserving form, 0.23 % more).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

TRAIN_STEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
"""Stable Diffusion's schedule: linear in the square root of beta."""
KARRAS_RHO = 7.0

Denoiser = Callable[[Tensor, float], Tensor]
"""``x [B, C, h, w]`` and σ → the denoised latent, all in variance-exploding space."""


@cache
def sigma_table() -> Tensor:
    """σ of the model times 0 … 999, float64 ``[1000]``, 0.029 to 14.6."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TRAIN_STEPS, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0).float().double()
    return ((1 - alphas) / alphas).sqrt()


def karras_sigmas(steps: int) -> list[float]:
    """Descending noise levels, `steps` of them from σ_max to σ_min, and 0 (Karras et al. 2022, equation 5)."""
    table = sigma_table()
    low, high = (float(table[i]) ** (1 / KARRAS_RHO) for i in (0, -1))
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64).tolist()
    return [(high + r * (low - high)) ** KARRAS_RHO for r in ramp] + [0.0]


def model_time(sigma: float) -> int:
    """The model time whose σ is nearest on a logarithmic scale; Forge rounds so, AUTOMATIC1111 interpolates."""
    return int((sigma_table().log() - torch.tensor(sigma, dtype=torch.float64).log()).abs().argmin())


def guided_denoiser(predict_noise: Callable[[Tensor, int], Tensor], cfg: float) -> Denoiser:
    """Denoiser of a noise-predicting model with classifier-free guidance.

    Args:
        predict_noise: model input ``[2B, C, h, w]`` (rows: unconditional × B, conditional × B) and model time → noise
            of the same shape. With cfg 1 it is only asked for the conditional rows, ``[B, C, h, w]``.
        cfg: guidance scale.
    """

    def denoise(x: Tensor, sigma: float) -> Tensor:
        scaled = x / (sigma**2 + 1) ** 0.5
        if cfg == 1:
            return x - sigma * predict_noise(scaled, model_time(sigma)).float()
        both = predict_noise(scaled.repeat(2, 1, 1, 1), model_time(sigma)).float()
        unconditional, conditional = both.chunk(2)
        return x - sigma * (unconditional + cfg * (conditional - unconditional))

    return denoise


def dpmpp_2m(denoise: Denoiser, x: Tensor, sigmas: list[float], before_step: Callable[[int], None]) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2) from ``x = σ_0·noise`` down the noise levels.

    Args:
        x: ``[B, C, h, w]`` float32, the precision of all sums.
        sigmas: descending, ending with 0.
        before_step: called with the step's index before every model call; raises to stop.

    Returns:
        The denoised latent ``[B, C, h, w]`` float32.
    """
    sigma = torch.tensor(sigmas, dtype=torch.float64)
    log_snr = -sigma.log()
    previous: Tensor | None = None
    for i in range(len(sigmas) - 1):
        before_step(i)
        denoised = denoise(x, sigmas[i])
        step = log_snr[i + 1] - log_snr[i]
        if previous is None or sigmas[i + 1] == 0:
            target = denoised
        else:
            half = float(step / (log_snr[i] - log_snr[i - 1])) / 2
            target = (1 + half) * denoised - half * previous
        x = float(sigma[i + 1] / sigma[i]) * x - float(torch.expm1(-step)) * target
        previous = denoised
    return x
