"""Where the networks run, and in which precision each of them keeps its pictures right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from protocol.errors import ErrorCode, fail


@dataclass(frozen=True)
class Device:
    """A torch device and the precision of each network on it.

    Attributes:
        place: the torch device.
        denoiser: of the UNet and the text encoder. Latents stay in float32 whatever this is.
        vae: of the VAE; float32, because some checkpoints' VAE overflows in float16.
        decoder: of the transparent decoder; float16 or float32, in bfloat16 alpha shows steps.
    """

    place: torch.device
    denoiser: torch.dtype
    vae: torch.dtype
    decoder: torch.dtype


def choose() -> Device:
    """The fastest device of this machine."""
    if torch.cuda.is_available():
        return Device(torch.device("cuda"), torch.float16, torch.float32, torch.float16)
    if torch.backends.mps.is_available():
        return Device(torch.device("mps"), torch.float16, torch.float32, torch.float32)
    return Device(torch.device("cpu"), torch.float32, torch.float32, torch.float32)


MEMORY_WORDS = ("out of memory", "not enough memory", "can't allocate memory")


@contextmanager
def memory_errors(doing: str) -> Iterator[None]:
    """Turn every device's way of saying so into ``out_of_memory``, naming what was being done."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error).lower() for words in MEMORY_WORDS):
            raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        fail(ErrorCode.OUT_OF_MEMORY, f"Memory ran out while {doing}.")
