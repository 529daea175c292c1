"""The listening socket and the conversation on each connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from ssl import SSLContext

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from protocol import VERSION
from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.images import MAX_FRAME
from protocol.messages import FromServer, Hello, Refused, build, parse

from . import access
from .hub import Hub
from .incoming import Incoming

GREETING_TIMEOUT = 10.0
"""Seconds a connection may take for its first message."""
PING_TIMEOUT = 60.0
"""Seconds after which a client that does not answer is disconnected; a Krita that is busy may take long."""
POLICY_VIOLATION = 1008


@contextlib.asynccontextmanager
async def listening(
    hub: Hub, host: str, port: int, token: str, context: SSLContext | None = None
) -> AsyncIterator[int]:
    """Accept clients while the context lasts; yield the port. Raises `invalid_request` when it cannot be had.

    With a TLS `context` only encrypted connections are accepted.
    """
    listener = _bind(host, port)
    port = listener.getsockname()[1]
    hosts = access.allowed_hosts(host, port)

    def check(websocket: ServerConnection, request: HttpRequest) -> Response | None:
        error = access.check(request.path, request.headers, token, hosts)
        if error is None:
            return None
        response = websocket.respond(access.STATUS[error.code], f"{error}\n")
        if error.code is ErrorCode.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    async def converse(websocket: ServerConnection) -> None:
        # A client that goes away is nothing unusual at any point.
        with contextlib.suppress(ConnectionClosed):
            await _converse(hub, websocket)

    async with serve_websocket(
        converse,
        sock=listener,
        ssl=context,
        process_request=check,
        origins=[None],
        compression=None,
        max_size=MAX_FRAME,
        ping_timeout=PING_TIMEOUT,
        close_timeout=2,
        server_header=None,
    ):
        yield port


def _bind(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        fail(ErrorCode.INVALID_REQUEST, f"{port} is not a port.", "Give a port from 0 (any free one) to 65535.")
    try:
        # The first address only: with two, a free port would be another one on each.
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LayerDiffusionError(
            ErrorCode.INVALID_REQUEST,
            f"The backend cannot listen on {host} port {port}: {reason}.",
            "Another backend may be using the port; leave out --port to use any free one.",
        ) from error
    if listener.getsockname()[0] in ("0.0.0.0", "::"):
        listener.close()
        fail(
            ErrorCode.INVALID_REQUEST,
            "The backend listens on one address, not on all at once.",
            "Give the address or name by which clients reach this machine as --host.",
        )
    return listener


async def _converse(hub: Hub, websocket: ServerConnection) -> None:
    try:
        async with asyncio.timeout(GREETING_TIMEOUT):
            hello = _greeting(await websocket.recv())
    except (LayerDiffusionError, TimeoutError) as error:
        if not isinstance(error, LayerDiffusionError):
            error = LayerDiffusionError(ErrorCode.BAD_MESSAGE, "The client did not greet in time.")
        await websocket.send(build(Refused(error, None)))
        await websocket.close(POLICY_VIOLATION, error.code.value)
        return
    outbox, incoming = hub.outbox(websocket), Incoming()
    sender = asyncio.create_task(outbox.run())
    try:
        await hub.join(hello, outbox)
        async for data in websocket:
            if (refused := await _obey(hub, hello.client_id, data, incoming)) is not None:
                outbox.send(refused)
            await outbox.room()
    finally:
        hub.leave(hello.client_id, outbox, incoming)
        sender.cancel()


def _greeting(data: str | bytes) -> Hello:
    hello = parse(data) if isinstance(data, str) else None
    if not isinstance(hello, Hello):
        fail(ErrorCode.BAD_MESSAGE, "The first message must be hello.")
    if VERSION not in hello.versions:
        fail(
            ErrorCode.UNKNOWN_VERSION,
            f"The client speaks version {', '.join(map(str, hello.versions)) or 'none'} of the protocol, "
            f"the backend version {VERSION}.",
        )
    return hello


async def _obey(hub: Hub, client: str, data: str | bytes, incoming: Incoming) -> FromServer | None:
    """Obey one message; return the refusal if it must be refused."""
    job: str | None = None
    try:
        if isinstance(data, bytes):
            hub.receive(data, incoming)
            return None
        message = parse(data)
        job = getattr(message, "job", None)
        await hub.obey(client, message, incoming)
    except LayerDiffusionError as error:
        job = job or error.job
        if job is not None:
            # It may be that of a `generate` whose pictures are on their way.
            incoming.pass_over(job)
        return Refused(error, job)
    return None
