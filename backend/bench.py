"""How long an image takes on this machine, cold (model loaded from the disk) and warm."""

from __future__ import annotations

import time

from protocol.request import Operation, Request

from .engine.device import choose
from .engine.generate import Cache, generate
from .models import ModelFiles


def bench(files: ModelFiles, prompt: str, steps: int, size: tuple[int, int] | None, images: int) -> None:
    """Print seconds per image. The start of Python and the import of torch are not in them."""
    width, height = size or (files.info.native_side,) * 2
    cache = Cache()
    seconds = []
    for seed in range(1 + max(1, images)):
        request = Request(Operation.OBJECT, files.info.id, prompt, "", width, height, steps, 5.0, seed, 1)
        start = time.perf_counter()
        generate(request, (), files, lambda progress: None, lambda: False, cache)
        seconds.append(time.perf_counter() - start)
    warm = seconds[1:]
    print(f"{files.info.name}, {width} x {height}, {steps} steps, on {choose(files.info.family).place}")
    print(f"cold  {seconds[0]:6.2f} s an image")
    print(f"warm  {sum(warm) / len(warm):6.2f} s an image (mean of {len(warm)}, best {min(warm):.2f})")
