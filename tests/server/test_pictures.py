"""Pictures that come with a request, from the client to the worker."""

from __future__ import annotations

import pytest

from protocol.errors import ErrorCode
from protocol.limits import MAX_HELD
from protocol.messages import (
    Cancel,
    CancelAll,
    Cancelled,
    Done,
    Failed,
    Generate,
    ListModels,
    Models,
    Queued,
    Refused,
    Running,
    Started,
)
from protocol.request import Input, Source

from . import fake_worker
from .harness import PICTURES, Backend, Client, frames_of, new_id, pixels_of, request, with_pictures

ECHO = with_pictures()
FRAMES = 4
"""Of its pictures: the first one takes two."""


def _begin(client: Client, sent: int, what=ECHO) -> tuple[str, list[bytes]]:
    """Send a job with the first frames of its pictures; return its id and the frames that are missing."""
    job = new_id()
    client.send(Generate(job, what))
    frames = frames_of(job, what)
    for frame in frames[:sent]:
        client.send(frame)
    return job, frames[sent:]


def _nothing_more(client: Client) -> None:
    """Nothing has been sent but what was expected: the answer to this question comes next."""
    client.send(ListModels())
    client.expect(Models)


def test_pictures_reach_the_worker_unchanged_and_in_order(backend: Backend) -> None:
    with backend.client() as client:
        job, missing = _begin(client, 0)
        assert len(missing) == FRAMES
        for frame in missing:
            client.send(frame)
        assert client.expect(Queued) == Queued(job, 0)
        assert client.expect(Started) == Started(job)
        result = client.result(job)
        assert result.layers == fake_worker.echo(ECHO, pixels_of(ECHO)).layers


def test_a_job_is_queued_when_its_last_picture_has_come(backend: Backend) -> None:
    with backend.client() as client:
        job, missing = _begin(client, FRAMES - 1)
        _nothing_more(client)
        client.send(missing[0])
        assert client.expect(Queued) == Queued(job, 0)
        client.result(job)


def test_a_job_takes_its_place_in_the_queue_when_it_is_complete(backend: Backend) -> None:
    with backend.client() as client, backend.client() as other:
        job, missing = _begin(client, 1)
        _nothing_more(client)
        waiting = other.generate("wait")
        other.until(Running, waiting)
        for frame in missing:
            client.send(frame)
        assert client.expect(Queued) == Queued(job, 1)
        other.send(Cancel(waiting))
        client.result(job)


def test_the_largest_pictures_arrive(backend: Backend) -> None:
    what = with_pictures(inputs=tuple(Input(picture.source, 2048, 2048) for picture in PICTURES))
    with backend.client() as client:
        job = client.generate_from(what)
        assert [layer.pixels for layer in client.result(job).layers] == pixels_of(what)


def test_jobs_with_pictures_follow_each_other(backend: Backend) -> None:
    with backend.client() as client:
        jobs = [client.generate_from(ECHO, shade) for shade in range(3)]
        for shade, job in enumerate(jobs):
            assert [layer.pixels for layer in client.result(job).layers] == pixels_of(ECHO, shade)


def test_pictures_go_to_the_next_worker_when_the_first_one_was_dead(own_backend: Backend) -> None:
    with own_backend.client() as client:
        client.result(client.generate())
        job = client.generate_from(with_pictures("vanish"))
        assert client.until(Failed).job == job
        again = client.generate_from(ECHO)
        assert [layer.pixels for layer in client.result(again).layers] == pixels_of(ECHO)


def test_cancel_in_the_middle_of_the_pictures(backend: Backend) -> None:
    with backend.client() as client:
        job, missing = _begin(client, 2)
        client.send(Cancel(job))
        assert client.expect(Cancelled) == Cancelled(job)
        for frame in missing:
            client.send(frame)
        _nothing_more(client)


def test_cancel_all_in_the_middle_of_the_pictures(backend: Backend) -> None:
    with backend.client() as client:
        waiting = client.generate("wait")
        job, missing = _begin(client, 2)
        client.until(Running, waiting)
        client.send(CancelAll())
        assert {client.expect(Cancelled).job for _ in range(2)} == {waiting, job}
        for frame in missing:
            client.send(frame)
        _nothing_more(client)


