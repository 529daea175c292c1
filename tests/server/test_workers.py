"""Several devices: as many jobs at once, and each dies its own death."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from backend import worker
from backend.server.workers import graphics_cards, targets
from protocol.errors import ErrorCode
from protocol.messages import Cancel, Cancelled, Failed, Generate, Queued, Running

from .harness import Backend, Client, request


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
    assert [one.keywords for one in asyncio.run(targets()) if isinstance(one, partial)] == [
        {"card": "GPU-1"}, {"card": "GPU-2"}
    ]  # fmt: skip
    tool.write_text("#!/bin/sh\necho GPU-1\nexit 9\n")
    assert asyncio.run(targets()) == [worker.main]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, 3")
    assert asyncio.run(graphics_cards()) == ["1", "3"]
