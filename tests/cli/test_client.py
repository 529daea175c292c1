from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from backend.client import Client, running_backend
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.job import Box
from protocol.request import Operation, Request

ROOT = Path(__file__).parents[2]
REQUEST = Request(Operation.OBJECT, "tiny", "a red apple", "", 72, 64, 2, 5.0, 1, 2)


def test_whole_way_over_the_websocket(tiny_model):
    progress = []
    with running_backend() as address:
        with Client(address) as client:
            assert "tiny" in [model.id for model in client.models]
            result = client.generate(REQUEST, report=progress.append)
        assert [(layer.box, layer.seed) for layer in result.layers] == [(Box(0, 0, 72, 64), 1), (Box(0, 0, 72, 64), 2)]
        fractions = [report.fraction for report in progress]
        assert fractions == sorted(fractions) and fractions[-1] == 1

        with Client(address) as client, pytest.raises(LayerDiffusionError) as caught:
            client.generate(dataclasses.replace(REQUEST, model="none"))
        assert caught.value.code is ErrorCode.UNKNOWN_MODEL

        with pytest.raises(LayerDiffusionError) as caught:
            Client(dataclasses.replace(address, token="0" * 64))
        assert caught.value.code is ErrorCode.UNAUTHORIZED
    with pytest.raises(LayerDiffusionError, match="No backend answers"):
        Client(address)


def test_backend_that_cannot_start_says_why():
    with pytest.raises(LayerDiffusionError, match="cannot listen"), running_backend(["--host", "192.0.2.1"]):
        pass


def test_serve_imports_no_torch():
    program = "import sys, backend.__main__ as m, backend.server; m._parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
