"""The server: accepts clients on a websocket, queues their jobs and supervises the worker. It never imports torch."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

from protocol import VERSION
from protocol.errors import LayerDiffusionError
from protocol.job import ModelInfo
from protocol.request import Request

from .. import models, worker
from ..models.needs import needed
from . import app, lifetime
from .credential import token_file
from .hub import Hub


def serve(
    host: str = "127.0.0.1", port: int = 0, parent: int | None = None, state_file: str | os.PathLike[str] | None = None
) -> None:
    """Run the server until SIGINT or SIGTERM, or until the parent is gone. Call it from the main thread.

    When clients can connect, one JSON line is printed: `event` ("ready"), `host`, `port`, `token_file`, `version` (of
    the protocol) and `pid`. If that point is not reached, it has `event` ("failed"), `code`, `message` and `hint`.

    Args:
        host: name or address to listen on.
        port: 0 for any free one.
        parent: process id; the server stops when that process is gone, or standard input, if it is a pipe, closes.
        state_file: where to write the token; by default a file of its own in the user's runtime folder.

    Raises `LayerDiffusionError`: `disk_full` when the token cannot be written, `invalid_request` when host and port
    cannot be used.
    """
    try:
        asyncio.run(_serve(host, port, parent, None if state_file is None else Path(state_file)))
    except LayerDiffusionError as error:
        _print({"event": "failed", **error.to_dict()})
        raise


async def _serve(host: str, port: int, parent: int | None, state_file: Path | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def request_stop() -> None:
        # Late signals and a late end of standard input may meet a loop that is closed.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    lifetime.on_signals(request_stop)
    hub = Hub(worker.main, models.installed, _find)
    with token_file(state_file) as (token, path):
        async with app.listening(hub, host, port, token) as port:
            _print(
                {
                    "event": "ready",
                    "host": host,
                    "port": port,
                    "token_file": str(path),
                    "version": VERSION,
                    "pid": os.getpid(),
                }
            )
            if parent is not None:
                lifetime.on_stdin_closed(request_stop)
                watch = asyncio.create_task(lifetime.parent_gone(parent))
                watch.add_done_callback(lambda _: stop.set())
            await stop.wait()
            await hub.stop()


def _find(request: Request) -> ModelInfo:
    """The model of a request that it has all files for."""
    files = models.resolve(request.model)
    needed(request, files)
    return files.info


def _print(event: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()
