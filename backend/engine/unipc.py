"""UniPC (Zhao et al. 2023, "UniPC: A Unified Predictor-Corrector Framework"), multistep, data prediction, B₁(h) = h.

Order 3 with lower orders in the first and last steps; every model call serves the corrector of one step and the
predictor of the next, and the last step is not corrected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

ORDER = 3


def solve(
    predict: Callable[[Tensor, int], Tensor], x: Tensor, alphas: Sequence[float], sigmas: Sequence[float]
) -> Tensor:
    """Solve the diffusion ODE from point 0 to the last point.

    Args:
        predict: x at point i and i → the clean data that a model finds in it; asked once for every point but the last.
        x: ``[B, C, h, w]`` float32 at point 0, in variance-preserving space: ``α_0·data + σ_0·noise``.
        alphas, sigmas: α_i and σ_i of all points, at least two, σ descending and above 0.

    Returns:
        x at the last point, in the same space.
    """
    log_snr = [math.log(alpha / sigma) for alpha, sigma in zip(alphas, sigmas, strict=True)]
    last = len(log_snr) - 1
    found = [predict(x, 0)]
    for i in range(1, last + 1):
        order = min(ORDER, i, last + 1 - i)
        h = log_snr[i] - log_snr[i - 1]
        ratios = [(log_snr[i - 1 - k] - log_snr[i - 1]) / h for k in range(1, order)]
        slopes = [(found[-1 - k] - found[-1]) / ratio for k, ratio in enumerate(ratios, start=1)]
        base = sigmas[i] / sigmas[i - 1] * x - alphas[i] * math.expm1(-h) * found[-1]
        predicted = base + alphas[i] * h * _weighted(_weights(ratios, h), slopes)
        if i == last:
            return predicted
        found.append(predict(predicted, i))
        slopes.append(found[-1] - found[-2])
        x = base + alphas[i] * h * _weighted(_weights([*ratios, 1.0], h), slopes)
        del found[:-ORDER]
    return x


def _weights(ratios: list[float], h: float) -> list[float]:
    """Weights of the slopes at these places (in units of the step): those that make the update exact to their number.

    One slope alone always gets a half, the limit of small steps.
    """
    if len(ratios) < 2:
        return [0.5] * len(ratios)
    phi = math.expm1(-h) / -h - 1
    right = []
    for k in range(1, len(ratios) + 1):
        right.append(phi * math.factorial(k) / -h)
        phi = phi / -h - 1 / math.factorial(k + 1)
    places = torch.tensor(ratios, dtype=torch.float64)
    powers = torch.stack([places**k for k in range(len(ratios))])
    return torch.linalg.solve(powers, torch.tensor(right, dtype=torch.float64)).tolist()


def _weighted(weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor | float:
    return sum((weight * slope for weight, slope in zip(weights, slopes, strict=True)), 0.0)
