"""What a client is told from `generate` to `acknowledge`."""

from __future__ import annotations

import asyncio
import multiprocessing.connection
import os
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from backend.models.library import Library
from backend.server import supervisor
from backend.server.diagnostics import Recorder
from backend.server.hub import Hub
from backend.server.incoming import Incoming
from protocol import VERSION
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.job import ModelInfo
from protocol.messages import (
    Acknowledge,
    Cancel,
    CancelAll,
    Cancelled,
    Diagnose,
    Diagnostics,
    Done,
    Failed,
    Generate,
    ListModels,
    Models,
    Preview,
    Queued,
    Refused,
    Running,
    Started,
    State,
    Unload,
    Unloaded,
    build,
)
from protocol.request import Operation, Request

from . import fake_worker
from .harness import MODEL, TIMEOUT, Backend, Client, new_id, request


def test_welcome_names_version_and_models(backend: Backend) -> None:
    with backend.client() as client:
        assert client.welcome.version == VERSION
        assert client.welcome.models == (MODEL,)
        assert client.welcome.jobs == ()


def test_a_job_is_queued_started_running_done(backend: Backend) -> None:
    with backend.client() as client:
        job = client.generate(batch=2)
        assert client.expect(Queued) == Queued(job, 0)
        assert client.expect(Started) == Started(job)
        # The fake worker reports 0.25, 0.125, 0.5: what would move backwards is not passed on.
        assert [client.expect(Running).progress.fraction for _ in range(2)] == [0.25, 0.5]
        result = client.result(job)
        expected = fake_worker.layer_set(request(batch=2))
        assert result.layers == expected.layers and result.request == expected.request


def test_an_image_of_several_frames_arrives_unchanged(backend: Backend) -> None:
    with backend.client() as client:
        job = client.generate(side=1024)
        assert client.result(job).layers == fake_worker.layer_set(request(side=1024)).layers


def test_the_workers_error_reaches_the_client(backend: Backend) -> None:
    with backend.client() as client:
        job = client.generate("fail")
        failed = client.until(Failed)
        assert (failed.job, failed.error.code) == (job, ErrorCode.OUT_OF_MEMORY)


def test_jobs_run_in_order_and_hear_their_position(backend: Backend) -> None:
    with backend.client() as client:
        jobs = [client.generate("wait"), client.generate(seed=2), client.generate(seed=3)]
        assert client.until(Queued, jobs[1]).position == 1
        assert client.until(Queued, jobs[2]).position == 2
        client.send(Cancel(jobs[0]))
        assert client.until(Queued, jobs[2]).position == 1
        order = []
        while len(order) < 2:
            if isinstance(message := client.receive(), Done):
                order.append(message.job)
        assert order == jobs[1:]


def test_jobs_of_two_clients_share_one_queue(backend: Backend) -> None:
    with backend.client() as first, backend.client() as second:
        job = first.generate("wait")
        first.until(Started, job)
        other = second.generate()
        assert second.expect(Queued) == Queued(other, 1)
        first.send(Cancel(job))
        assert second.result(other).request == request()


def test_cancelling_a_waiting_job_leaves_the_running_one_alone(backend: Backend) -> None:
    with backend.client() as client:
        running, waiting = client.generate("wait"), client.generate()
        client.until(Queued, waiting)
        client.send(Cancel(waiting))
        assert client.until(Cancelled).job == waiting
        client.send(Cancel(running))
        assert client.until(Cancelled).job == running


