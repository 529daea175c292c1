"""A client that has the token but does not keep to the protocol."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from backend.models.bundles import BUNDLES
from backend.server import app
from protocol import VERSION
from protocol.errors import ErrorCode
from protocol.images import HEADER, MAGIC, MAX_FRAME, frames
from protocol.limits import MAX_FILES, MAX_NAME, MAX_PROMPT, MAX_QUEUE, MAX_TEXT
from protocol.messages import (
    Acknowledge,
    Cancel,
    CancelAll,
    Cancelled,
    Generate,
    Hello,
    Install,
    ListModels,
    Message,
    Models,
    Queued,
    Refused,
    Running,
    Welcome,
    build,
    parse,
)
from tests.server.harness import MODEL, TIMEOUT, Backend, Client, new_id, request


@pytest.fixture
def client(backend: Backend) -> Iterator[Client]:
    """A client which at the end must still be served, whatever it did."""
    with backend.client() as client:
        yield client
        client.send(ListModels())
        assert client.until(Models).models == (MODEL,)


def _refused(client: Client, message: Message | str | bytes, code: ErrorCode) -> Refused:
    client.send(message)
    refused = client.until(Refused)
    assert refused.error.code is code, refused
    assert refused.error.message and refused.error.hint
    return refused


def _generate(**changes: Any) -> tuple[str, str]:
    """Return a job id and the JSON of its request with some values changed, unchecked."""
    job = new_id()
    message = json.loads(build(Generate(job, request())))
    message["request"].update(changes)
    return job, json.dumps(message)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "null",
        "{}",
        '{"type":null}',
        '{"type":"format_disk"}',
        '{"type":"cancel_all","really":true}',
        '{"type":"cancel_all","type":"list_models"}',
        '{"type":"cancel"}',
        '{"type":"cancel","job":1}',
        '{"type":"cancel","job":"../../etc/passwd"}',
        "[" * 100_000,
        '{"a":' * 20_000,
    ],
    ids=lambda text: text[:40],
)
def test_text_that_is_no_message(client: Client, text: str) -> None:
    _refused(client, text, ErrorCode.BAD_MESSAGE)


def test_a_message_of_the_server(client: Client) -> None:
    _refused(client, Queued(new_id(), 0), ErrorCode.BAD_MESSAGE)


def test_a_second_greeting(client: Client) -> None:
    _refused(client, Hello((VERSION,), "again", client.id), ErrorCode.BAD_MESSAGE)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none(client: Client, number: str) -> None:
    _, text = _generate(cfg=0.125)
    _refused(client, text.replace("0.125", number), ErrorCode.BAD_MESSAGE)


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 0},
        {"height": 0},
        {"width": 63},
        {"height": 2049},
        {"width": -64},
        {"width": 10**30},
        {"batch": 0},
        {"batch": 17},
        {"steps": 0},
        {"steps": 151},
        {"cfg": -0.1},
        {"cfg": 30.1},
        {"seed": -1},
        {"seed": 2**32},
        {"prompt": "a" * (MAX_PROMPT + 1)},
        {"negative": "a" * (MAX_PROMPT + 1)},
        {"prompt": "\x00"},
        {"prompt": "\ud800"},
        {"model": ""},
        {"model": "../../home/user/evil.ckpt"},
        {"model": "C:\\evil.ckpt"},
        {"weight": 2.1},
        {"stop_at": -0.1},
        {"strength": 1.1},
        {"blend_prompt": "a" * (MAX_PROMPT + 1)},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_values_outside_their_range(client: Client, changes: dict[str, Any]) -> None:
    job, text = _generate(**changes)
    assert _refused(client, text, ErrorCode.INVALID_REQUEST).job == job


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 64.0},
        {"width": "64"},
        {"width": True},
        {"prompt": None},
        {"cfg": "5"},
        {"sampler": "lms"},
        {"url": "http://example.com"},
    ],
    ids=str,
)
def test_values_of_another_type_and_unknown_fields(client: Client, changes: dict[str, Any]) -> None:
    job, text = _generate(**changes)
    assert _refused(client, text, ErrorCode.BAD_MESSAGE).job == job


def test_unknown_model(client: Client) -> None:
    job = new_id()
    refused = _refused(client, Generate(job, request(model="missing")), ErrorCode.UNKNOWN_MODEL)
    assert refused.job == job and "missing" in refused.error.message


@pytest.mark.parametrize("kind", ["install", "remove_files"])
@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["../../../etc/passwd"], ErrorCode.UNKNOWN_MODEL),
        (["/etc/passwd"], ErrorCode.UNKNOWN_MODEL),
        (["."], ErrorCode.UNKNOWN_MODEL),
        (["*"], ErrorCode.UNKNOWN_MODEL),
        ([""], ErrorCode.BAD_MESSAGE),
        (["a\0b"], ErrorCode.BAD_MESSAGE),
        (["\ud800"], ErrorCode.BAD_MESSAGE),
        (["x" * (MAX_NAME + 1)], ErrorCode.BAD_MESSAGE),
        ("passwd", ErrorCode.BAD_MESSAGE),
        ([["passwd"]], ErrorCode.BAD_MESSAGE),
        (None, ErrorCode.BAD_MESSAGE),
    ],
    ids=repr,
)
def test_files_that_are_none_of_the_catalogue(client: Client, kind: str, names: Any, code: ErrorCode) -> None:
    _refused(client, json.dumps({"type": kind, "names": names}), code)


@pytest.mark.parametrize("count", [0, MAX_FILES + 1])
def test_an_installation_of_nothing_or_too_much(client: Client, count: int) -> None:
    _refused(client, Install((BUNDLES[0].name,) * count), ErrorCode.INVALID_REQUEST)


def test_jobs_that_do_not_exist(client: Client) -> None:
    for message in (Cancel(new_id()), Acknowledge(new_id())):
        assert _refused(client, message, ErrorCode.UNKNOWN_JOB).job == message.job


def test_somebody_elses_job(backend: Backend, client: Client) -> None:
    with backend.client() as owner:
        job = owner.generate("wait")
        owner.until(Running, job)
        _refused(client, Cancel(job), ErrorCode.UNKNOWN_JOB)
        client.send(CancelAll())
        client.send(ListModels())
        client.expect(Models)
        owner.send(Cancel(job))
        assert owner.until(Cancelled).job == job


def test_another_request_under_a_known_id(client: Client) -> None:
    job = client.generate()
    refused = _refused(client, Generate(job, request(seed=2)), ErrorCode.DUPLICATE_JOB)
    assert refused.job == job


def test_a_result_acknowledged_twice(client: Client) -> None:
    job = client.generate()
    client.result(job)
    client.send(Acknowledge(job))
    assert _refused(client, Acknowledge(job), ErrorCode.UNKNOWN_JOB).job == job


def test_a_full_queue(client: Client) -> None:
    jobs = [client.generate("wait") for _ in range(MAX_QUEUE)]
    extra = new_id()
    assert _refused(client, Generate(extra, request()), ErrorCode.QUEUE_FULL).job == extra
    client.send(CancelAll())
    assert {client.until(Cancelled).job for _ in jobs} == set(jobs)


def test_more_pixels_than_the_server_promises_to_hold(client: Client) -> None:
    jobs = [client.generate("wait", side=2048, batch=16) for _ in range(8)]
    extra = new_id()
    assert _refused(client, Generate(extra, request()), ErrorCode.QUEUE_FULL).job == extra
    client.send(CancelAll())
    assert {client.until(Cancelled).job for _ in jobs} == set(jobs)


def test_a_text_over_the_limit(client: Client) -> None:
    _refused(client, build(CancelAll()).replace("}", " " * MAX_TEXT + "}"), ErrorCode.TOO_LARGE)


FRAME = next(frames("0" * 32, 0, 2, 2, bytes(16)))


def _frame(size: int, *fields: int) -> bytes:
    return HEADER.pack(MAGIC, bytes(16), *fields) + bytes(size)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        FRAME[:39],
        FRAME[:40],
        FRAME + b"\x00",
        b"PNG1" + FRAME[4:],
        _frame(16, 0, 1, 2, 2, 0, 16),
        _frame(16, 0, 0, 2, 2, 0, 17),
        _frame(16, 0, 0, 2, 2, 4, 16),
        _frame(16, 0, 0, 0, 2, 0, 0),
        _frame(16, 0, 0, 65536, 65536, 0, 0),
        _frame(16, 0, 0, 2**32 - 1, 2**32 - 1, 0, 2**32 - 1),
        FRAME,
    ],
    ids=[
        "empty",
        "truncated header",
        "no pixels",
        "more than announced",
        "another format",
        "reserved not zero",
        "total is not the size",
        "begins in the middle",
        "no width",
        "size overflows",
        "largest numbers",
        "nobody asked for it",
    ],
)
def test_binary_messages_that_nobody_waits_for(client: Client, frame: bytes) -> None:
    assert _refused(client, frame, ErrorCode.BAD_MESSAGE).job is None


@pytest.mark.parametrize("message", [b"\x00" * (MAX_FRAME + 1), "x" * (MAX_FRAME + 1)], ids=["binary", "text"])
def test_a_message_over_the_transports_limit_closes_the_connection(backend: Backend, message: str | bytes) -> None:
    with backend.client() as client:
        client.send(message)
        with pytest.raises(ConnectionClosed):
            client.receive()
        assert client.websocket.close_code == 1009
    with backend.client(client.id) as client:
        assert client.welcome.jobs == ()


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (build(Hello((1, 2, VERSION + 1), "old", new_id())), ErrorCode.UNKNOWN_VERSION),
        (build(Hello((), "mute", new_id())), ErrorCode.UNKNOWN_VERSION),
        (build(ListModels()), ErrorCode.BAD_MESSAGE),
        ('{"type":"hello","versions":[2],"client":"x","client_id":"x"}', ErrorCode.BAD_MESSAGE),
        ('{"type":"hello","versions":[2],"client":"","client_id":"' + "0" * 32 + '"}', ErrorCode.BAD_MESSAGE),
        (FRAME, ErrorCode.BAD_MESSAGE),
    ],
    ids=["old client", "no version", "no greeting", "bad id", "no name", "image"],
)
def test_first_messages_that_are_refused(backend: Backend, first: str | bytes, code: ErrorCode) -> None:
    with backend.connect() as websocket:
        websocket.send(first)
        refused = parse(str(websocket.recv(TIMEOUT)))
        assert isinstance(refused, Refused) and refused.error.code is code
        with pytest.raises(ConnectionClosed):
            websocket.recv(TIMEOUT)
        assert websocket.close_code == 1008


def test_a_greeting_that_does_not_come(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "GREETING_TIMEOUT", 0)
    with backend.connect() as websocket:
        refused = parse(str(websocket.recv(TIMEOUT)))
        assert isinstance(refused, Refused) and "greet" in refused.error.message
        with pytest.raises(ConnectionClosed):
            websocket.recv(TIMEOUT)
        assert websocket.close_code == 1008


def test_a_client_that_never_reads_does_not_stop_the_others(backend: Backend) -> None:
    with backend.connect() as silent, backend.client() as client:
        silent.send(build(Hello((VERSION,), "silent", new_id())))
        silent.send(build(Generate(new_id(), request("paint", side=2048, batch=4))))
        job = client.generate()
        assert client.result(job).request == request()
        # Not closed politely: that would wait for the images.
        silent.socket.shutdown(socket.SHUT_RDWR)


def test_the_highest_common_version_is_spoken(backend: Backend) -> None:
    with backend.connect() as websocket:
        websocket.send(build(Hello((1, VERSION, 99), "new", new_id())))
        welcome = parse(str(websocket.recv(TIMEOUT)))
        assert isinstance(welcome, Welcome) and welcome.version == VERSION
