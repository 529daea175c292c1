"""Two Ray nodes on this computer: jobs are spread, and one whose node is killed is done on the other."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("LAYER_DIFFUSION_REQUIRE_RAY") != "1":
    pytest.importorskip("ray", reason="the project was installed without [cluster]")

import ray  # pyright: ignore[reportMissingImports]  # noqa: E402
from ray.cluster_utils import Cluster  # pyright: ignore[reportMissingImports]  # noqa: E402

from backend import cluster  # noqa: E402
from protocol.errors import ErrorCode, LayerDiffusionError  # noqa: E402
from protocol.messages import Cancel, Cancelled, Done, Failed, Running  # noqa: E402

from . import fake_worker  # noqa: E402
from .harness import TIMEOUT, Backend, pixels_of, with_pictures  # noqa: E402
from .program import SERVE, Process, client_of, until_workers  # noqa: E402

SMALL = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}


def noted(connection: Connection, folder: Path) -> None:
    """The fake worker, which leaves a note of the node that it is on and the actor that it belongs to."""
    (folder / str(os.getpid())).write_text(f"{os.environ['RAY_RAYLET_PID']} {os.getppid()}")
    fake_worker.main(connection)


@pytest.fixture
def nodes() -> Iterator[Any]:
    """A cluster of one node, to which others can be added."""
    running = Cluster(initialize_head=True, head_node_args=SMALL)
    try:
        yield running
    finally:
        ray.shutdown()
        running.shutdown()


def node_of(note: Path) -> int:
    return int(note.read_text().split()[0])


def raylet(node: Any) -> int:
    (one,) = node.all_processes["raylet"]
    return one.process.pid


def kill_workers(folder: Path, node: int) -> None:
    """End what dies with a machine and may outlive a node that only plays one: actors and the workers beside them."""
    for note in folder.iterdir():
        at, actor = map(int, note.read_text().split())
        # The actor first: an actor whose worker is gone would still tell of it.
        for process in (actor, int(note.name)) if at == node else ():
            with suppress(ProcessLookupError):
                ended = os.pidfd_open(process)
                signal.pidfd_send_signal(ended, signal.SIGKILL)
                assert select.select([ended], [], [], TIMEOUT)[0]
                os.close(ended)


def test_jobs_are_spread_and_outlive_their_node(nodes: Any, tmp_path: Path) -> None:
    notes, gates = tmp_path / "notes", [tmp_path / "one", tmp_path / "two"]
    notes.mkdir()
    for gate in gates:
        os.mkfifo(gate)
    other = nodes.add_node(**SMALL)
    head, lost = raylet(nodes.head_node), raylet(other)
    places = len(cluster.targets(nodes.address))
    assert places == 2
    target = partial(cluster.main, address=nodes.address, count=places, target=partial(noted, folder=notes))
    with Backend(target, workers=places) as backend, backend.client() as client:
        jobs = [client.generate(f"hold {gate}") for gate in gates]
        silent = set(jobs)
        while silent:
            silent.discard(client.until(Running).job)
        assert {node_of(note) for note in notes.iterdir()} == {head, lost}
        nodes.remove_node(other, allow_graceful=False)
        kill_workers(notes, lost)
        for gate in gates:
            # Opening it waits for its reader, and the one job may have to wait for the other's place.
            threading.Thread(target=gate.write_bytes, args=(b"",), daemon=True).start()
        makers = [client.until(Done).layer_set.made_with["worker"] for _ in jobs]
        assert {node_of(notes / maker) for maker in makers} == {head}


def test_a_worker_of_the_cluster_is_like_any_other(nodes: Any) -> None:
    target = partial(cluster.main, address=nodes.address, count=1, target=fake_worker.main)
    with Backend(target) as backend, backend.client() as client:
        what = with_pictures()
        echoed = client.result(client.generate_from(what))
        assert [layer.pixels for layer in echoed.layers] == pixels_of(what)
        job = client.generate("wait")
        client.until(Running, job)
        client.send(Cancel(job))
        client.until(Cancelled, job)
        maker = client.result(client.generate()).made_with["worker"]
        assert maker == echoed.made_with["worker"]
        assert client.until(Failed, client.generate("die")).error.code is ErrorCode.WORKER_DIED
        assert client.result(client.generate()).made_with["worker"] != maker


def test_the_program_has_its_layers_made_in_the_cluster(nodes: Any, tmp_path: Path) -> None:
    nodes.add_node(**SMALL)
    server = Process([*SERVE, "--cluster", nodes.address, "--state-file", str(tmp_path / "token")], stderr=None)
    try:
        ready = server.line()
        assert ready["event"] == "ready", ready
        with client_of(ready) as client:
            jobs = {client.generate("a red apple", model="builtin", seed=seed) for seed in (1, 2)}
            done = [client.until(Done) for _ in jobs]
            assert {one.job for one in done} == jobs and {len(one.layer_set.layers) for one in done} == {1}
            told = until_workers(client, "2 running of 2")
            assert told.report["cluster"] == nodes.address
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(TIMEOUT) == 0
    finally:
        server.process.kill()


def test_a_cluster_that_is_not_there() -> None:
    with pytest.raises(LayerDiffusionError) as refused:
        cluster.targets("127.0.0.1:1")
    assert refused.value.code is ErrorCode.INVALID_REQUEST and "127.0.0.1:1" in refused.value.message