def _hold(client: Client, tmp_path: Path) -> tuple[str, Path]:
    """Start a job that the worker will not leave before `pipe` was opened and closed."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    job = client.generate(f"hold {pipe}")
    client.until(Running, job)
    return job, pipe


def test_cancelled_is_heard_before_the_worker_stops_and_its_result_is_dropped(backend: Backend, tmp_path: Path) -> None:
    with backend.client() as client:
        job, pipe = _hold(client, tmp_path)
        client.send(Cancel(job))
        assert client.until(Cancelled).job == job
        following = client.generate(seed=5)
        assert client.expect(Queued) == Queued(following, 0)
        pipe.write_bytes(b"")
        assert client.expect(Started) == Started(following)
        assert client.result(following).request.seed == 5


def test_the_server_answers_pings_and_messages_while_the_worker_computes(backend: Backend, tmp_path: Path) -> None:
    with backend.client() as client:
        _, pipe = _hold(client, tmp_path)
        assert client.websocket.ping().wait(60)
        client.send(ListModels())
        assert client.expect(Models).models == (MODEL,)
        pipe.write_bytes(b"")


def test_cancel_all_stops_the_clients_own_jobs_only(backend: Backend) -> None:
    with backend.client() as client, backend.client() as other:
        jobs = [client.generate("wait"), client.generate(), client.generate()]
        client.until(Queued, jobs[2])
        kept = other.generate()
        client.send(CancelAll())
        assert {client.until(Cancelled).job for _ in jobs} == set(jobs)
        assert other.result(kept).request == request()


def test_cancelling_a_finished_job_changes_nothing(backend: Backend) -> None:
    with backend.client() as client:
        job = client.generate()
        client.result(job)
        client.send(Cancel(job))
        client.send(ListModels())
        client.expect(Models)
    with backend.client(client.id) as client:
        assert [status.state for status in client.welcome.jobs] == [State.DONE]


def test_an_acknowledged_job_is_forgotten(backend: Backend) -> None:
    with backend.client() as client:
        job = client.generate()
        client.result(job)
        client.send(Acknowledge(job))
    with backend.client(client.id) as client:
        assert client.welcome.jobs == ()


def test_only_a_final_state_can_be_acknowledged(backend: Backend) -> None:
    with backend.client() as client:
        job = client.generate("wait")
        client.send(Acknowledge(job))
        refused = client.until(Refused)
        assert (refused.job, refused.error.code) == (job, ErrorCode.INVALID_REQUEST)
        client.send(Cancel(job))
        client.until(Cancelled, job)


def test_generate_again_is_answered_with_the_present_state(backend: Backend) -> None:
    with backend.client() as client:
        job = client.generate("wait")
        client.until(Running, job)
        client.send(Generate(job, request("wait")))
        assert client.expect(Started) == Started(job)
        assert client.expect(Running).progress.fraction == 0.25
        client.send(Cancel(job))
        client.until(Cancelled, job)
        client.send(Generate(job, request("wait")))
        assert client.expect(Cancelled) == Cancelled(job)
        painted = client.generate()
        first = client.result(painted)
        client.send(Generate(painted, request()))
        assert client.result(painted) == first


def test_models_are_listed_as_they_are_now(own_backend: Backend) -> None:
    with own_backend.client() as client:
        new = replace(MODEL, id="new")
        own_backend.library.known.append(new)
        client.send(ListModels())
        assert client.expect(Models).models == (MODEL, new)


def test_a_model_installed_after_the_greeting_can_be_used(own_backend: Backend) -> None:
    with own_backend.client() as client:
        own_backend.library.known.append(replace(MODEL, id="new"))
        assert client.result(client.generate(model="new")).request.model == "new"


def test_an_operation_the_model_cannot_do_is_refused(own_backend: Backend) -> None:
    own_backend.library.known.append(ModelInfo("poor", "Poor", "sd15", 128, (), ""))
    with own_backend.client() as client:
        job = client.generate(model="poor")
        refused = client.expect(Refused)
        assert (refused.job, refused.error.code) == (job, ErrorCode.UNSUPPORTED_OPERATION)
        assert Operation.OBJECT.value in refused.error.message


def test_a_listing_that_fails_is_told_and_the_connection_stays(own_backend: Backend) -> None:
    with own_backend.client() as client:
        own_backend.library.known = None  # type: ignore[assignment]  # makes the listing raise
        client.send(ListModels())
        assert client.expect(Refused).error.code is ErrorCode.INTERNAL
        job = client.generate()
        assert client.expect(Refused).job == job
        own_backend.library.known = [MODEL]
        client.send(ListModels())
        assert client.expect(Models).models == (MODEL,)


def test_a_job_that_comes_while_the_server_stops_is_refused() -> None:
    async def scenario() -> None:
        stopped = threading.Event()

        class Slow(Library):
            def find(self, request: Request) -> ModelInfo:
                assert stopped.wait(TIMEOUT)
                return MODEL

        hub = Hub(Slow(), Recorder())
        generating = asyncio.create_task(hub.obey(new_id(), Generate(new_id(), request()), Incoming()))
        await asyncio.sleep(0)
        await hub.stop()
        stopped.set()
        with pytest.raises(LayerDiffusionError) as refused:
            await generating
        assert refused.value.code is ErrorCode.CANCELLED_BY_SHUTDOWN
        assert hub.jobs.unfinished() == []

    asyncio.run(scenario())


def test_stopping_fails_unfinished_jobs_with_a_reason(own_backend: Backend) -> None:
    with own_backend.client() as client:
        jobs = [client.generate("wait"), client.generate()]
        client.until(Queued, jobs[1])
        own_backend.stop()
        failed = [client.until(Failed) for _ in jobs]
        assert {message.job for message in failed} == set(jobs)
        assert {message.error.code for message in failed} == {ErrorCode.CANCELLED_BY_SHUTDOWN}


def test_previews_come_between_the_reports(backend: Backend) -> None:
    with backend.client() as client:
        job = client.generate("show")
        thumbnail = client.until(Preview, job).thumbnail
        assert (thumbnail.width, thumbnail.height, thumbnail.rgba()) == (2, 1, bytes(range(8)))
        client.result(job)


def worker_of(client: Client) -> int:
    return int(client.result(client.generate()).made_with["worker"])


def test_unloading_ends_the_worker_and_the_next_job_starts_another(own_backend: Backend) -> None:
    with own_backend.client() as client:
        before = worker_of(client)
        client.send(Unload())
        client.expect(Unloaded)
        assert own_backend.worker_pid is None
        client.send(Unload())
        client.expect(Unloaded)
        assert worker_of(client) != before
        job = client.generate("wait")
        client.until(Started, job)
        client.send(Unload())
        assert client.until(Refused).error.code is ErrorCode.INVALID_REQUEST
        client.send(Cancel(job))
        client.until(Cancelled, job)


def test_an_idle_backend_unloads_by_itself() -> None:
    with Backend(idle=0.05) as backend, backend.client() as client:
        worker = worker_of(client)
        # It may have ended already.
        with suppress(ProcessLookupError):
            assert multiprocessing.connection.wait([os.pidfd_open(worker)], TIMEOUT)
        assert worker_of(client) != worker


def test_so_does_one_that_never_had_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(supervisor.log, "info", lambda *_: ended.set())
    with Backend(idle=0.05) as backend, backend.client():
        assert ended.wait(TIMEOUT)


def test_diagnostics_tell_versions_and_errors_but_no_prompts(own_backend: Backend) -> None:
    with own_backend.client() as client:
        client.until(Failed, client.generate("fail because of my secret castle"))
        client.generate("my secret castle", model="castle of mine")
        client.until(Refused)
        client.send(Diagnose())
        told = client.until(Diagnostics)
        assert told.report["torch"] and told.report["protocol"] == str(VERSION) and "fake" in told.report["models"]
        assert told.errors[-1].startswith("out_of_memory: ")
        assert "castle" not in build(told)
    with own_backend.client() as other:
        other.send(Diagnose())
        # What another one's jobs ended with is none of its business.
        assert other.until(Diagnostics).errors == ()
