"""A real pip against an index with faults: each failure has one cause and one next step."""

from __future__ import annotations

import socket
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from installer import environment
from installer.pip import Cause, NoPip, Pip, PipError, arrived, explain

from . import wheels


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """pip of this Python, without any setting of this computer's."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    for variable in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "http_proxy", "https_proxy"):
        monkeypatch.delenv(variable, raising=False)
    return Pip(Path(sys.executable), tmp_path / "install.log")


@pytest.fixture
def stock(tmp_path):
    (tmp_path / "stock").mkdir()
    wheels.wheel(tmp_path / "stock", "torch", "2.13.0", "torch", "x = 1\n" * 2000)
    return tmp_path / "stock"


def test_packages_arrive_and_are_counted(pip, stock, tmp_path, monkeypatch):
    with wheels.index(stock, wheels.Fault()) as address:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        pip.download(["torch==2.13.0"], tmp_path / "got")
    [file] = (tmp_path / "got").iterdir()
    assert file.read_bytes() == (stock / file.name).read_bytes()
    assert abs(pip.fetched - file.stat().st_size) < 1000


@pytest.mark.parametrize(("fault", "cause"), [("503", Cause.BUSY), ("cut", Cause.CUT), ("hash", Cause.HASH)])
def test_faults_of_the_index(pip, stock, tmp_path, monkeypatch, fault, cause):
    with wheels.index(stock, wheels.Fault(fault)) as address, pytest.raises(PipError) as caught:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        pip.download(["torch==2.13.0"], tmp_path / "got")
    # A cut-off file of unknown length can also be told by its wrong hash.
    assert caught.value.cause is cause or (fault == "cut" and caught.value.cause is Cause.HASH)
    assert not list((tmp_path / "got").glob("*.whl"))


def test_python_without_pip_is_named(tmp_path):
    venv.create(tmp_path / "bare", symlinks=True, with_pip=False)
    python = tmp_path / "bare/bin/python"
    with pytest.raises(NoPip, match=f"The Python {python} has no pip. Install it .*run the same command again"):
        Pip(python, tmp_path / "install.log").download(["torch"], tmp_path / "got")
    collect = [python, "-m", "installer", "collect", "--torch", "cpu", tmp_path / "stick"]
    answer = subprocess.run(collect, cwd=environment.ROOT, capture_output=True, text=True)
    assert answer.returncode == 2 and "has no pip" in answer.stderr and "Traceback" not in answer.stderr


def test_missing_release(pip, stock, tmp_path, monkeypatch):
    with wheels.index(stock, wheels.Fault()) as address, pytest.raises(PipError) as caught:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        pip.download(["torch==9"], tmp_path / "got")
    assert "no build of torch==9 for Python" in str(caught.value)
    assert caught.value.cause is Cause.MISSING and not caught.value.began


def test_nobody_answers(pip, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    with pytest.raises(PipError) as caught:
        pip.download(["torch==2.13.0"], tmp_path / "got")
    assert caught.value.cause is Cause.NETWORK and "--offline" in str(caught.value)


def test_proxy_that_is_not_there(pip, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.invalid/simple")
    with pytest.raises(PipError) as caught:
        pip.download(["torch==2.13.0"], tmp_path / "got")
    assert caught.value.cause is Cause.PROXY and "--proxy" in str(caught.value)


def test_offline_folder_asks_no_index(stock, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.invalid/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    pip = Pip(Path(sys.executable), tmp_path / "install.log", offline=stock)
    pip.download(["torch==2.13.0"], tmp_path / "got")
    assert [path.name for path in (tmp_path / "got").iterdir()] == ["torch-2.13.0-py3-none-any.whl"]
    assert pip.fetched == 0


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", Cause.DISK),
        ("SSLError(SSLCertVerificationError(1, 'certificate verify failed'))\nNo matching distribution found for torch",
         Cause.CERTIFICATE),
        ("ERROR: [WinError 5] Access is denied: 'C:\\\\x\\\\torch.dll'", Cause.ACCESS),
        ("Failed to establish a new connection: [Errno -2] Name or service not known\nNo matching distribution found",
         Cause.NETWORK),
        ("something never seen before", Cause.OTHER),
    ],
)
def test_what_pip_says(said, cause):
    error = explain(said, Path("install.log"))
    assert error.cause is cause
    assert str(error).count(". ") >= 1 and "\n" not in str(error)


def test_ended_by_the_system_for_its_memory():
    assert explain("Collecting torch", Path("install.log"), -9).cause is Cause.MEMORY


def test_downloads_are_added_up():
    said = "Downloading a-1.whl (1.5 MB)\nUsing cached b-1.whl (9 MB)\n  Downloading c-1.whl (2.5 kB)\n"
    assert arrived(said) == 1_502_500
