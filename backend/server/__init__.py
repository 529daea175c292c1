"""The server: accepts clients on a websocket, queues their jobs and supervises the worker. It never imports torch."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from pathlib import Path
from ssl import SSLContext

from protocol import VERSION
from protocol.errors import ErrorCode, LayerDiffusionError

from ..models.installed import folder
from ..models.library import Library
from . import access, app, lifetime, workers
from .credential import given_token, tls, token_file
from .diagnostics import FORMAT, Recorder
from .hub import Hub
from .supervisor import Target

log = logging.getLogger(__name__)
IDLE = 900.0
"""Seconds after which an idle backend gives memory back: a pause, not a moment's thought."""


def serve(
    host: str = "127.0.0.1", port: int = 0, parent: int | None = None, state_file: Path | None = None,
    token: Path | None = None, certificate: Path | None = None, key: Path | None = None, idle: float = IDLE,
    cluster: str | None = None, save_memory: bool = False,
) -> None:
    """Run the server until SIGINT or SIGTERM, or until the parent is gone. Call it from the main thread.

    When clients can connect, one JSON line is printed: `event` ("ready"), `host`, `port`, `token_file`, `tls`,
    `version` (of the protocol) and `pid`. If that point is not reached, it has `event` ("failed"), `code`, `message`
    and `hint`.

    Args:
        host: name or address to listen on.
        port: 0 for any free one.
        parent: process id; the server stops when that process is gone, or standard input, if it is a pipe, closes.
        state_file: where to write the token; by default a file of its own in the user's runtime folder.
        token: file with a token to use instead of a new one; it stays.
        certificate, key: files in PEM form with which connections are encrypted (TLS); the key may be in the
            certificate's file.
        idle: seconds without a job after which the memory of models is given back; 0 for never.
        cluster: address of the head of a Ray cluster that this machine is part of, or "auto" for the one that runs
            here; the workers are where it has graphics cards. By default they are on this machine.
        save_memory: use as little memory of the graphics cards as possible, which is slower.

    Raises `LayerDiffusionError`: `disk_full` when the token cannot be written, `invalid_request` when host and port,
    token, certificate or cluster cannot be used.
    """
    try:
        asyncio.run(_serve(host, port, parent, state_file, token, tls(certificate, key), idle, cluster, save_memory))
    except LayerDiffusionError as error:
        _print({"event": "failed", **error.to_dict()})
        raise


async def _serve(
    host: str, port: int, parent: int | None, state_file: Path | None, token: Path | None, context: SSLContext | None,
    idle: float, cluster: str | None, save_memory: bool,
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def request_stop() -> None:
        # Late signals and a late end of standard input may meet a loop that is closed.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    lifetime.on_signals(request_stop)
    recorder = Recorder()
    logging.basicConfig(format=FORMAT, handlers=[logging.StreamHandler(), recorder], force=True)
    logging.getLogger("backend").setLevel(logging.INFO)
    is_shared = access.is_shared(host)
    hub = Hub(Library(), recorder, idle, is_shared)
    if cluster is not None:
        hub.equip(await asyncio.to_thread(_places, cluster, save_memory))
    with given_token(token) if token else token_file(state_file) as (secret, path):
        async with app.listening(hub, host, port, secret, context) as port:
            recorder.settings = {
                "listens on": f"{host}:{port}", "encrypted": "yes" if context else "no", "cluster": cluster or "none",
                "idle minutes": f"{idle / 60:g}", "saves memory": "yes" if save_memory else "no",
                "models folder": str(folder()),
            }
            if is_shared and context is None:
                log.warning(
                    "connections to %s are not encrypted, so prompts, pictures and the access token can be read on the "
                    "network: start with --tls-certificate PEM (and --tls-key PEM) to encrypt them", host,
                )
            _print(
                {
                    "event": "ready",
                    "host": host,
                    "port": port,
                    "token_file": str(path),
                    "tls": context is not None,
                    "version": VERSION,
                    "pid": os.getpid(),
                }
            )
            equipping = None if cluster is not None else asyncio.create_task(_equip(hub, save_memory))
            if parent is not None:
                lifetime.on_stdin_closed(request_stop)
                watch = asyncio.create_task(lifetime.parent_gone(parent))
                watch.add_done_callback(lambda _: stop.set())
            await stop.wait()
            await hub.stop()
            if equipping is not None:
                equipping.cancel()


async def _equip(hub: Hub, save_memory: bool) -> None:
    """Give the hub the workers of this machine. Clients can connect before, since a driver may hang for seconds."""
    hub.equip(await workers.targets(save_memory))


def _places(cluster: str, save_memory: bool) -> list[Target]:
    try:
        from ..cluster import targets
    except ImportError as error:
        raise LayerDiffusionError(
            ErrorCode.INVALID_REQUEST, f"A cluster needs Ray, which cannot be loaded: {error}.",
            "Install it with `pip install .[cluster]` in the project's folder, on every machine of the cluster.",
        ) from error
    return targets(cluster, save_memory)


def _print(event: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()
