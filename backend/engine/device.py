"""Where the networks run, in which precision each keeps its pictures right, and what is done when memory is short."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from protocol.errors import ErrorCode, fail

HOST = torch.device("cpu")
ROOMY = {"sd15": 6 * 1024**3, "sdxl": 12 * 1024**3}
"""Bytes of device memory from which on all networks of a model stay on the device between the steps of a job."""
TIGHT = {"sd15": 4 * 1024**3, "sdxl": 7 * 1024**3}
"""Bytes of device memory below which as little as possible is done at once from the start: the UNet alone takes 1.7 or
5.1 GB in float16."""


@dataclass(frozen=True)
class Device:
    """A torch device, the precision of each network on it and the way memory is used.

    Attributes:
        place: the torch device.
        denoiser: of the UNet and the text encoders. Latents stay in float32 whatever this is.
        vae: of the VAE: bfloat16 or float32, because the SDXL VAE overflows in float16.
        decoder: of the transparent networks; float16 or float32, in bfloat16 alpha shows steps.
        offload: keep networks in the host's memory while others work.
        frugal: as little at once as possible: one image, one prompt, pictures in tiles.
        lanes: of a CPU, how many pictures of a small network are computed at once, each by one thread; 1 has all
            threads compute one picture together.
    """

    place: torch.device
    denoiser: torch.dtype
    vae: torch.dtype
    decoder: torch.dtype
    offload: bool = False
    frugal: bool = False
    lanes: int = 1

    @property
    def memory_format(self) -> torch.memory_format:
        """In which order the UNet and the transparent networks have their numbers.

        On a CPU, convolutions of few channels take half to three quarters of the time with the channels last.
        """
        return torch.channels_last if self.place == HOST else torch.preserve_format

    @property
    def home(self) -> torch.device:
        """Where a network waits."""
        return HOST if self.offload else self.place

    @property
    def spare(self) -> torch.device | None:
        """Where values wait that a patch has replaced; None leaves them where they are."""
        return None if self.place == HOST else HOST

    def saving(self) -> Device:
        """This device, used with the least memory."""
        return replace(self, offload=True, frugal=True)

    def for_small(self) -> Device:
        """This device as a small model uses it best.

        Its operations take fractions of a millisecond: threads that wait for each other at every one gain nothing, and
        lose a time slice each time that another program has the core of one of them.
        """
        return replace(self, lanes=torch.get_num_threads()) if self.place == HOST else self

    @contextmanager
    def threads(self) -> Iterator[None]:
        """Have the operations of this thread use as many threads as `lanes` says."""
        usual = torch.get_num_threads()
        torch.set_num_threads(1 if self.lanes > 1 else usual)
        try:
            yield
        finally:
            torch.set_num_threads(usual)

    @contextmanager
    def holding(self, *networks: nn.Module) -> Iterator[None]:
        """Have these networks on the device, and only as long as they are needed when memory is short."""
        if not self.offload:  # they are there; asking all their tensors takes longer than a step of a small model
            yield
            return
        try:
            for network in networks:
                network.to(self.place)
            yield
        finally:
            for network in networks:
                network.to(HOST)
            free()


@contextmanager
def side_by_side(lanes: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """A `map` that is so many ahead of what is asked of it, each on a thread of its own; with one lane Python's."""
    if lanes == 1:
        yield map
        return
    pool = ThreadPoolExecutor(lanes, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def choose(family: str, save_memory: bool = False) -> Device:
    """The fastest device of this machine, used as its memory allows for a family's models.

    With `save_memory` a card's memory is used as little as possible, however much it has: other programs may hold it.
    """
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory
        vae = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
        return _with_memory("cuda", vae, memory, family, save_memory)
    if torch.xpu.is_available():
        vae = torch.bfloat16 if torch.xpu.is_bf16_supported(including_emulation=False) else torch.float32
        memory = torch.xpu.get_device_properties(0).total_memory
        return _with_memory("xpu", vae, memory, family, save_memory)
    if torch.backends.mps.is_available():
        return Device(torch.device("mps"), torch.float16, torch.float32, torch.float32)
    return Device(HOST, torch.float32, torch.float32, torch.float32)


def _with_memory(kind: str, vae: torch.dtype, memory: int, family: str, save: bool) -> Device:
    """A device of its own memory in bytes, used as that allows, or to save it."""
    offload, frugal = memory < ROOMY[family], memory < TIGHT[family]
    device = Device(torch.device(kind), torch.float16, vae, torch.float16, offload, frugal)
    return device.saving() if save else device


def free() -> None:
    """Give memory that nothing uses back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.xpu.is_available():
        torch.xpu.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


MEMORY_WORDS = (
    "out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "status_alloc_failed",
    "paging file is too small", "os error 1455",
)
"""Parts of what torch, cuBLAS, cuDNN and the operating systems (1455: Windows, also where it speaks another language)
say when memory is short."""


def short_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of the device or, for files that are mapped, of the machine."""
    if isinstance(error, MemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, (RuntimeError, OSError)) and any(words in said for words in MEMORY_WORDS)


@contextmanager
def memory_errors(doing: str) -> Iterator[None]:
    """Turn every device's way of saying so into ``out_of_memory``, naming what was being done."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not short_of_memory(error):
            raise
        fail(ErrorCode.OUT_OF_MEMORY, f"Memory ran out while {doing}.")
