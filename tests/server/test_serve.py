"""The program itself: its first line, its token file, and when it stops."""

from __future__ import annotations

import os
import signal
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.exceptions import InvalidMessage

from protocol import VERSION

from .harness import TIMEOUT
from .program import SERVE, Process, client_of, until_workers


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Start a program with its runtime folder in the test's own; whatever still runs at the end is killed."""
    with ExitStack() as stack:

        def run(*arguments: str, command: list[str] = SERVE, **environment: str) -> Process:
            folders = {"XDG_RUNTIME_DIR": str(tmp_path), "LAYER_DIFFUSION_MODELS": str(tmp_path)}
            started = Process([*command, *arguments], subprocess.PIPE, **folders, **environment)
            stack.callback(started.process.wait)
            stack.callback(started.process.kill)
            return started

        yield run


def test_the_ready_line_tells_all_a_client_needs(start: Any, tmp_path: Path) -> None:
    server = start()
    ready = server.line()
    file = Path(ready.pop("token_file"))
    assert file.parent == tmp_path / "layer-diffusion"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert len(bytes.fromhex(file.read_text())) == 32
    port = ready.pop("port")
    assert ready == {
        "event": "ready", "host": "127.0.0.1", "tls": False, "version": VERSION, "pid": server.process.pid,
    }  # fmt: skip
    with client_of({"token_file": file, "host": "127.0.0.1", "port": port}) as client:
        assert client.welcome.version == VERSION


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for the driver's tool is a shell script")
def test_clients_connect_before_the_driver_has_answered(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    answer = tmp_path / "answer"
    os.mkfifo(answer)
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\n[ "$1" = --query-gpu=uuid ] && exec cat "{answer}"\nexit 9\n')
    tool.chmod(0o755)
    server = start(PATH=f"{tmp_path}:{os.environ['PATH']}")
    with client_of(server.line()) as client:
        until_workers(client, "0 running of 0")
        # Fails unless the tool still waits at the other end.
        with open(os.open(answer, os.O_WRONLY | os.O_NONBLOCK), "w") as said:
            said.write("GPU-1\nGPU-2\n")
        until_workers(client, "1 running of 2")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_removes_the_token(start: Any, number: int) -> None:
    server = start()
    file = Path(server.line()["token_file"])
    server.process.send_signal(number)
    assert server.end()[0] == 0
    assert not file.exists()


def test_every_start_has_its_own_token_and_the_file_is_where_it_was_asked_for(start: Any, tmp_path: Path) -> None:
    tokens = set()
    for name in ("a", "b"):
        path = tmp_path / "new folder" / name
        assert start("--state-file", str(path)).line()["token_file"] == str(path)
        tokens.add(path.read_text())
    assert len(tokens) == 2 and stat.S_IMODE((tmp_path / "new folder").stat().st_mode) == 0o700


def test_a_token_file_left_behind_is_replaced_with_its_mode(start: Any, tmp_path: Path) -> None:
    path, target = tmp_path / "token", tmp_path / "target"
    target.write_text("not ours")
    target.chmod(0o666)
    path.symlink_to(target)
    start("--state-file", str(path)).line()
    assert not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert target.read_text() == "not ours"


def test_the_token_of_a_later_server_in_the_same_file_stays(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "token"
    first = start("--state-file", str(path))
    first.line()
    ready = start("--state-file", str(path)).line()
    first.process.send_signal(signal.SIGTERM)
    assert first.end()[0] == 0
    with client_of(ready) as client:
        assert client.welcome.version == VERSION


def test_it_stops_when_stdin_closes(start: Any) -> None:
    server = start("--parent", str(os.getpid()))
    file = Path(server.line()["token_file"])
    server.close_stdin()
    assert server.end()[0] == 0
    assert not file.exists()


def test_without_a_parent_stdin_does_not_matter(start: Any) -> None:
    server = start()
    ready = server.line()
    server.close_stdin()
    with client_of(ready) as client:
        assert client.welcome.version == VERSION


def test_it_stops_when_another_process_is_gone(start: Any) -> None:
    parent = start(command=[sys.executable, "-c", "input()"])
    server = start("--parent", str(parent.process.pid))
    server.line()
    parent.process.kill()
    parent.process.wait()
    assert server.end()[0] == 0


def test_it_stops_when_its_own_parent_is_killed(start: Any) -> None:
    program = "import os, subprocess, sys;sys.exit(subprocess.call([*sys.argv[1:], '--parent', str(os.getpid())]))"
    parent = start(command=[sys.executable, "-c", program, *SERVE])
    file = Path(parent.line()["token_file"])
    # The test holds the other end of the standard input that both share, so only the process id can tell; and it has
    # not collected the parent yet.
    parent.process.kill()
    assert parent.process.stdout is not None and parent.process.stdout.read() == ""
    assert not file.exists()


def test_the_worker_ends_with_a_server_that_is_killed(start: Any) -> None:
    # A worker that stayed would keep standard error open, and reading it would not end.
    server = start()
    with client_of(server.line()) as client:
        client.websocket.ping().wait(TIMEOUT)
    server.process.kill()
    server.end()


def test_the_server_imports_no_torch(start: Any) -> None:
    program = (
        "import sys; from backend.server import serve; serve(parent=int(sys.argv[1]));"
        "print(*(name.partition('.')[0] for name in sys.modules))"
    )
    server = start(str(os.getpid()), command=[sys.executable, "-c", program])
    with client_of(server.line()) as client:
        client.generate(model="none")
        client.receive()
    server.close_stdin()
    status, output, errors = server.end()
    assert status == 0, errors
    modules = set(output.split())
    assert "websockets" in modules
    assert not modules & {"torch", "numpy", "diffusers", "transformers", "safetensors", "PIL", "cv2"}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--host", "no such host"], "no such host"),
        (["--port", "99999"], "99999"),
        (["--host", "0.0.0.0"], "one address"),
    ],
    ids=["host", "port", "all addresses"],
)
def test_an_address_that_cannot_be_had(start: Any, arguments: list[str], word: str) -> None:
    server = start(*arguments)
    failed = server.line()
    assert (failed["event"], failed["code"]) == ("failed", "invalid_request")
    assert word in failed["message"]
    status, output, errors = server.end()
    assert status != 0 and output == "" and failed["message"] in errors


