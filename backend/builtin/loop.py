"""What every training stage shares: a budget of processor time that survives restarts, gradients averaged over
processes, and files that are never half written.

Networks this narrow spend half of a two-threaded step waiting at thread barriers, so a stage runs as one
single-threaded process per core (`torchrun --nproc-per-node 2 -m backend.builtin.codec …`), which exchange gradients
once a step.
"""

from __future__ import annotations

import argparse
import copy
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from backend.builtin.dataset import REGISTRY

WARMUP_STEPS = 100
DECAY_FROM = 0.5
EMA_DECAY = 0.998
LOG_EVERY = 25
SAVE_SECONDS = 180


class Clock:
    """Counts steps and seconds against a budget in minutes; the same on every rank.

    The seconds are those of the processor, so that a busy machine makes a stage longer but not worse.
    """

    def __init__(self, minutes: float):
        self.budget = minutes * 60
        self.step = 0
        self.seconds = 0.0
        self._last = time.process_time()

    def resume(self, step: int, seconds: float) -> None:
        """Go on from a saved state."""
        self.step, self.seconds = step, seconds

    def lap(self) -> float:
        """Seconds since the last call."""
        now = time.process_time()
        passed, self._last = now - self._last, now
        return passed

    def tick(self, passed: float) -> None:
        """Count one step that took so many seconds."""
        self.step += 1
        self.seconds += passed

    @property
    def over(self) -> bool:
        """Whether the budget is used up."""
        return self.seconds >= self.budget

    @property
    def done(self) -> float:
        """Share of the budget that is used up, 0 to 1."""
        return min(self.seconds / self.budget, 1.0)

    def rate(self) -> float:
        """Learning-rate factor: short warm-up, flat, then linear to 2 % over the second half of the budget."""
        decay = 1.0 if self.done < DECAY_FROM else 1.0 - 0.98 * (self.done - DECAY_FROM) / (1 - DECAY_FROM)
        return min(1.0, (self.step + 1) / WARMUP_STEPS) * decay

    def state(self) -> dict[str, float]:
        """What `resume` takes."""
        return {"step": self.step, "seconds": self.seconds}

    def __str__(self) -> str:
        return f"step {self.step}, {self.seconds / 60:.1f} of {self.budget / 60:.0f} min"


def join() -> int:
    """Join the other processes that `torchrun` started, if any; returns this process's rank."""
    if "RANK" not in os.environ:
        return 0
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    return dist.get_rank()


def quick() -> torch.autocast:
    """Autocast to bfloat16 where the processor computes in it; where it does not, float32 is eight times quicker."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.backends.cpu.get_cpu_capability().startswith("AVX512"))


def processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wait_for_all() -> None:
    """Wait until every rank is here: rank 0 prepares shared files before the others read them."""
    if dist.is_initialized():
        dist.barrier()


def _step(optimizer: torch.optim.Optimizer, clock: Clock) -> None:
    """Average gradients over the ranks, clip them to norm one, step, count the step."""
    trained = [p for p in optimizer.param_groups[0]["params"] if p.grad is not None]
    passed = clock.lap()
    if dist.is_initialized():
        # The time travels with the gradients: all ranks must agree on when the budget is used up.
        flat = torch.cat([p.grad.flatten() for p in trained] + [torch.tensor([passed])])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        passed = flat[-1].item()
        offset = 0
        for p in trained:
            p.grad = flat[offset : offset + p.numel()].view_as(p)
            offset += p.numel()
    nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    clock.tick(passed)


@torch.no_grad()
def _average(shadow: nn.Module, model: nn.Module, step: int) -> None:
    """One step of the exponential moving average, quicker at the beginning."""
    decay = min(EMA_DECAY, (1 + step) / (10 + step))
    for mean, now in zip(shadow.parameters(), model.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)


def save_atomically(path: Path, **state: object) -> None:
    """Write a training state beside its target, then move it there."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def trained(path: Path) -> dict[str, Tensor]:
    """The averaged weights that `run` left in a file."""
    return torch.load(path, weights_only=True)["shadow"]


def run(
    target: Path,
    model: nn.Module,
    loss: Callable[[random.Random, float], Tensor],
    minutes: float,
    learning_rate: float,
    report: Callable[[nn.Module], str] | None = None,
) -> None:
    """Train the model for so many minutes in all, over any number of starts.

    Args:
        target: file of the training state; where it exists, training goes on from it.
        model: what is trained, built the same on every rank.
        loss: draws a batch with the given source (and torch's global generator) and returns its loss; also told
            the share of the budget that is used up.
        report: describes the averaged model whenever it is saved.
    """
    shadow = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=learning_rate,
        betas=(0.9, 0.98),
        weight_decay=1e-3,
        fused=True,
    )
    clock = Clock(minutes)
    if target.exists():
        state = torch.load(target, weights_only=True)
        model.load_state_dict(state["model"])
        shadow.load_state_dict(state["shadow"])
        if "optimizer" in state:  # weights that were exported have none
            optimizer.load_state_dict(state["optimizer"])
        clock.resume(state["step"], state["seconds"])
    rank = dist.get_rank() if dist.is_initialized() else 0
    source = random.Random(2 * clock.step + rank)
    torch.manual_seed(100 + 2 * clock.step + rank)
    recent, saved = None, clock.seconds
    while not clock.over:
        optimizer.param_groups[0]["lr"] = learning_rate * clock.rate()
        value = loss(source, clock.done)
        optimizer.zero_grad()
        value.backward()
        _step(optimizer, clock)
        _average(shadow, model, clock.step)
        if rank:
            continue
        recent = value.item() if recent is None else 0.98 * recent + 0.02 * value.item()
        if clock.step % LOG_EVERY == 0 or clock.over:
            print(f"{target.stem}: {clock}, loss {recent:.5f}", flush=True)
        if clock.seconds - saved >= SAVE_SECONDS or clock.over:
            saved = clock.seconds
            save_atomically(
                target,
                model=model.state_dict(),
                shadow=shadow.state_dict(),
                optimizer=optimizer.state_dict(),
                **clock.state(),
            )
            if report is not None:
                print(report(shadow), flush=True)


def parser_of(description: str | None, minutes: float) -> argparse.ArgumentParser:
    """The command line of a stage: ``work``, ``minutes`` and ``registry``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, required=True, help="folder for the data and the training states")
    parser.add_argument("--minutes", type=float, default=minutes, help="budget of all starts together")
    parser.add_argument("--registry", default=REGISTRY, help="npm registry that has the icons")
    return parser


def options(description: str | None, minutes: float) -> argparse.Namespace:
    """What `parser_of` read."""
    return parser_of(description, minutes).parse_args()
