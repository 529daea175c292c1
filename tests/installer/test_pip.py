"""A real pip against an index with faults: each failure has one cause and one next step."""

from __future__ import annotations

import socket
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from installer import environment
from installer.pip import Cause, NoPip, Pip, PipError, arrived, explain, unpacks_unseen

from . import wheels


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """pip of this Python, without any setting of this computer's; its folder is `tmp_path`."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    for variable in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "http_proxy", "https_proxy"):
        monkeypatch.delenv(variable, raising=False)
    return Pip(Path(sys.executable), tmp_path)


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
        Pip(python, tmp_path).download(["torch"], tmp_path / "got")
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
    pip = Pip(Path(sys.executable), tmp_path, offline=stock)
    pip.download(["torch==2.13.0"], tmp_path / "got")
    assert [path.name for path in (tmp_path / "got").iterdir()] == ["torch-2.13.0-py3-none-any.whl"]
    assert pip.fetched == 0


SAID = {
    Cause.DISK: "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
    Cause.HASH: "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
    Cause.PROXY: "ProxyError('Cannot connect to proxy.', NewConnectionError('...'))",
    Cause.CERTIFICATE: "SSLError(SSLCertVerificationError(1, 'certificate verify failed'))\n"
    "ERROR: No matching distribution found for torch",
    Cause.CUT: "ReadTimeoutError(\"HTTPSConnectionPool(host='files.example', port=443): Read timed out.\")",
    Cause.BUSY: "ERROR: HTTP error 503 while getting https://index.example/torch.whl",
    Cause.NETWORK: "Failed to establish a new connection: [Errno -2] Name or service not known\n"
    "ERROR: No matching distribution found for torch",
    Cause.ACCESS: "ERROR: [WinError 5] Access is denied: 'C:\\\\x\\\\torch.dll'",
    Cause.MEMORY: "MemoryError",
    Cause.CONFLICT: "ERROR: Cannot install torch==9 because these package versions have conflicting dependencies.\n"
    "ERROR: ResolutionImpossible: for help visit https://pip.example",
    Cause.MISSING: "ERROR: No matching distribution found for torch==9",
    Cause.OTHER: "Collecting torch\nERROR: Something never seen before.",
}


@pytest.mark.parametrize(
    ("cause", "message", "step"),
    [
        (Cause.DISK, "The disk is full.", "Free some space, or choose another folder with --home"),
        (Cause.HASH, "A package arrived damaged.", "Run the same command again"),
        (Cause.PROXY, "The proxy refuses or does not answer.", "Name it with --proxy"),
        (Cause.CERTIFICATE, "a certificate that this computer does not trust.", "set PIP_CERT to its certificate"),
        (Cause.CUT, "The connection broke off.", "Wait a little, then run the same command again"),
        (Cause.BUSY, "The package index is overloaded", "Wait some minutes, then run the same command again"),
        (Cause.NETWORK, "The package index cannot be reached.", "Check the network connection"),
        (Cause.ACCESS, "A file cannot be written.", "Close Krita and every program that uses the environment"),
        (Cause.MEMORY, "The memory is used up.", "Close other programs, then run the same command again"),
        (Cause.CONFLICT, "Cannot install torch==9 because these package versions have conflicting dependencies.",
         "`pip config list` names the constraint or the index that holds one back: change it, then run the same"),
        (Cause.MISSING, "The package index has no build of torch==9 for Python", "Use Python 3.11 to 3.14 (64 bit)"),
        (Cause.OTHER, "pip could not install the packages: Something never seen before.",
         "Run the same command again; if it stays so, report this sentence with install.log."),
    ],
    ids=lambda value: value.name if isinstance(value, Cause) else "",
)
def test_each_failure_has_one_cause_and_one_next_step(cause, message, step):
    error = explain(SAID[cause], Path("install.log"))
    assert error.cause is cause
    said, _, hint = str(error).partition(step)
    assert message in said and said.endswith(" ") and step in str(error) and "\n" not in str(error)


def test_every_cause_is_known_by_what_pip_says():
    assert set(SAID) == set(Cause)


def test_words_of_pip_that_are_no_error_are_not_taken_for_one():
    said = str(explain("Collecting torch\nKeyError: 'torch'\n", Path("install.log")))
    assert said.startswith("pip could not install the packages: KeyError: 'torch'. Run")
    said = str(explain("", Path("install.log"), 3))
    assert said.startswith("pip could not install the packages: it ended with status 3. Run")


def test_releases_that_exclude_each_other(pip, stock, tmp_path, monkeypatch):
    (tmp_path / "constraints.txt").write_text("torch<2\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "constraints.txt"))
    with wheels.index(stock, wheels.Fault()) as address, pytest.raises(PipError) as caught:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        pip.download(["torch==2.13.0"], tmp_path / "got")
    assert caught.value.cause is Cause.CONFLICT and str(caught.value).startswith("Cannot install torch==2.13.0 because")


COLLECTED = "2026-11-27T10:00:00,123 Using pip {} from /env/pip (python 3.11)\n2026-11-27T10:00:01,123 {}\n"


@pytest.mark.parametrize(
    ("version", "packages", "unseen"),
    [("24.0", "torch", True), ("24.0", "numpy, torch", True), ("25.3", "torch", True), ("25.3", "numpy, torch", False)],
)
def test_unpacking_that_pip_does_not_show_is_known(version, packages, unseen):
    said = COLLECTED.format(version, f"Installing collected packages: {packages}")
    assert unpacks_unseen(said) is unseen
    assert not unpacks_unseen(COLLECTED.format(version, "Collecting torch"))
    assert not unpacks_unseen(said + f"Successfully installed {packages}")


def test_ended_by_the_system_for_its_memory():
    assert explain("Collecting torch", Path("install.log"), -9).cause is Cause.MEMORY


def test_downloads_are_added_up():
    said = "Downloading a-1.whl (1.5 MB)\nUsing cached b-1.whl (9 MB)\n  Downloading c-1.whl (2.5 kB)\n"
    assert arrived(said) == 1_502_500
