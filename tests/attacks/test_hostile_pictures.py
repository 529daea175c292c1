"""A client that has the token and sends pictures that are not those it spoke of."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from protocol.errors import ErrorCode
from protocol.images import HEADER, MAGIC, MAX_FRAME, frames
from protocol.limits import CHUNK
from protocol.messages import Cancel, Cancelled, Generate, ListModels, Models, Queued, Refused, Running, build
from tests.server.harness import Backend, Client, frames_of, new_id, pixels_of, request, with_pictures

ECHO = with_pictures()
FIRST = ECHO.inputs[0]
FIRST_BYTES = FIRST.width * FIRST.height * 4


@pytest.fixture
def client(backend: Backend) -> Iterator[Client]:
    """A client that, whatever it did, is served at the end, pictures included."""
    with backend.client() as client:
        yield client
        _nothing_more(client)
        job = client.generate_from(ECHO)
        assert [layer.pixels for layer in client.result(job).layers] == pixels_of(ECHO)


def _nothing_more(client: Client) -> None:
    client.send(ListModels())
    client.expect(Models)


def _refused(client: Client, job: str | None, code: ErrorCode) -> None:
    refused = client.expect(Refused)
    assert (refused.job, refused.error.code) == (job, code), refused
    assert refused.error.message and refused.error.hint


def _frame(job: str, index: int, width: int, height: int, offset: int, total: int, size: int) -> bytes:
    return HEADER.pack(MAGIC, bytes.fromhex(job), index, 0, width, height, offset, total) + bytes(size)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ((1, 600, 500, 0, FIRST_BYTES, 1024), ErrorCode.BAD_MESSAGE),
        ((0, 500, 600, 0, FIRST_BYTES, 1024), ErrorCode.BAD_MESSAGE),
        ((0, 2048, 2048, 0, 2048 * 2048 * 4, CHUNK), ErrorCode.BAD_MESSAGE),
        ((0, 4, 4, 0, 64, 64), ErrorCode.BAD_MESSAGE),
        ((0, 600, 500, 1024, FIRST_BYTES, 1024), ErrorCode.BAD_MESSAGE),
        ((0, 600, 500, 0, FIRST_BYTES + 4, 1024), ErrorCode.BAD_MESSAGE),
        ((0, 600, 500, FIRST_BYTES - 4, FIRST_BYTES, 8), ErrorCode.BAD_MESSAGE),
        ((0, 600, 500, 0, FIRST_BYTES, 0), ErrorCode.BAD_MESSAGE),
        ((0, 65536, 65536, 0, 0, 16), ErrorCode.TOO_LARGE),
        ((65535, 600, 500, 0, FIRST_BYTES, 16), ErrorCode.TOO_LARGE),
    ],
    ids=[
        "another index",
        "another shape",
        "larger than announced",
        "smaller than announced",
        "from the middle",
        "another total",
        "beyond the end",
        "no pixels",
        "size overflows",
        "largest index",
    ],
)
def test_a_first_frame_that_does_not_fit(client: Client, fields: tuple[int, ...], code: ErrorCode) -> None:
    job = new_id()
    client.send(Generate(job, ECHO))
    client.send(_frame(job, *fields))
    _refused(client, job, code)
    # What the client had under way already is no reason to complain again, and the job is not queued by it.
    for frame in frames_of(job, ECHO):
        client.send(frame)


def test_pictures_in_another_order(client: Client) -> None:
    job = new_id()
    client.send(Generate(job, ECHO))
    for frame in reversed(frames_of(job, ECHO)):
        client.send(frame)
    _refused(client, job, ErrorCode.BAD_MESSAGE)


def test_a_frame_twice(client: Client) -> None:
    job = new_id()
    client.send(Generate(job, ECHO))
    first, *others = frames_of(job, ECHO)
    for frame in (first, first, *others):
        client.send(frame)
    _refused(client, job, ErrorCode.BAD_MESSAGE)


def test_more_pictures_than_announced(client: Client) -> None:
    job = client.generate_from(ECHO)
    client.send(next(frames(job, 3, 2, 2, bytes(16))))
    refused = client.until(Refused)
    assert (refused.job, refused.error.code) == (None, ErrorCode.BAD_MESSAGE)
    client.result(job)


def test_pictures_of_a_job_that_takes_none(client: Client) -> None:
    job = client.generate("wait")
    client.until(Running, job)
    client.send(next(frames(job, 0, 2, 2, bytes(16))))
    _refused(client, None, ErrorCode.BAD_MESSAGE)
    client.send(Cancel(job))
    client.until(Cancelled, job)


def test_a_stray_picture_between_others_changes_nothing(client: Client) -> None:
    job, stray = new_id(), new_id()
    client.send(Generate(job, ECHO))
    first, *others = frames_of(job, ECHO)
    client.send(first)
    for frame in (next(frames(stray, 0, 2, 2, bytes(16))), b"no frame"):
        client.send(frame)
        _refused(client, None, ErrorCode.BAD_MESSAGE)
    for frame in others:
        client.send(frame)
    assert client.expect(Queued) == Queued(job, 0)
    assert [layer.pixels for layer in client.result(job).layers] == pixels_of(ECHO)


def test_somebody_elses_job(backend: Backend, client: Client) -> None:
    with backend.client() as owner:
        job = new_id()
        owner.send(Generate(job, ECHO))
        first, *others = frames_of(job, ECHO)
        owner.send(first)
        _nothing_more(owner)
        client.send(others[0])
        _refused(client, None, ErrorCode.BAD_MESSAGE)
        for frame in others:
            owner.send(frame)
        assert [layer.pixels for layer in owner.result(job).layers] == pixels_of(ECHO)


def test_a_job_before_the_pictures_of_the_one_before(client: Client) -> None:
    halved, job = new_id(), new_id()
    client.send(Generate(halved, ECHO))
    left = frames_of(halved, ECHO)
    client.send(left.pop(0))
    client.send(Generate(job, ECHO))
    _refused(client, halved, ErrorCode.BAD_MESSAGE)
    for frame in (*left, *frames_of(job, ECHO)):
        client.send(frame)
    assert client.expect(Queued) == Queued(job, 0)
    client.result(job)
    client.send(Cancel(halved))
    _refused(client, halved, ErrorCode.UNKNOWN_JOB)


def test_the_same_job_again_and_again_without_its_pictures(client: Client) -> None:
    job = new_id()
    client.send(Generate(job, ECHO))
    for _ in range(200):
        client.send(Generate(job, ECHO))
        _refused(client, job, ErrorCode.BAD_MESSAGE)
    for frame in frames_of(job, ECHO):
        client.send(frame)
    assert client.expect(Queued) == Queued(job, 0)
    client.result(job)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"operation": "object"}, ErrorCode.INVALID_REQUEST),
        ({"inputs": []}, ErrorCode.INVALID_REQUEST),
        ({"inputs": [{"source": "blend", "width": 1, "height": 1}] * 2}, ErrorCode.INVALID_REQUEST),
        ({"inputs": [{"source": "blend", "width": 0, "height": 1}]}, ErrorCode.INVALID_REQUEST),
        ({"inputs": [{"source": "blend", "width": 2049, "height": 1}]}, ErrorCode.INVALID_REQUEST),
        ({"inputs": [{"source": "blend", "width": 1, "height": 1}] * 2000}, ErrorCode.INVALID_REQUEST),
        ({"inputs": [{"source": "file:///etc/passwd", "width": 1, "height": 1}]}, ErrorCode.BAD_MESSAGE),
        ({"inputs": [{"source": "blend", "width": 1, "height": 1, "path": "/etc/passwd"}]}, ErrorCode.BAD_MESSAGE),
        ({"inputs": [{"source": "blend", "width": 1}]}, ErrorCode.BAD_MESSAGE),
        ({"inputs": [None]}, ErrorCode.BAD_MESSAGE),
        ({"inputs": {"blend": [1, 1]}}, ErrorCode.BAD_MESSAGE),
    ],
    ids=lambda value: str(value)[:60],
)
def test_inputs_that_an_operation_does_not_take(client: Client, changes: dict[str, Any], code: ErrorCode) -> None:
    job = new_id()
    message = json.loads(build(Generate(job, ECHO)))
    message["request"].update(changes)
    client.send(json.dumps(message))
    _refused(client, job, code)
    for frame in frames_of(job, ECHO):
        client.send(frame)


def test_a_picture_over_the_transports_limit_ends_the_upload(backend: Backend) -> None:
    with backend.client() as client:
        job = new_id()
        client.send(Generate(job, ECHO))
        frame = _frame(job, 0, 600, 500, 0, FIRST_BYTES, CHUNK + 1)
        assert len(frame) == MAX_FRAME + 1
        client.send(frame)
        with pytest.raises(ConnectionClosed):
            client.receive()
        assert client.websocket.close_code == 1009
    with backend.client(client.id) as client:
        assert client.welcome.jobs == ()


def test_a_connection_cut_in_the_middle_of_the_pictures(backend: Backend) -> None:
    with backend.client() as client:
        job = new_id()
        client.send(Generate(job, ECHO))
        client.send(frames_of(job, ECHO)[0])
        _nothing_more(client)
        client.websocket.socket.shutdown(socket.SHUT_RDWR)
    with backend.client(client.id) as client:
        assert client.welcome.jobs == ()
        client.send(Cancel(job))
        _refused(client, job, ErrorCode.UNKNOWN_JOB)
        assert client.result(client.generate()).request == request()
