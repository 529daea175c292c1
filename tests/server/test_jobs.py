"""What is kept for whom when memory runs short."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.server.jobs import Jobs
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.limits import MAX_HELD, MAX_HELD_ALL, MAX_JOBS_ALL, MAX_QUEUE
from protocol.messages import State
from protocol.request import Request

from . import fake_worker
from .harness import request

LARGEST = request(side=2048, batch=16)
LARGEST_BYTES = 2048 * 2048 * 4 * 16
DONE = replace(fake_worker.layer_set(request()), request=LARGEST)
"""A result that counts as the largest one without taking its memory."""


def _submit(jobs: Jobs, client: str, count: int, what: Request = LARGEST, present: tuple[str, ...] = ()) -> list[str]:
    """Submit so many jobs and return their ids."""
    ids = [f"{client} {len(jobs.of(client)) + index}" for index in range(count)]
    for job_id in ids:
        jobs.submit(jobs.admit(client, job_id, what, present), (), b"")
    return ids


def _finish(jobs: Jobs) -> None:
    while (job := jobs.take()) is not None:
        jobs.finish(job, DONE)


def _full(clients: int) -> Jobs:
    """Return as many finished results of absent clients as the server can hold."""
    jobs = Jobs()
    for number in range(clients):
        _submit(jobs, f"absent {number}", MAX_HELD // LARGEST_BYTES)
    _finish(jobs)
    return jobs


def test_results_of_the_longest_absent_give_way_when_nothing_else_helps() -> None:
    jobs = _full(MAX_HELD_ALL // MAX_HELD)
    before = jobs.of("absent 0")
    _submit(jobs, "here", 1, present=("here",))
    assert jobs.of("absent 0") == before[1:]
    assert all(job.state is State.DONE for job in jobs.of("absent 1"))


def test_results_of_those_who_are_connected_never_give_way() -> None:
    clients = MAX_HELD_ALL // MAX_HELD
    jobs = _full(clients)
    present = ("here", *(f"absent {number}" for number in range(clients)))
    with pytest.raises(LayerDiffusionError) as refused:
        _submit(jobs, "here", 1, present=present)
    assert refused.value.code is ErrorCode.QUEUE_FULL
    assert not jobs.of("here") and len(jobs.unfinished()) == 0
    assert sum(len(jobs.of(client)) for client in present) == MAX_HELD_ALL // LARGEST_BYTES


def test_unfinished_jobs_of_the_absent_never_give_way() -> None:
    jobs = Jobs()
    for number in range(MAX_HELD_ALL // MAX_HELD):
        _submit(jobs, f"absent {number}", MAX_HELD // LARGEST_BYTES)
    with pytest.raises(LayerDiffusionError) as refused:
        _submit(jobs, "here", 1, present=("here",))
    assert refused.value.code is ErrorCode.QUEUE_FULL
    assert len(jobs.unfinished()) == MAX_HELD_ALL // LARGEST_BYTES


def test_the_number_of_jobs_of_all_clients_is_bounded() -> None:
    jobs = Jobs()
    for number in range(MAX_JOBS_ALL // MAX_QUEUE):
        _submit(jobs, f"absent {number}", MAX_QUEUE, request())
    for job in jobs.unfinished():
        jobs.finish(job, None)
    _submit(jobs, "here", 2, request(), present=("here",))
    assert len(jobs.of("absent 0")) == MAX_QUEUE - 2
    assert len(jobs.of("here")) == 2


def test_clients_take_turns_each_with_its_jobs_in_their_order() -> None:
    jobs = Jobs()
    small = request()
    many = _submit(jobs, "many", 3, small)
    few, one = _submit(jobs, "few", 2, small), _submit(jobs, "one", 1, small)
    wanted = [many[0], few[0], one[0], many[1], few[1], many[2]]
    assert sorted((*many, *few, *one), key=lambda job: jobs.find(job.split()[0], job).position) == wanted
    ran = []
    while (job := jobs.take()) is not None:
        ran.append(job.id)
        if len(ran) == 4:
            # Whoever had a turn the longest ago comes first, and a newcomer before all.
            wanted[4:] = [*_submit(jobs, "new", 1, small), few[1], *_submit(jobs, "one", 1, small), many[2]]
    assert ran == wanted
