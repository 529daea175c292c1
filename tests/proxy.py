"""A forward proxy for HTTP: passes requests on, and notes their addresses."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

KEPT_BACK = ("proxy-connection", "connection", "keep-alive", "transfer-encoding")
"""Headers that are between two neighbours only."""


@dataclass
class Proxy:
    """What the proxy was asked.

    Attributes:
        known: host → where it really is; other hosts are their own place.
        asked: address of each request.
        address: what HTTP_PROXY shall be.
    """

    known: Mapping[str, str]
    asked: list[str] = field(default_factory=list)
    address: str = ""


class Handler(BaseHTTPRequestHandler):
    """Passes one request after the other on; the answer ends with the connection."""

    proxy: Proxy

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests look at `Proxy.asked`."""

    def do_GET(self) -> None:
        """Pass it on and send back what comes."""
        there = urlsplit(self.path)
        host = there.hostname or ""
        self.proxy.asked.append(self.path)
        other = HTTPConnection(self.proxy.known.get(host, host), there.port or 80)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in KEPT_BACK}
        path = there.path + (f"?{there.query}" if there.query else "")
        other.request(self.command, path, headers=headers)
        answer = other.getresponse()
        self.send_response(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in KEPT_BACK:
                self.send_header(name, value)
        self.end_headers()
        shutil.copyfileobj(answer, self.wfile)
        other.close()

    do_HEAD = do_GET


@contextmanager
def forwarding(known: Mapping[str, str]) -> Iterator[Proxy]:
    """A running proxy."""
    proxy = Proxy(known)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"proxy": proxy}))
    server.daemon_threads = True
    proxy.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
