"""What the program writes down for those who look for a fault."""

from __future__ import annotations

import signal
from pathlib import Path

from protocol.messages import Diagnose, Diagnostics, Unload, Unloaded

from .program import SERVE, Process, client_of


def test_the_log_goes_to_standard_error_and_into_the_diagnostics(tmp_path: Path) -> None:
    server = Process(SERVE, XDG_RUNTIME_DIR=str(tmp_path), LAYER_DIFFUSION_MODELS=str(tmp_path))
    try:
        with client_of(server.line()) as client:
            client.send(Unload())
            client.until(Unloaded)
            client.send(Diagnose())
            told = client.until(Diagnostics)
        server.process.send_signal(signal.SIGTERM)
        status, _, errors = server.end()
    finally:
        server.process.kill()
        server.process.wait()
    ended = [line for line in told.log if "worker process was ended" in line]
    assert len(ended) == 1 and ended[0] in errors
    assert status == 0 and told.report["graphics"]
