"""A backend that serves other machines tells none of them where things lie on its own, whatever goes wrong there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from backend.models import download, folder, install, registry
from backend.models.catalogue import BASE
from backend.models.library import Library
from protocol.errors import ErrorCode
from protocol.messages import (
    Diagnose,
    Diagnostics,
    Failed,
    Files,
    Install,
    Installed,
    ListFiles,
    Message,
    Refused,
    RemoveFiles,
    ScanFiles,
    VerifyFiles,
)
from protocol.private import without_places
from tests.engine import tiny
from tests.server.harness import Backend, Client

from .test_install import files, flip, hub, made  # noqa: F401 - the stand-in for the hub and its catalogue
from .test_library import names  # noqa: F401


class Hearing:
    """A client that keeps every text as it came over the websocket."""

    def __init__(self, client: Client) -> None:
        self._client, self.texts = client, [json.dumps(str(client.welcome))]
        receive = client.websocket.recv

        def recv(*rest: Any) -> Any:
            self.texts.append(data := receive(*rest))
            return data

        client.websocket.recv = recv  # type: ignore[method-assign]

    def ask(self, message: Message | str, answer: type[Message]) -> Any:
        """Send a message, or a job with this prompt, and return the answer of this kind."""
        self._client.generate(message) if isinstance(message, str) else self._client.send(message)
        return self._client.until(answer)


@pytest.fixture(params=[True, False], ids=["shared", "own"])
def running(request, names) -> Iterator[tuple[Backend, bool]]:  # noqa: F811
    yield Backend(is_shared=request.param), request.param


def test_no_path_reaches_a_client_of_a_shared_machine(running, hub, files, monkeypatch, tmp_path):  # noqa: F811
    backend, is_shared = running
    place = tmp_path / "Anna's big disk"
    (folder() / "checkpoints").mkdir(parents=True)
    (folder() / "checkpoints" / "old.ckpt").write_bytes(b"pickled")
    other, half = tiny.write_folder(place / "theirs"), tiny.write_folder(place / "half")
    (half / "unet" / "diffusion_pytorch_model.safetensors").rename(half / "unet" / "model.bin")
    registry.remember(folder(), [replace(registry.look(path), family="sd15", mode=BASE) for path in (other, half)])
    with backend, backend.client() as client:
        heard = Hearing(client)
        heard.ask(ListFiles(), Files)
        # The engine fails with a path of its own.
        failed = heard.ask(f"say {place}/models/x y.safetensors cannot be opened", Failed).error
        assert "x y.safetensors cannot be opened" in failed.message
        # There is no model of this name where the real library looks.
        backend.library.find = Library().find  # type: ignore[method-assign]
        assert heard.ask("paint", Refused).error.code is ErrorCode.UNKNOWN_MODEL
        # No room; no permission; an error that nobody thought of; a damaged file.
        with monkeypatch.context() as full:
            full.setattr(download, "SPARE", 2**80)
            assert heard.ask(Install(("all",)), Installed).error.code is ErrorCode.DISK_FULL
        (folder() / "layers").write_text("in the way")
        assert heard.ask(Install(("all",)), Installed).error.code is ErrorCode.DOWNLOAD_FAILED
        (folder() / "layers").unlink()
        with monkeypatch.context() as broken:
            broken.setattr(install, "_check_space", lambda *_: (place / "nowhere").read_bytes())
            assert heard.ask(Install(("all",)), Installed).error.code is ErrorCode.INTERNAL
        assert heard.ask(Install(("all",)), Installed).error is None
        flip(folder() / "layers" / files[0].name, keep_time=True)
        assert heard.ask(VerifyFiles(()), Installed).error.code is ErrorCode.BAD_CHECKPOINT
        assert heard.ask(Diagnose(), Diagnostics).errors
    told = "\n".join(heard.texts)
    assert (str(folder()) in told) is not is_shared and (tmp_path.name in told) is not is_shared
    assert is_shared or str(place) in told


def test_what_a_shared_machine_says_of_its_models_stays_useful(names, tmp_path):  # noqa: F811
    (folder() / "checkpoints").mkdir(parents=True)
    (folder() / "checkpoints" / "old.ckpt").write_bytes(b"pickled")
    with Backend(is_shared=True) as backend, backend.client() as client:
        client.send(ListFiles())
        (own,) = client.until(Files).models
        assert own.name == "old" and own.place == "" and "safetensors" in own.note
        client.send(Install(("nothing",)))
        assert "The bundles are" in client.until(Refused).error.hint


def test_nobody_looks_into_the_folders_of_a_shared_machine_or_takes_its_models(names, tmp_path):  # noqa: F811
    with Backend(is_shared=True) as running, running.client() as client:
        client.send(ScanFiles(str(tmp_path)))
        error = client.until(Refused).error
        assert error.code is ErrorCode.INVALID_REQUEST and "models scan FOLDER" in str(error)
        client.send(RemoveFiles(("all",)))
        error = client.until(Refused).error
        assert error.code is ErrorCode.INVALID_REQUEST and "models remove NAME" in error.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/srv/my models/a b.safetensors is damaged.", "a b.safetensors is damaged."),
        ("2 GB are free in /srv/models.", "2 GB are free in models."),
        ("[Errno 2] No such file: '/mnt/My Disk/x.bin'", "[Errno 2] No such file: 'x.bin'"),
        (r"C:\Users\Anna M\x.bin is bad", "x.bin is bad"), (r"\\nas\share\x.bin", "x.bin"),
        ("D:/x.bin, ~/.cache/y.bin", "x.bin, y.bin"), ('File "/usr/lib/x.py", line 3', 'File "x.py", line 3'),
        *((same, same) for same in (
            "see https://huggingface.co/a/b and http://10.0.0.1:80/a", "checkpoints/a.safetensors, SD1.5/SDXL",
            "12 MB/s and/or 1/2", "Connect to the path / of the same address.",
        )),
    ],
)  # fmt: skip
def test_of_a_path_the_last_name_is_told_and_addresses_stay(text, told):
    assert without_places(text) == told
