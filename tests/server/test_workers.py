"""Several devices: as many jobs at once, and each dies its own death."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from backend import worker
from backend.server.workers import targets
from installer import hardware
from installer.hardware import Gpu, Machine, Vendor
from protocol.errors import ErrorCode
from protocol.images import Image
from protocol.messages import (
    Cancel,
    Cancelled,
    Done,
    Failed,
    Generate,
    ListModels,
    Message,
    Models,
    Queued,
    Running,
)

from .harness import Backend, Client, request
from .program import ROOT


@pytest.fixture
def two() -> Iterator[Backend]:
    with Backend(workers=2) as running:
        yield running


def until_all_run(client: Client, *jobs: str) -> None:
    """Pass over messages until each of these jobs has reported."""
    silent = set(jobs)
    while silent:
        silent.discard(client.until(Running).job)


def test_two_jobs_run_at_once_and_the_third_waits_for_the_first_that_ends(two: Backend) -> None:
    with two.client() as client:
        first, second = client.generate("wait"), client.generate("wait")
        until_all_run(client, first, second)
        third = client.generate()
        assert client.until(Queued, third).position == 2
        client.send(Cancel(second))
        client.until(Cancelled, second)
        assert client.result(third).layers
        client.send(Cancel(first))
        client.until(Cancelled, first)


def test_clients_with_the_same_job_id_hear_of_their_own_job(two: Backend) -> None:
    with two.client() as one, two.client() as other:
        job = one.generate("wait", seed=1)
        one.until(Running, job)
        other.send(Generate(job, request(seed=2)))
        assert other.result(job).request.seed == 2
        one.send(Cancel(job))
        one.until(Cancelled, job)


def test_clients_take_turns_and_hear_nothing_of_each_other() -> None:
    with Backend() as backend, backend.client() as many, backend.client() as one:
        mine = [many.generate("wait")]
        many.until(Running, mine[0])
        mine += [many.generate("wait") for _ in range(3)]
        many.until(Queued, mine[-1])
        theirs = one.generate(seed=9)
        one.until(Queued, theirs)
        many.send(Cancel(mine[0]))
        # It comes before three that were asked for first, and that do not end by themselves.
        assert heard(one, Done, theirs) == {theirs}
        assert isinstance(one.receive(), Image)
        for job in mine[1:]:
            many.send(Cancel(job))
            assert heard(many, Cancelled, job) <= set(mine)
        one.send(ListModels())
        one.expect(Models)  # and nothing before it


def heard(client: Client, kind: type[Message], last: str) -> set[str]:
    """Listen until this is told of this job; return the jobs of all that was told."""
    jobs: set[str] = set()
    while True:
        message = client.receive()
        job = getattr(message, "job", None)
        jobs |= {job} if job else set()
        if isinstance(message, kind) and job == last:
            return jobs


def test_a_worker_that_dies_takes_only_its_own_job_along(two: Backend) -> None:
    with two.client() as client:
        kept = client.generate("wait")
        client.until(Running, kept)
        lost = client.generate("die")
        assert client.until(Failed, lost).error.code is ErrorCode.WORKER_DIED
        after = client.generate()
        assert client.result(after).layers
        client.send(Cancel(kept))
        client.until(Cancelled, kept)


def test_a_worker_that_has_the_model_gets_the_job(two: Backend) -> None:
    with two.client() as client:
        makers = {client.result(client.generate()).made_with["worker"] for _ in range(4)}
        assert makers == {str(two.worker_pid)}


def test_the_end_ends_all_of_them() -> None:
    with Backend(workers=2) as backend, backend.client() as client:
        until_all_run(client, client.generate("deaf"), client.generate("deaf"))
        pids = backend.worker_pids
        assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for the driver's tool is a shell script")
def test_each_graphics_card_has_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert asyncio.run(targets()) == [worker.main]
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho GPU-1\necho GPU-2\n")
    tool.chmod(0o755)
    assert cards_of(asyncio.run(targets())) == ["GPU-1", "GPU-2"]
    saving = asyncio.run(targets(save_memory=True))
    assert cards_of(saving) == ["GPU-1", "GPU-2"]
    assert all(one.keywords["save_memory"] for one in saving if isinstance(one, partial))
    tool.write_text("#!/bin/sh\necho GPU-1\nexit 9\n")
    assert asyncio.run(targets()) == [worker.main]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, 3")
    assert cards_of(asyncio.run(targets())) == ["1", "3"]


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for the driver's tool is a shell script")
def test_a_card_that_torch_has_no_code_for_has_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.13.0+cu130")
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho GPU-1, 6.1\necho GPU-2, 8.9\n")
    tool.chmod(0o755)
    assert cards_of(asyncio.run(targets())) == ["GPU-2"]
    # A driver that does not know the compute capability: nothing speaks against its cards.
    tool.write_text('#!/bin/sh\ncase "$1" in *compute*) exit 2;; esac\necho GPU-1\necho GPU-2\n')
    assert cards_of(asyncio.run(targets())) == ["GPU-1", "GPU-2"]
    # None of them: the backend computes without, as torch finds.
    tool.write_text("#!/bin/sh\necho GPU-1, 6.1\necho GPU-2, 5.0\n")
    assert asyncio.run(targets()) == [worker.main]


AMD, ARC = (Gpu(Vendor.AMD, "AMD 0x744c", True, architecture="gfx1100"), Gpu(Vendor.INTEL, "INTEL 0x56a0", True))
BUILT_IN = (Gpu(Vendor.AMD, "AMD 0x164e", True, architecture="gfx1036"), Gpu(Vendor.INTEL, "INTEL 0x4680", True))


@pytest.mark.parametrize(
    ("build", "variable", "gpus", "cards"),
    [
        ("rocm7.2", "HIP_VISIBLE_DEVICES", (AMD, AMD, ARC), ["0", "1"]),
        ("rocm7.2", "HIP_VISIBLE_DEVICES", (AMD, BUILT_IN[0], AMD), ["0", "2"]),
        ("rocm7.2", "HIP_VISIBLE_DEVICES", (BUILT_IN[0], AMD), ["1"]),
        ("rocm7.2", "HIP_VISIBLE_DEVICES", (AMD, replace(AMD, works=False)), []),
        ("xpu", "ZE_AFFINITY_MASK", (ARC, AMD, ARC, BUILT_IN[1]), ["0", "1"]),
        ("xpu", "ZE_AFFINITY_MASK", (ARC,), []),
        ("xpu", "ZE_AFFINITY_MASK", (BUILT_IN[1], BUILT_IN[1]), []),
        ("cpu", "CUDA_VISIBLE_DEVICES", (AMD, AMD, ARC, ARC), []),
    ],
)
def test_cards_of_other_makers_have_a_worker_each(
    build: str, variable: str, gpus: tuple[Gpu, ...], cards: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.metadata.version", lambda _: f"2.13.0+{build}")
    monkeypatch.setattr(hardware, "detect", lambda: Machine("linux", "x86_64", gpus))
    found = asyncio.run(targets())
    assert cards_of(found) == cards if cards else found == [worker.main]
    assert {one.keywords["variable"] for one in found if isinstance(one, partial)} <= {variable}
    monkeypatch.setenv(variable, "4,5")
    assert cards_of(asyncio.run(targets())) == ["4", "5"]


@pytest.mark.parametrize("variable", ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"])
def test_a_worker_knows_its_card_before_anything_can_load_torch(variable: str) -> None:
    lines = ["import os, sys", "from multiprocessing import Pipe", "from backend import worker"]
    lines += [f"assert {name!r} not in sys.modules" for name in ("torch", "backend.engine")]
    lines += [
        f"told = lambda _: print(os.environ[{variable!r}], 'torch' in sys.modules, file=sys.stderr)",
        "worker.Worker.run = told",
        "ours, other = Pipe()",
        f"worker.main(ours, card='GPU-7', variable={variable!r})",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr.strip()) == (0, "GPU-7 False")


def cards_of(found: Sequence[object]) -> list[str]:
    return [one.keywords["card"] for one in found if isinstance(one, partial)]
