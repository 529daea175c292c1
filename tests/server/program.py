"""The server as a program of its own, started and watched by a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from ssl import SSLContext
from typing import Any

from websockets.sync.client import connect

from protocol.images import MAX_FRAME
from protocol.messages import Diagnose, Diagnostics

from .harness import TIMEOUT, Client, new_id

ROOT = Path(__file__).parents[2]
SERVE = [sys.executable, "-m", "backend", "serve"]


class Process:
    """A program whose standard input stays open until `close_stdin`; `stderr` is as in `Popen`."""

    def __init__(self, command: list[str], stderr: int | None = subprocess.PIPE, **environment: str) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def line(self) -> dict[str, Any]:
        """Read one line of JSON."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def close_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; return exit status and the rest of both outputs."""
        assert self.process.stdout is not None and self.process.stderr is not None
        output, errors = self.process.stdout.read(), self.process.stderr.read()
        return self.process.wait(TIMEOUT), output, errors


def client_of(ready: dict[str, Any], context: SSLContext | None = None) -> Client:
    """Connect to the server that printed this ready line, with TLS if there is a context, and greet."""
    token = Path(ready["token_file"]).read_text().strip()
    return Client(
        connect(
            f"{'wss' if context else 'ws'}://{ready['host']}:{ready['port']}/",
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,
            max_size=MAX_FRAME,
            proxy=None,
            ssl=context,
        ),
        new_id(),
    )


def until_workers(client: Client, wanted: str) -> Diagnostics:
    """Ask for the diagnostics until they tell this of the workers."""
    while True:
        client.send(Diagnose())
        told = client.until(Diagnostics)
        if told.report["workers"] == wanted:
            return told