def test_what_is_refused_is_refused_before_its_pictures_have_come(backend: Backend) -> None:
    with backend.client() as client:
        job = client.generate_from(with_pictures(model="missing"))
        refused = client.expect(Refused)
        assert (refused.job, refused.error.code) == (job, ErrorCode.UNKNOWN_MODEL)
        _nothing_more(client)


def test_generate_again_with_equal_pictures_is_answered_with_the_present_state(backend: Backend) -> None:
    what = with_pictures("wait")
    with backend.client() as client:
        job = client.generate_from(what)
        client.until(Running, job)
        for message in (Generate(job, what), *frames_of(job, what)):
            client.send(message)
        assert client.expect(Started) == Started(job)
        client.until(Running, job)
        client.send(Cancel(job))
        client.until(Cancelled, job)
        for message in (Generate(job, what), *frames_of(job, what)):
            client.send(message)
        assert client.expect(Cancelled) == Cancelled(job)


def test_generate_again_with_other_pictures_is_a_duplicate(backend: Backend) -> None:
    with backend.client() as client:
        job = client.generate_from(ECHO)
        result = client.result(job)
        for message in (Generate(job, ECHO), *frames_of(job, ECHO, shade=1)):
            client.send(message)
        refused = client.expect(Refused)
        assert (refused.job, refused.error.code) == (job, ErrorCode.DUPLICATE_JOB)
        for message in (Generate(job, ECHO), *frames_of(job, ECHO)):
            client.send(message)
        assert client.result(job) == result


def test_a_job_whose_pictures_had_not_all_come_is_sent_anew(backend: Backend) -> None:
    with backend.client() as client:
        job, _ = _begin(client, 2)
        _nothing_more(client)
        with backend.client(client.id) as newer:
            assert newer.welcome.jobs == ()
            for message in (Generate(job, ECHO), *frames_of(job, ECHO)):
                newer.send(message)
            assert newer.expect(Queued) == Queued(job, 0)
            assert [layer.pixels for layer in newer.result(job).layers] == pixels_of(ECHO)


def test_stopping_fails_a_job_whose_pictures_are_on_their_way(own_backend: Backend) -> None:
    with own_backend.client() as client:
        job, _ = _begin(client, 1)
        _nothing_more(client)
        own_backend.stop()
        failed = client.expect(Failed)
        assert (failed.job, failed.error.code) == (job, ErrorCode.CANCELLED_BY_SHUTDOWN)


def test_memory_is_counted_before_the_pictures_have_come_and_freed_with_the_connection(backend: Backend) -> None:
    largest = with_pictures("wait", (Input(Source.BACKGROUND, 2048, 2048), Input(Source.BLEND, 2048, 2048)))
    side, batch = 2048, 16
    count = MAX_HELD // (side * side * 4 * batch)
    with backend.client() as client:
        jobs = [client.generate("wait", side=side, batch=batch) for _ in range(count - 1)]
        halved = new_id()
        client.send(Generate(halved, with_pictures("wait", largest.inputs, side=side, batch=batch - 2)))
        one_more = new_id()
        client.send(Generate(one_more, request(side=64)))
        # The pictures that were awaited fill the rest; the next job ends their coming and has their room.
        refused = client.until(Refused)
        assert (refused.job, refused.error.code) == (halved, ErrorCode.BAD_MESSAGE)
        client.until(Queued, one_more)
        extra = new_id()
        client.send(Generate(extra, with_pictures("wait", largest.inputs, side=side, batch=batch - 1)))
        refused = client.until(Refused)
        assert (refused.job, refused.error.code) == (extra, ErrorCode.QUEUE_FULL)
        client.send(CancelAll())
        assert {client.until(Cancelled).job for _ in [*jobs, one_more]} == {*jobs, one_more}


@pytest.mark.parametrize("prompt", ["die", "garbage"])
def test_a_worker_that_ends_with_pictures_fails_its_job_only(own_backend: Backend, prompt: str) -> None:
    with own_backend.client() as client:
        job = client.generate_from(with_pictures(prompt))
        following = client.generate_from(ECHO)
        failed = client.until(Failed)
        assert (failed.job, failed.error.code) == (job, ErrorCode.WORKER_DIED)
        assert isinstance(client.until(Done, following), Done)
