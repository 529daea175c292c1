"""Requests that must not become a connection."""

from __future__ import annotations

import socket

import pytest
from websockets.exceptions import InvalidStatus

from backend.server.access import allowed_hosts, is_shared
from protocol import VERSION
from protocol.errors import TEXTS, ErrorCode
from tests.server.harness import TOKEN, Backend


def _refusal(backend: Backend, **options: object) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refused, backend.connect(**options):  # type: ignore[arg-type]
        pass
    body = refused.value.response.body
    return refused.value.response.status_code, bytes(body or b"").decode()


@pytest.mark.parametrize("token", ["", "0" * 64, TOKEN[:-1], TOKEN + "0", TOKEN.upper(), f" {TOKEN}"], ids=range(6))
def test_wrong_token(backend: Backend, token: str) -> None:
    status, body = _refusal(backend, token=token)
    assert status == 401
    assert TEXTS[ErrorCode.UNAUTHORIZED][1] in body


@pytest.mark.parametrize(
    "authorization",
    [b"", b"Basic " + TOKEN.encode(), TOKEN.encode(), b"bearer", b"Bearer \xff"],
    ids=["empty", "basic", "bare", "no token", "no text"],
)
def test_missing_token_or_another_scheme(backend: Backend, authorization: bytes) -> None:
    status, body = _raw_refusal(backend, authorization)
    assert status == 401
    assert TEXTS[ErrorCode.UNAUTHORIZED][0] in body


def test_no_authorization_header_at_all(backend: Backend) -> None:
    assert _raw(backend, f"Host: 127.0.0.1:{backend.port}".encode())[0] == 401


def test_two_authorization_headers(backend: Backend) -> None:
    right = f"Authorization: Bearer {TOKEN}".encode()
    assert _raw(backend, f"Host: 127.0.0.1:{backend.port}".encode(), right, right)[0] == 401


@pytest.mark.parametrize("origin", ["http://example.com", "http://127.0.0.1", "null", "file://"])
def test_any_origin(backend: Backend, origin: str) -> None:
    status, body = _refusal(backend, headers={"Origin": origin})
    assert status == 403
    assert TEXTS[ErrorCode.FORBIDDEN_ORIGIN][1] in body


@pytest.mark.parametrize(
    "host", ["example.com", "example.com:{}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.example.com:{}"]
)
def test_foreign_host(backend: Backend, host: str) -> None:
    status, body = _raw(
        backend, f"Host: {host.format(backend.port)}".encode(), f"Authorization: Bearer {TOKEN}".encode()
    )
    assert status == 421
    assert TEXTS[ErrorCode.FORBIDDEN_HOST][1] in body


def test_loopback_names_and_the_configured_host_are_allowed() -> None:
    assert allowed_hosts("Studio.local", 81) == {"127.0.0.1:81", "localhost:81", "[::1]:81", "studio.local:81"}
    assert "[fe80::1]:81" in allowed_hosts("fe80::1", 81)
    assert {"127.0.0.1", "127.0.0.1:80", "studio.local"} <= allowed_hosts("studio.local", 80)


def test_a_host_is_shared_unless_only_this_machine_reaches_it() -> None:
    assert not any(map(is_shared, ("127.0.0.1", "localhost", "Localhost", "::1")))
    assert all(map(is_shared, ("0.0.0.0", "::", "studio.local", "192.168.0.7")))


def test_another_path(backend: Backend) -> None:
    assert _refusal(backend, path="/admin")[0] == 404


def test_a_browser_that_asks_for_a_page(backend: Backend) -> None:
    with socket.create_connection(("127.0.0.1", backend.port)) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{backend.port}\r\n\r\n".encode())
        assert _read(connection)[0] == 401


def test_the_server_still_accepts_its_friends(backend: Backend) -> None:
    with backend.client() as client:
        assert client.welcome.version == VERSION


def _raw_refusal(backend: Backend, authorization: bytes) -> tuple[int, str]:
    return _raw(backend, f"Host: 127.0.0.1:{backend.port}".encode(), b"Authorization: " + authorization)


def _raw(backend: Backend, *headers: bytes) -> tuple[int, str]:
    """Ask for a websocket with exactly these headers beside the standard's own; return status and body."""
    own = (
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )
    with socket.create_connection(("127.0.0.1", backend.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + b"\r\n".join(headers + own) + b"\r\n\r\n")
        return _read(connection)


def _read(connection: socket.socket) -> tuple[int, str]:
    answer = b""
    while part := connection.recv(65536):
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()
