"""One worker process for each device: which of them gets a job."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from installer import hardware
from installer.builds import choose, has_code
from installer.hardware import Machine, Vendor
from protocol.messages import Preview, Running

from .. import worker
from .jobs import Job
from .supervisor import Outcome, Supervisor, Target

log = logging.getLogger(__name__)
CUDA = "CUDA_VISIBLE_DEVICES"
OTHERS = {"rocm": (Vendor.AMD, "HIP_VISIBLE_DEVICES"), "xpu": (Vendor.INTEL, "ZE_AFFINITY_MASK")}
"""How the name of a build of torch begins that is not for NVIDIA's cards → for whose it is, and the variable that says
which of them a process may see."""
FIELDS = ("uuid,compute_cap", "uuid")
"""What the driver's tool is asked of each card; an old one does not know the compute capability."""
PATIENCE = 10.0
"""Seconds that the driver's tool may take."""


async def targets(save_memory: bool = False) -> list[Target]:
    """The main function of a worker for each graphics card, or one for all that is there; may take `PATIENCE`."""
    main = partial(worker.main, save_memory=True) if save_memory else worker.main
    build = importlib.metadata.version("torch").partition("+")[2]
    kind = next((kind for kind in OTHERS if build.startswith(kind)), None)
    variable = OTHERS[kind][1] if kind else CUDA
    visible = os.environ.get(variable)
    if visible is not None:
        # The person's choice; torch follows it by itself where it is a single card.
        there = cards = [card.strip() for card in visible.split(",") if card.strip()]
    elif kind:
        there = numbered(kind, await asyncio.to_thread(hardware.detect))
        cards = [card for card, fits in there.items() if fits]
    else:
        there = await graphics_cards()
        cards = usable(there, build)
    if len(there) < 2 or not cards:
        return [main]
    return [partial(main, card=card, variable=variable) for card in cards]


def numbered(kind: str, machine: Machine) -> dict[str, bool]:
    """The cards of the maker that torch's builds of a kind are for, by their numbers → whether they compute with it."""
    cards = [gpu for gpu in machine.gpus if gpu.vendor is OTHERS[kind][0] and gpu.works]
    builds = [choose(replace(machine, gpus=(gpu,))).build.name for gpu in cards]
    return {str(number): build.startswith(kind) for number, build in enumerate(builds)}


async def graphics_cards() -> dict[str, tuple[int, ...]]:
    """The NVIDIA cards, as CUDA_VISIBLE_DEVICES calls them, with their compute capability, () when unknown."""
    for fields in FIELDS:
        lines = (await _told_by_driver(fields)).splitlines()
        if lines:
            pairs = (line.partition(",") for line in lines)
            return {card.strip(): hardware.numbers(capability) for card, _, capability in pairs if card.strip()}
    return {}


def usable(cards: Mapping[str, tuple[int, ...]], build: str) -> list[str]:
    """The cards that this build of torch ("cu130", "" for a plain one) has code for."""
    unknown = [card for card, capability in cards.items() if len(capability) == 2 and not has_code(build, capability)]
    for card in unknown:
        capability = ".".join(map(str, cards[card]))
        log.warning("%s is left out: torch's build %s has no code for compute capability %s", card, build, capability)
    return [card for card in cards if card not in unknown]


async def _told_by_driver(fields: str) -> str:
    """What the driver's tool prints; empty when there is none, or it fails, or says nothing for `PATIENCE`."""
    command = ("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader")
    try:
        tool = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    except OSError:
        return ""
    try:
        async with asyncio.timeout(PATIENCE):
            told, _ = await tool.communicate()
    except TimeoutError:
        return ""
    finally:
        with contextlib.suppress(ProcessLookupError):
            tool.kill()
    return told.decode(errors="replace") if tool.returncode == 0 else ""


class Workers:
    """Several supervisors, each with at most one job; none until `add`. Used from the event loop only.

    `on_progress(job, message)` and `on_outcome(job, outcome)` are called in the event loop; every `run` is followed by
    exactly one `on_outcome`.
    """

    def __init__(
        self, on_progress: Callable[[Job, Running | Preview], None], on_outcome: Callable[[Job, Outcome], None]
    ) -> None:
        self._on_progress, self._on_outcome = on_progress, on_outcome
        self._all: list[_Worker] = []

    def add(self, targets: Sequence[Target]) -> None:
        """One more for each of these main functions."""
        self._all += [_Worker(target, self._on_progress, self._on_outcome) for target in targets]

    def __len__(self) -> int:
        return len(self._all)

    @property
    def free(self) -> bool:
        """Whether one of them has no job."""
        return any(one.job is None for one in self._all)

    @property
    def idle(self) -> bool:
        """Whether none of them has a job."""
        return all(one.job is None for one in self._all)

    @property
    def pids(self) -> list[int]:
        """The process ids of those that run."""
        return [one.supervisor.pid for one in self._all if one.supervisor.pid is not None]

    def warm(self) -> None:
        """Start the first if none runs; the others take a gigabyte of memory each, and start when they have work."""
        if self._all and not self.pids:
            self._all[0].supervisor.warm()

    def run(self, job: Job) -> None:
        """Give a job to one that is free; if possible to one that has the job's model loaded, or at least runs."""
        model = job.request.model
        waiting = [one for one in self._all if one.job is None]
        chosen = min(waiting, key=lambda one: (one.model != model, one.supervisor.pid is None))
        chosen.run(job)

    def cancel(self, job: Job) -> None:
        """Ask the worker that has this job to stop it; the outcome follows."""
        for one in self._all:
            if one.job is job:
                one.supervisor.cancel(job.id)

    async def unload(self) -> None:
        """End those that have no job, with all that they have loaded; the next job starts another."""
        await asyncio.gather(*(one.supervisor.unload() for one in self._all))

    async def stop(self) -> None:
        """End all and wait for their end."""
        await asyncio.gather(*(one.supervisor.stop() for one in self._all))


class _Worker:
    """A supervisor with its job and the model of its last one."""

    def __init__(
        self, target: Target, on_progress: Callable[[Job, Running | Preview], None],
        on_outcome: Callable[[Job, Outcome], None],
    ) -> None:
        self.supervisor = Supervisor(target, self._progress, self._outcome)
        self.job: Job | None = None
        self.model = ""
        self._on_progress, self._on_outcome = on_progress, on_outcome

    def run(self, job: Job) -> None:
        self.job, self.model = job, job.request.model
        self.supervisor.run(job.id, job.request, job.pictures)

    def _progress(self, message: Running | Preview) -> None:
        assert self.job is not None
        self._on_progress(self.job, message)

    def _outcome(self, _: str, outcome: Outcome) -> None:
        assert self.job is not None
        job, self.job = self.job, None
        self._on_outcome(job, outcome)
