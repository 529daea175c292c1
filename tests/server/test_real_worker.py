"""Server, worker and engine together, with a tiny random model: noise instead of pictures, all else as in earnest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend import models
from backend.engine.generate import generate
from protocol.errors import ErrorCode
from protocol.job import Phase
from protocol.messages import (
    Acknowledge,
    Cancel,
    Cancelled,
    Done,
    Failed,
    Generate,
    Queued,
    Refused,
    Running,
    Started,
    build,
)  # fmt: skip
from protocol.request import Input, Operation, Request, Source
from tests.engine import tiny

from .harness import TIMEOUT, Client, new_id, pixels_of
from .program import ROOT, SERVE, Process, client_of


@pytest.fixture(scope="module")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny.write_folder(folder / "checkpoints" / "tiny")
    (folder / "layers").mkdir()
    tiny.write_layers(folder / "layers")
    return folder


@pytest.fixture(scope="module")
def server(models_folder: Path) -> Iterator[tuple[Process, dict]]:
    """The program, with its ready line."""
    program = Process(
        [*SERVE, "--parent", str(os.getpid()), "--state-file", str(models_folder / "token")],
        stderr=None,
        LAYER_DIFFUSION_MODELS=str(models_folder),
    )
    yield program, program.line()
    program.close_stdin()
    assert program.process.wait(TIMEOUT) == 0


@pytest.fixture
def client(server: tuple[Process, dict]) -> Iterator[Client]:
    with client_of(server[1]) as client:
        yield client


def _request(**changes: object) -> Request:
    settings = dict(
        operation=Operation.OBJECT, model="tiny", prompt="a red apple", negative="", width=100, height=64, steps=3,
        cfg=5.0, seed=7, batch=2,
    )  # fmt: skip
    return Request(**settings | changes)  # type: ignore[arg-type]


def _start(client: Client, request: Request) -> str:
    job = new_id()
    client.send(Generate(job, request))
    return job


def test_a_prompt_becomes_the_layers_that_the_engine_makes(
    client: Client, models_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "tiny" in [model.id for model in client.welcome.models]
    job = _start(client, _request())
    client.until(Queued, job)
    client.until(Started, job)
    phases: list[Phase] = []
    fractions: list[float] = []
    while isinstance(message := client.receive(), Running):
        phases.append(message.progress.phase)
        fractions.append(message.progress.fraction)
    assert list(dict.fromkeys(phases)) == [Phase.LOADING, Phase.PROMPT, Phase.DENOISING, Phase.DECODING]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert isinstance(message, Done) and message.job == job
    # Sent once more, as a client asks that has lost the first.
    client.send(Generate(job, _request()))
    result = client.result(job)
    client.send(Acknowledge(job))

    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(models_folder))
    expected = generate(_request(), (), models.resolve("tiny"), lambda _: None, lambda: False)
    assert [layer.header for layer in result.layers] == [layer.header for layer in expected.layers]
    assert result.made_with == expected.made_with
    for ours, theirs in zip(result.layers, expected.layers, strict=True):
        ours, theirs = (np.frombuffer(layer.pixels, np.uint8).astype(int) for layer in (ours, theirs))
        assert np.abs(ours - theirs).max() <= 1, "one step of rounding"


def test_pictures_reach_the_engine(client: Client, models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = (Input(Source.BACKGROUND, 70, 64), Input(Source.INIT, 64, 96))
    what = replace(_request(batch=1), operation=Operation.OBJECT_ON_BACKGROUND, inputs=inputs, strength=0.5)
    result = client.result(client.generate_from(what))
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(models_folder))
    expected = generate(what, pixels_of(what), models.resolve("tiny"), lambda _: None, lambda: False)
    assert [layer.role for layer in result.layers] == list(what.operation.makes)
    assert [layer.header for layer in result.layers] == [layer.header for layer in expected.layers]
    for ours, theirs in zip(result.layers, expected.layers, strict=True):
        ours, theirs = (np.frombuffer(layer.pixels, np.uint8).astype(int) for layer in (ours, theirs))
        assert np.abs(ours - theirs).max() <= 1, "one step of rounding"


def test_a_cancelled_job_gives_the_worker_back(client: Client) -> None:
    job = _start(client, _request(steps=150, batch=16))
    while client.until(Running, job).progress.phase is not Phase.DENOISING:
        pass
    client.send(Cancel(job))
    assert client.until(Cancelled).job == job
    following = _start(client, _request(batch=1, steps=1))
    assert client.result(following).request.steps == 1


def test_a_worker_killed_in_the_middle_of_a_job(server: tuple[Process, dict], client: Client) -> None:
    job = _start(client, _request(steps=150, batch=16))
    while client.until(Running, job).progress.phase is not Phase.DENOISING:
        pass
    os.kill(_worker_of(server[0].process.pid), signal.SIGKILL)
    failed = client.until(Failed)
    assert (failed.job, failed.error.code) == (job, ErrorCode.WORKER_DIED)
    following = _start(client, _request(batch=1, steps=1))
    assert client.result(following).request.steps == 1


def _worker_of(server: int) -> int:
    """The process id of the worker, among the server's children."""
    children = [
        child
        for task in Path(f"/proc/{server}/task").iterdir()
        for child in (task / "children").read_text().split()
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    (worker,) = children
    return int(worker)


def test_a_missing_layer_file_is_said_at_once(client: Client, models_folder: Path) -> None:
    path = models_folder / "layers" / tiny.LAYER_FILE
    hidden = path.rename(path.with_suffix(".hidden"))
    job = _start(client, _request())
    refused = client.until(Refused)
    hidden.rename(path)
    assert (refused.job, refused.error.code) == (job, ErrorCode.MISSING_FILE)
    assert tiny.LAYER_FILE in refused.error.message


def test_a_file_damaged_after_it_was_loaded_fails_only_the_job(client: Client, models_folder: Path) -> None:
    path = models_folder / "layers" / tiny.LAYER_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    job = _start(client, _request())
    while not isinstance(message := client.receive(), Failed | Refused):
        pass
    path.write_bytes(whole)
    assert (message.job, message.error.code) == (job, ErrorCode.BAD_CHECKPOINT)
    following = _start(client, _request(batch=1, steps=1))
    assert client.result(following).request.steps == 1


def test_the_wish_to_save_memory_reaches_the_choice_of_the_device(models_folder: Path) -> None:
    message = build(Generate(new_id(), _request()))
    lines = ["import asyncio, os, sys", "from multiprocessing import Pipe", "from backend.engine import generate"]
    lines += [
        "from backend.server.workers import targets",
        "generate.choose = lambda *of: (print(*of, file=sys.stderr, flush=True), os._exit(0))",
        "ours, other = Pipe()",
        f"other.send_bytes({message.encode()!r})",
        "asyncio.run(targets(save_memory=True))[0](ours)",
    ]
    environment = os.environ | {"LAYER_DIFFUSION_MODELS": str(models_folder)}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, cwd=ROOT, env=environment
    )
    assert done.stderr.splitlines()[-1:] == ["sd15 True"]
