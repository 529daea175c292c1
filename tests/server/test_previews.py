"""Previews on their way from the real engine to a client."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing.connection import Connection

import pytest

from backend import worker
from protocol.messages import Done, Message, Preview, Running
from protocol.request import Role

from .harness import MODEL, Backend

STEPS = 4


def generous(connection: Connection) -> None:
    """The product's worker, with all the time for previews that they want."""
    from backend.engine import preview

    preview.SHARE = 1e9
    worker.main(connection)


@pytest.fixture(scope="module")
def received() -> list[Message]:
    """What a client hears of a job of the built-in model."""
    messages: list[Message] = []
    with Backend(generous, [replace(MODEL, id="builtin")]) as backend, backend.client() as client:
        job = client.generate("red apple", side=128, model="builtin")
        while not isinstance(messages[-1] if messages else None, Done):
            message = client.receive()
            assert isinstance(message, Message) and getattr(message, "job", None) == job
            messages.append(message)
    return messages


def test_previews_come_between_the_steps(received: list[Message]) -> None:
    kinds = [type(message) for message in received]
    assert kinds.count(Preview) == STEPS // 2
    assert Running in kinds[: kinds.index(Preview)] and Running in kinds[kinds.index(Preview) :]


def test_they_show_the_object_and_that_there_is_nothing_around_it(received: list[Message]) -> None:
    last = [message.thumbnail for message in received if isinstance(message, Preview)][-1]
    alpha = last.rgba()[3::4]
    assert last.role is Role.FOREGROUND and last.width == last.height
    assert max(alpha) > 200 and min(alpha) < 20
