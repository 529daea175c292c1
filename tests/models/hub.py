"""A stand-in for the model hub: a small HTTP server that answers as the real one does, with faults on demand.

As there, a file's address leads on to another one where its bytes are, and says the file's size and SHA-256.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Fault:
    """How one answer with a file's bytes goes wrong.

    Attributes:
        status: answered in place of the bytes, 0 for none.
        after: of Retry-After.
        cut: close the connection after this many bytes.
        gate: wait for this before the bytes beyond `cut` are sent; then nothing is cut.
        slow: send this many bytes at a time, each piece after `turns` was released once more.
        ignore_range: send the whole file whatever was asked for.
        shift: bytes that the answer begins later than asked for.
        body: sent in place of the file.
    """

    status: int = 0
    after: str = ""
    cut: int | None = None
    gate: threading.Event | None = None
    slow: int = 0
    turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    ignore_range: bool = False
    shift: int = 0
    body: bytes | None = None


@dataclass
class Hub:
    """What the server has and was asked.

    Attributes:
        files: address without a leading slash → content; the address is ``owner/name/resolve/revision/file``.
        faults: of the next answers with bytes, in their order; then all goes well.
        announcing: the same for answers that say what a file is.
        ranges: of each request for bytes, where it began.
        sums: whether the server says SHA-256 sums.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    announcing: deque[Fault] = field(default_factory=deque)
    ranges: list[int] = field(default_factory=list)
    sums: bool = True
    address: str = ""

    def add(self, repository: str, name: str, content: bytes) -> None:
        """Put a file into a repository, at its branch main and at `COMMIT`."""
        for revision in ("main", COMMIT):
            self.files[f"{repository}/resolve/{revision}/{name}"] = content


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests look at `Hub.ranges`."""

    def do_HEAD(self) -> None:
        """Say what a file is."""
        self._announce()

    def do_GET(self) -> None:
        """Lead on to the bytes, or send them."""
        if self.path.startswith("/bytes/"):
            self._send(self.hub.files[self.path.removeprefix("/bytes/")])
        else:
            self._announce()

    def _announce(self) -> None:
        fault = self.hub.announcing.popleft() if self.command == "HEAD" and self.hub.announcing else Fault()
        content = self.hub.files.get(self.path.lstrip("/"))
        if content is None or fault.status:
            return self._refuse(fault.status or 404, fault.after)
        self.send_response(302)
        # Another host, as the hub's storage is: its library follows redirections on the same host by itself.
        storage = self.hub.address.replace("127.0.0.1", "localhost").replace("hub.", "storage.")
        self.send_header("Location", f"{storage}/bytes{self.path}")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Size", str(len(content)))
        sha256 = hashlib.sha256(content).hexdigest()
        self.send_header("X-Linked-ETag", f'"{sha256}"' if self.hub.sums else '"abc"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _refuse(self, status: int, after: str) -> None:
        self.send_response(status)
        if after:
            self.send_header("Retry-After", after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, content: bytes) -> None:
        fault = self.hub.faults.popleft() if self.hub.faults else Fault()
        asked = self.headers.get("Range")
        begin = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        self.hub.ranges.append(begin)
        if fault.status:
            return self._refuse(fault.status, fault.after)
        if begin >= len(content):
            return self._refuse(416, "")
        body = fault.body if fault.body is not None else content
        part = asked and not fault.ignore_range
        begin = begin + fault.shift if part else 0
        self.send_response(206 if part else 200)
        if part:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        body = body[begin:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for start in range(0, len(body), fault.slow) if fault.slow else ():
            fault.turns.acquire(timeout=60)
            self.wfile.write(body[start : start + fault.slow])
        if fault.slow:
            return
        self.wfile.write(body[: fault.cut])
        self.wfile.flush()
        if fault.gate:
            fault.gate.wait(60)
            self.wfile.write(body[fault.cut :])
        elif fault.cut is not None:
            self.close_connection = True


class Server(ThreadingHTTPServer):
    """Whose connections may be broken by the other side."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: clients that are killed are what the tests are about."""


@contextmanager
def serving() -> Iterator[Hub]:
    """A running stand-in; its `address` is what HF_ENDPOINT shall be."""
    hub = Hub()
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def offer(hub: Hub, repository: str, path: Path) -> tuple[int, str]:
    """Offer a file of this machine under its own name; return its size and SHA-256."""
    content = path.read_bytes()
    hub.add(repository, path.name, content)
    return len(content), hashlib.sha256(content).hexdigest()
