"""What the program writes down for those who look for a fault."""

from __future__ import annotations

import signal
from pathlib import Path

from protocol.messages import Unload, Unloaded

from .program import SERVE, Process, client_of, until_workers


def test_the_log_goes_to_standard_error_and_into_the_diagnostics(tmp_path: Path) -> None:
    server = Process([*SERVE, "--save-memory"], XDG_RUNTIME_DIR=str(tmp_path), LAYER_DIFFUSION_MODELS=str(tmp_path))
    try:
        with client_of(server.line()) as client:
            until_workers(client, "1 running of 1")
            client.send(Unload())
            client.until(Unloaded)
            told = until_workers(client, "0 running of 1")
        server.process.send_signal(signal.SIGTERM)
        status, _, errors = server.end()
    finally:
        server.process.kill()
        server.process.wait()
    ended = [line for line in told.log if "worker process was ended" in line]
    assert len(ended) == 1 and ended[0] in errors
    assert status == 0 and told.report["graphics"]
    assert told.report["models folder"] == str(tmp_path) and told.report["idle minutes"] == "15"
    assert told.report["saves memory"] == "yes"
    assert told.report["listens on"].startswith("127.0.0.1:") and told.report["encrypted"] == "no"
