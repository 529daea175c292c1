"""What waits for a client that does not read is bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backend.server.outbox import Outbox
from protocol.messages import Models, parse

from . import fake_worker
from .harness import new_id, request


class Websocket:
    """Takes everything at once, and keeps the texts."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def send(self, data: str | bytes) -> None:
        if isinstance(data, str):
            self.texts.append(data)


@pytest.mark.parametrize("what", ["text", "result"])
def test_there_is_no_room_before_what_waits_is_sent(what: str) -> None:
    async def scenario() -> None:
        websocket: Any = Websocket()
        outbox = Outbox(websocket)
        result = fake_worker.layer_set(request())
        for _ in range(3):
            if what == "text":
                outbox.send(Models((), ()))
            else:
                outbox.send_result(new_id(), result)
        room = asyncio.create_task(outbox.room(2))
        await asyncio.sleep(0)
        assert not room.done()
        sender = asyncio.create_task(outbox.run())
        await room
        assert websocket.texts
        sender.cancel()

    asyncio.run(scenario())


def test_short_messages_overtake_results() -> None:
    async def scenario() -> list[str]:
        websocket: Any = Websocket()
        outbox = Outbox(websocket)
        outbox.send_result(new_id(), fake_worker.layer_set(request()))
        outbox.send(Models((), ()))
        sender = asyncio.create_task(outbox.run())
        await outbox.room(0)
        sender.cancel()
        return [type(parse(text)).__name__ for text in websocket.texts]

    assert asyncio.run(scenario()) == ["Models", "Done"]
