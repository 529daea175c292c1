"""Workers on several machines: Ray finds places for them, and notices when a machine is gone.

To the server each of them is a worker process like any other. `main` runs in that process: it passes what comes through
its pipe on to an actor that Ray has placed on a machine with a graphics card to spare, and back what that says. The
actor has `worker.main` in a process beside it. A job whose machine is gone is begun anew on another one.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ray  # pyright: ignore[reportMissingImports]
from ray.exceptions import RayError, RayTaskError  # pyright: ignore[reportMissingImports]

from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.messages import Cancel, Cancelled, Done, Failed, Generate, build, parse

from . import worker
from .server.supervisor import Target

ROOT = Path(__file__).parents[1]
LOOK = 0.25
"""Seconds between two looks at whether a job was cancelled or a machine is gone."""
TRIES = 3
"""Places at which a job is begun before it is given up: it may be the job that brings them down."""

REACH = 10.0
"""Seconds that the cluster's head may take to answer."""
AUTO = "auto"
"""Address of the cluster that runs on this machine."""

log = logging.getLogger(__name__)


def targets(address: str, save_memory: bool = False) -> list[Target]:
    """The main function of a worker for each place in the cluster that this machine is part of; takes seconds.

    Args:
        address: of the cluster's head, host and port, or `AUTO` for the one that runs here.
        save_memory: whether their cards' memory is used as little as possible.

    Raises `LayerDiffusionError`: ``invalid_request`` when the cluster cannot be reached.
    """
    # In a process of its own, which takes Ray's threads and memory with it.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        count = pool.submit(_count, address).result()
    target = partial(worker.main, save_memory=save_memory)
    return [partial(main, address=address, count=count, target=target) for _ in range(count)]


def main(connection: Connection, address: str, count: int, target: Target = worker.main) -> None:
    """Serve jobs until the pipe closes. Does not return.

    Args:
        connection: the pipe.
        address: of the cluster.
        count: how many workers like this one there are.
        target: what runs at the place.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Standard output belongs to the server's ready line, and Ray prints.
    os.dup2(sys.stderr.fileno(), 1)
    inbox = worker.Inbox(connection)
    _join(address)
    Bridge(connection, inbox, count, target).run()


def places() -> int:
    """How many workers the cluster has room for now: its graphics cards; its machines where there are none."""
    return int(ray.cluster_resources().get("GPU", 0)) or sum(node["Alive"] for node in ray.nodes())


class Bridge:
    """Does one job after the other at a place in the cluster, which it keeps between them."""

    def __init__(self, connection: Connection, inbox: worker.Inbox, count: int, target: Target) -> None:
        self._connection, self._inbox, self._count, self._target = connection, inbox, count, target
        self._place: Any = None

    def run(self) -> None:
        """Serve jobs; does not return, but raises what the worker at the place ended with."""
        while True:
            try:
                self._answer(*self._inbox.jobs.get(timeout=LOOK))
            except queue.Empty:
                pass
            self._give_way()

    def _answer(self, message: Generate, pictures: Sequence[bytes]) -> None:
        """Do one job, on another machine if that is gone in the middle."""
        for tries in range(1, TRIES + 1):
            try:
                for parts in self._stream(message, pictures):
                    for part in parts:
                        self._connection.send_bytes(part)
                return
            except RayTaskError:
                # The worker at the place ended; so does this process, and the server knows what to do.
                raise
            except RayError as error:
                self._place = None
                if tries == TRIES:
                    raise
                log.warning("The place of a job is gone (%s); it is begun anew elsewhere", type(error).__name__)

    def _stream(self, message: Generate, pictures: Sequence[bytes]) -> Iterator[list[bytes]]:
        """What comes back of a job: each message with the pixels that follow it."""
        if self._place is None:
            self._place = _place(self._target)
        answers = self._place.generate.remote(build(message).encode(), pictures)
        told = False
        while True:
            ready, _ = ray.wait([answers], timeout=LOOK)
            if not told and self._inbox.cancelled(message.job):
                self._place.cancel.remote(message.job)
                told = True
            if ready:
                try:
                    answer = next(answers)
                except StopIteration:
                    return
                yield ray.get(answer)

    def _give_way(self) -> None:
        """Leave the place when machines are gone: with fewer places than workers, another one's job may wait for it."""
        if self._place is not None and places() < self._count:
            ray.kill(self._place)
            self._place = None


class Place:
    """On the machine that Ray chose: a worker process and this end of its pipe."""

    def __init__(self, target: Target) -> None:
        # Ray allows one thread for each processor that it was asked for, which is one; the networks want all.
        os.environ.pop("OMP_NUM_THREADS", None)
        context = multiprocessing.get_context("spawn")
        self._sending = threading.Lock()
        self._pipe, child = context.Pipe()
        with child:
            context.Process(target=target, args=(child,), name="worker", daemon=True).start()

    def generate(self, message: bytes, pictures: Sequence[bytes]) -> Iterator[list[bytes]]:
        """Do one job; each answer comes with the pixels that follow it."""
        with self._sending:
            for part in (message, *pictures):
                self._pipe.send_bytes(part)
        final = False
        while not final:
            text = self._pipe.recv_bytes()
            answer = parse(text.decode())
            images = [self._pipe.recv_bytes() for _ in range(answer.images)] if isinstance(answer, Done) else []
            yield [text, *images]
            final = isinstance(answer, Done | Failed | Cancelled)

    def cancel(self, job: str) -> None:
        """Ask the worker to stop this job."""
        with self._sending:
            self._pipe.send_bytes(build(Cancel(job)).encode())


def _place(target: Target) -> Any:
    """Have Ray find a place; until there is one, what is asked of it waits."""
    gpus = min(1, int(ray.cluster_resources().get("GPU", 0)))
    # One thread for the job and one for its cancelling.
    options = {"num_cpus": 1, "num_gpus": gpus, "max_concurrency": 2, "scheduling_strategy": "SPREAD"}
    return ray.remote(Place).options(**options).remote(target)


def _join(address: str) -> None:
    environment = {"env_vars": {"PYTHONPATH": str(ROOT)}}
    ray.init(address, runtime_env=environment, log_to_driver=False, logging_level=logging.WARNING)


def _count(address: str) -> int:
    try:
        if address != AUTO:
            # Ray itself tries for minutes.
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), REACH).close()
        _join(address)
        return places()
    except Exception as error:
        raise LayerDiffusionError(
            ErrorCode.INVALID_REQUEST, f"The cluster at {address} cannot be reached: {error}.",
            "Start Ray on this machine with `ray start`, as the cluster's head or with --address of its head.",
        ) from None
