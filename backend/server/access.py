"""Who may connect, decided from the opening HTTP request before any websocket exists."""

from __future__ import annotations

import hmac
from http import HTTPStatus

from websockets.datastructures import Headers

from protocol.errors import ErrorCode, LayerDiffusionError, fail

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

DEFAULT_PORT = 80
"""Clients leave this port out of `Host`."""

STATUS = {
    ErrorCode.FORBIDDEN_HOST: HTTPStatus.MISDIRECTED_REQUEST,
    ErrorCode.FORBIDDEN_ORIGIN: HTTPStatus.FORBIDDEN,
    ErrorCode.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.BAD_MESSAGE: HTTPStatus.NOT_FOUND,
}
"""HTTP status that refuses each error of `check`."""


def allowed_hosts(host: str, port: int) -> frozenset[str]:
    """Return the `Host` headers the server answers to, lower case: the loopback names and `host`, with the port."""
    suffixes = (f":{port}", "") if port == DEFAULT_PORT else (f":{port}",)
    return frozenset(f"{name}{suffix}".lower() for name in (*LOOPBACK, _in_header(host)) for suffix in suffixes)


def is_shared(host: str) -> bool:
    """Return whether other machines reach what listens on this host."""
    return _in_header(host).lower() not in LOOPBACK


def check(path: str, headers: Headers, token: str, hosts: frozenset[str]) -> LayerDiffusionError | None:
    """Return why the request must be refused, or None.

    A page in a browser can reach loopback ports, but cannot leave out `Origin`; after DNS rebinding it can, but then
    `Host` names the page's own domain; and it never knows the token. Each alone would do, together they forgive a slip.
    """
    try:
        host = headers.get_all("Host")
        if len(host) != 1 or host[0].lower() not in hosts:
            fail(ErrorCode.FORBIDDEN_HOST)
        if headers.get_all("Origin"):
            fail(ErrorCode.FORBIDDEN_ORIGIN)
        authorization = headers.get_all("Authorization")
        expected = f"Bearer {token}".encode()
        if len(authorization) != 1 or not hmac.compare_digest(_bytes(authorization[0]), expected):
            fail(ErrorCode.UNAUTHORIZED)
        if path != "/":
            fail(ErrorCode.BAD_MESSAGE, "The backend has no such path.", "Connect to the path / of the same address.")
    except LayerDiffusionError as error:
        return error
    return None


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def _in_header(host: str) -> str:
    """Write a name or an address as `Host` does."""
    return f"[{host}]" if ":" in host else host
