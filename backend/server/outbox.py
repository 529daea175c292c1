"""What goes out to one client, in an order that keeps short messages ahead of images."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from protocol.images import frames
from protocol.job import LayerSet
from protocol.messages import Done, FromServer, build

BACKLOG = 1000
"""Texts and results that may wait before nothing more is read from a client that does not read either."""


class Outbox:
    """Sends to one connection. Texts overtake the frames of results, results do not overtake each other.

    `adapted` makes of each message what this client is to hear.
    """

    def __init__(
        self, websocket: ServerConnection, adapted: Callable[[FromServer], FromServer] = lambda message: message
    ) -> None:
        self._websocket, self._adapted = websocket, adapted
        self._texts: deque[str] = deque()
        self._results: deque[Iterator[str | bytes]] = deque()
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self._ended = False

    def send(self, message: FromServer) -> None:
        """Queue one message."""
        self._texts.append(build(self._adapted(message)))
        self._wake.set()

    def send_result(self, job: str, layer_set: LayerSet) -> None:
        """Queue `done` and the frames of its images."""
        self._results.append(_result(job, layer_set))
        self._wake.set()

    async def room(self, most: int = BACKLOG) -> None:
        """Wait until at most `most` texts and results are waiting, or nothing is sent any more."""
        while len(self._texts) + len(self._results) > most and not self._ended:
            self._sent.clear()
            await self._sent.wait()

    async def run(self) -> None:
        """Send until cancelled or the connection is closed."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._texts or self._results:
                    await self._send_next()
        except ConnectionClosed:
            pass
        finally:
            self._ended = True
            self._sent.set()

    async def _send_next(self) -> None:
        if self._texts:
            await self._websocket.send(self._texts[0])
            self._texts.popleft()
            self._sent.set()
        elif (part := next(self._results[0], None)) is not None:
            await self._websocket.send(part)
        else:
            self._results.popleft()
            self._sent.set()

    async def close(self, code: int, reason: str) -> None:
        """Close the connection; what was not sent is not sent."""
        await self._websocket.close(code, reason)


def _result(job: str, layer_set: LayerSet) -> Iterator[str | bytes]:
    yield build(Done(job, layer_set.header, len(layer_set.layers)))
    for index, layer in enumerate(layer_set.layers):
        yield from frames(job, index, layer.box.width, layer.box.height, layer.pixels)
