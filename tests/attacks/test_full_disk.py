"""The token cannot be written: said clearly, and nothing half written is left."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.server.credential import token_file
from backend.worker import as_error
from protocol.errors import ErrorCode, LayerDiffusionError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES], ids=errno.errorcode.get)
@pytest.mark.parametrize("function", ["open", "fsync"])
def test_a_token_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int
) -> None:
    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, function, full)
    with pytest.raises(LayerDiffusionError) as failed, token_file(tmp_path / "token"):
        pass
    assert failed.value.code is ErrorCode.DISK_FULL
    assert os.strerror(number) in failed.value.message and "token" in failed.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("")
    run = subprocess.run(
        [sys.executable, "-m", "backend", "serve", "--state-file", str(tmp_path / "folder" / "token")],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    failed = json.loads(run.stdout)
    assert run.returncode != 0
    assert (failed["event"], failed["code"]) == ("failed", "disk_full")
    assert "--state-file" in failed["hint"] and failed["message"] in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), ErrorCode.DISK_FULL),
        (OSError(errno.EIO, "Input/output error"), ErrorCode.INTERNAL),
        (MemoryError(), ErrorCode.OUT_OF_MEMORY),
        (ValueError("shapes differ"), ErrorCode.INTERNAL),
        (LayerDiffusionError(ErrorCode.NOT_FINITE), ErrorCode.NOT_FINITE),
    ],
    ids=["disk", "device", "memory", "bug", "known"],
)
def test_what_goes_wrong_in_the_worker_gets_a_code(error: Exception, code: ErrorCode) -> None:
    assert as_error(error).code is code
