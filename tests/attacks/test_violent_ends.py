"""Connections and processes that end at the worst moment."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from backend.server import supervisor
from protocol import VERSION
from protocol.errors import ErrorCode
from protocol.images import Image
from protocol.messages import Acknowledge, Cancel, Cancelled, Done, Failed, Hello, Running, Started, State, build
from tests.server import fake_worker
from tests.server.harness import TIMEOUT, Backend, new_id, request


def test_a_connection_cut_in_the_middle_of_a_result(backend: Backend) -> None:
    with backend.client() as client:
        job = client.generate(side=2048, batch=2)
        client.until(Done, job)
        assert isinstance(client.receive(), Image)
        client.websocket.recv(TIMEOUT)
        client.websocket.socket.shutdown(socket.SHUT_RDWR)
    with backend.client(client.id) as client:
        assert [(status.job, status.state) for status in client.welcome.jobs] == [(job, State.DONE)]
        assert client.result(job).layers == fake_worker.layer_set(request(side=2048, batch=2)).layers
        client.send(Acknowledge(job))
    with backend.client(client.id) as client:
        assert client.welcome.jobs == ()


def test_a_connection_cut_in_the_middle_of_a_job(backend: Backend) -> None:
    with backend.client() as client:
        job = client.generate("wait")
        client.until(Running, job)
        client.websocket.socket.shutdown(socket.SHUT_RDWR)
    with backend.client(client.id) as client:
        client.send(Cancel(job))
        assert client.until(Cancelled).job == job


def test_a_connection_cut_before_the_greeting(backend: Backend) -> None:
    with backend.connect() as websocket:
        websocket.socket.shutdown(socket.SHUT_RDWR)
    with backend.connect() as websocket:
        websocket.send(build(Hello((VERSION,), "test", new_id())))
        websocket.socket.shutdown(socket.SHUT_RDWR)
    with backend.client() as client:
        assert client.result(client.generate()).request == request()


@pytest.mark.parametrize("prompt", ["die", "exit", "garbage"])
def test_a_worker_that_ends_fails_its_job_only(own_backend: Backend, prompt: str) -> None:
    with own_backend.client() as client:
        job = client.generate(prompt)
        following = client.generate()
        failed = client.until(Failed)
        assert (failed.job, failed.error.code) == (job, ErrorCode.WORKER_DIED)
        assert client.result(following).request == request()


def test_a_worker_killed_in_the_middle_of_a_job(own_backend: Backend) -> None:
    with own_backend.client() as client:
        job = client.generate("wait")
        client.until(Running, job)
        first = own_backend.worker_pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        failed = client.until(Failed)
        assert (failed.job, failed.error.code) == (job, ErrorCode.WORKER_DIED)
        assert "signal 9" in failed.error.message
        result = client.result(client.generate())
        assert result.made_with["worker"] == str(own_backend.worker_pid) != str(first)


def test_a_worker_that_died_while_it_idled_costs_no_job(own_backend: Backend) -> None:
    with own_backend.client() as client:
        first = client.result(client.generate()).made_with["worker"]
        # Stopped, it can neither take the job nor seem dead, which is how a worker looks that dies at this moment.
        os.kill(int(first), signal.SIGSTOP)
        job = client.generate()
        client.until(Started, job)
        os.kill(int(first), signal.SIGKILL)
        while not isinstance(message := client.receive(), Done | Failed):
            pass
        assert isinstance(message, Done) and message.layer_set.made_with["worker"] != first


def test_a_job_that_ends_every_worker_is_given_up(own_backend: Backend) -> None:
    with own_backend.client() as client:
        client.result(client.generate())
        job, following = client.generate("vanish"), client.generate(seed=2)
        failed = client.until(Failed)
        assert (failed.job, failed.error.code) == (job, ErrorCode.WORKER_DIED)
        assert "exit code 4" in failed.error.message
        assert client.result(following).request.seed == 2


def test_a_worker_that_does_not_stop_is_killed(own_backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PATIENCE", 0)
    with own_backend.client() as client:
        job = client.generate("deaf")
        client.until(Running, job)
        following = client.generate(seed=3)
        client.send(Cancel(job))
        assert client.until(Cancelled).job == job
        assert client.result(following).request.seed == 3


def test_a_cancelled_job_whose_worker_dies_stays_cancelled(own_backend: Backend) -> None:
    with own_backend.client() as client:
        job = client.generate("wait")
        client.until(Running, job)
        worker = own_backend.worker_pid
        assert worker is not None
        os.kill(worker, signal.SIGSTOP)
        client.send(Cancel(job))
        assert client.until(Cancelled).job == job
        os.kill(worker, signal.SIGKILL)
        assert client.result(client.generate(seed=8)).request.seed == 8
    with own_backend.client(client.id) as client:
        assert [status.state for status in client.welcome.jobs] == [State.CANCELLED, State.DONE]


@pytest.mark.parametrize(
    "error", [OSError(12, "Cannot allocate memory"), RuntimeError("Cannot allocate memory")], ids=["system", "Python"]
)
def test_a_worker_that_cannot_be_started_fails_the_job(
    own_backend: Backend, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def no_process(*_: object) -> None:
        raise error

    monkeypatch.setattr("multiprocessing.context.SpawnProcess._Popen", no_process)
    with own_backend.client() as client:
        job = client.generate()
        failed = client.until(Failed)
        assert (failed.job, failed.error.code) == (job, ErrorCode.WORKER_DIED)
        assert "Cannot allocate memory" in failed.error.message
        monkeypatch.undo()
        assert client.result(client.generate()).request == request()
