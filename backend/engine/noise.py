"""Noise that a seed determines on every machine: the numbers of torch's CUDA generator, computed on the CPU.

Philox 4×32-10 (Salmon et al. 2011) with the Box–Muller transform as CUDA applies them; web interfaces call this source
"NV" or "GPU". Equal to a GPU's numbers while a tensor fits its launch grid.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROUNDS = 10
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
HIGH = np.uint64(32)


def gaussian(seed: int, shape: tuple[int, ...], call: int = 0) -> Tensor:
    """Standard normal numbers, float32 of this shape on the CPU, the same everywhere.

    Args:
        seed: of the generator, 0 to 2^64 - 1.
        shape: of the tensor drawn.
        call: how many tensors this generator drew before.
    """
    words = philox(seed, int(np.prod(shape)), call)
    u = (words[0].astype(np.float64) + 0.5) * 2.0**-32
    v = (words[1].astype(np.float64) + 0.5) * (2.0**-32 * 2 * np.pi)
    normal = np.sqrt(-2 * np.log(u)) * np.sin(v)
    return torch.from_numpy(normal.astype(np.float32)).reshape(shape)


def philox(seed: int, count: int, call: int = 0) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The first two 32-bit words of elements 0 … count-1 in one call of a generator with this 64-bit seed."""
    index = np.arange(count, dtype=np.uint64)
    zero = np.zeros(count, np.uint64)
    counter = [zero + np.uint64(call), zero, index, zero]
    key = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    for _ in range(ROUNDS):
        left, right = counter[0] * MULTIPLIERS[0], counter[2] * MULTIPLIERS[1]
        counter = [
            (right >> HIGH) ^ counter[1] ^ np.uint64(key[0]), right & LOW,
            (left >> HIGH) ^ counter[3] ^ np.uint64(key[1]), left & LOW,
        ]
        key = [(k + step) & 0xFFFFFFFF for k, step in zip(key, KEY_STEPS, strict=True)]
    return counter[0], counter[1]
