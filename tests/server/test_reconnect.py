"""Jobs belong to the client, connections come and go."""

from __future__ import annotations

import pytest
from websockets.exceptions import ConnectionClosed

from backend.server.hub import REPLACED
from protocol.messages import Acknowledge, Cancel, Cancelled, Failed, ListModels, Models, Queued, Running, State

from .harness import MODEL, Backend, request


def test_a_client_without_jobs_in_between_finds_its_jobs_again(backend: Backend) -> None:
    with backend.client() as client:
        running = client.generate("wait")
        client.until(Running, running)
        waiting = client.generate(seed=9)
        client.until(Queued, waiting)
    with backend.client(client.id) as client:
        assert [(status.job, status.state, status.position) for status in client.welcome.jobs] == [
            (running, State.RUNNING, 0),
            (waiting, State.QUEUED, 1),
        ]
        client.send(Cancel(running))
        client.until(Cancelled, running)
        assert client.result(waiting).request.seed == 9


def test_what_ended_while_nobody_listened_is_sent_at_the_next_greeting(backend: Backend) -> None:
    with backend.client() as client:
        painted, failed = client.generate(seed=4), client.generate("fail")
        # Behind these, so that both have ended once it runs.
        last = client.generate("wait")
        client.until(Running, last)
        client.send(Cancel(last))
        client.until(Cancelled, last)
    with backend.client(client.id) as client:
        states = [(status.job, status.state) for status in client.welcome.jobs]
        assert states == [(painted, State.DONE), (failed, State.FAILED), (last, State.CANCELLED)]
        # Short messages overtake images, so the failure may come first.
        assert client.until(Failed).job == failed
        assert client.expect(Cancelled).job == last
        assert client.result(painted).request == request(seed=4)
        for job in (painted, failed, last):
            client.send(Acknowledge(job))
    with backend.client(client.id) as client:
        assert client.welcome.jobs == ()


def test_jobs_of_other_clients_are_not_told(backend: Backend) -> None:
    with backend.client() as client:
        job = client.generate()
        client.result(job)
        with backend.client() as other:
            assert other.welcome.jobs == ()
            other.send(Acknowledge(job))
        client.send(Acknowledge(job))
        client.send(ListModels())
        assert client.expect(Models).models == (MODEL,)


def test_a_newer_connection_takes_the_place_of_the_older(backend: Backend) -> None:
    with backend.client() as old:
        job = old.generate("wait")
        old.until(Running, job)
        with backend.client(old.id) as new:
            assert [status.job for status in new.welcome.jobs] == [job]
            with pytest.raises(ConnectionClosed):
                old.receive()
            assert old.websocket.close_code == REPLACED
            # The end of the old connection must not take the new one's messages away.
            new.send(Cancel(job))
            assert new.until(Cancelled).job == job