def test_a_port_that_is_taken(start: Any) -> None:
    port = start().line()["port"]
    failed = start("--port", str(port)).line()
    assert failed["code"] == "invalid_request" and str(port) in failed["message"]


def test_encrypted_with_a_token_that_a_person_made(start: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, token = tmp_path / "backend.pem", tmp_path / "token"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    token.write_text("0123456789abcdef" * 2 + "\n")
    server = start("--host", "localhost", "--tls-certificate", str(certificate), "--token-file", str(token))
    ready = server.line()
    assert ready["tls"] and ready["token_file"] == str(token)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with client_of(ready, trusting) as client:
        assert client.welcome.version == VERSION
    with pytest.raises(ssl.SSLCertVerificationError):
        client_of(ready, ssl.create_default_context())
    with pytest.raises((InvalidMessage, ConnectionError, EOFError)):
        client_of(ready)
    server.process.send_signal(signal.SIGTERM)
    assert server.end()[0] == 0 and token.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this address without being asked")
@pytest.mark.parametrize(
    ("host", "encrypted", "warned"),
    [("127.0.0.2", False, True), ("127.0.0.2", True, False), ("localhost", False, False)],
)
def test_what_the_network_can_read_is_warned_of(
    start: Any, tmp_path: Path, host: str, encrypted: bool, warned: bool
) -> None:
    certificate = tmp_path / "backend.pem"
    trustme.CA().issue_cert(host).private_key_and_cert_chain_pem.write_to_path(certificate)
    server = start("--host", host, *(["--tls-certificate", str(certificate)] if encrypted else []))
    assert server.line()["event"] == "ready"
    server.process.send_signal(signal.SIGTERM)
    _, _, log = server.end()
    warnings = [line for line in log.splitlines() if " WARNING " in line and "can be read on the network" in line]
    assert len(warnings) == warned and all("--tls-certificate" in line and host in line for line in warnings)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--token-file", "{folder}/none"), "could not be read"),
        (("--token-file", "{folder}/short"), "one word of 32 characters"),
        (("--tls-certificate", "{folder}/short"), "cannot be used"),
        (("--tls-key", "{folder}/short"), "without a certificate"),
        (("--cluster", "127.0.0.1:1"), "cluster"),
    ],
)
def test_unusable_tokens_certificates_and_clusters_are_said(
    start: Any, tmp_path: Path, arguments: tuple[str, str], said: str
) -> None:
    (tmp_path / "short").write_text("short")
    server = start(*(argument.format(folder=tmp_path) for argument in arguments))
    failed = server.line()
    assert failed["event"] == "failed" and said in failed["message"] and failed["hint"]
    assert server.end()[0] == 2
