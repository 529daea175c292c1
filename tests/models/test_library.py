"""What the server offers its clients about models, over a real websocket and with a stand-in for the hub."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.models import folder, installed, library, scan, wanted
from backend.models.bundles import Bundle
from backend.models.control import Control
from backend.models.library import Library
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.library import FileState
from protocol.messages import (
    CancelInstall,
    Files,
    Install,
    Installed,
    Installing,
    ListFiles,
    Models,
    PauseInstall,
    Refused,
    RemoveFiles,
    ResumeInstall,
    ScanFiles,
    VerifyFiles,
)
from tests.engine import tiny
from tests.server.harness import Backend, Client

from .hub import Fault
from .test_install import files, hub, made  # noqa: F401 - the stand-in for the hub and its catalogue


@pytest.fixture
def names(files, monkeypatch) -> list[str]:  # noqa: F811
    monkeypatch.setattr(library, "CATALOGUE", files)
    monkeypatch.setattr(library, "BASES", ())
    monkeypatch.setattr(library, "BUNDLES", (Bundle("all", "everything", files),))
    return [file.name for file in files]


@pytest.fixture
def backend(names) -> Iterator[Backend]:
    with Backend() as running:
        yield running


def listing(client: Client) -> dict[str, FileState]:
    client.send(ListFiles())
    return {file.name: file.state for file in client.until(Files).files}


def test_a_bundle_is_installed_in_front_of_everybody_and_removed(backend, names):
    with backend.client() as client, backend.client() as other:
        client.send(ListFiles())
        found = client.expect(Files)
        assert [bundle.name for bundle in found.bundles] == ["all"] and found.bundles[0].files == tuple(names)
        assert {file.state for file in found.files} == {FileState.MISSING} and found.download is None
        client.send(Install(("all",)))
        assert client.until(Models).loras == ()
        assert client.expect(Installed) == Installed(("all",), None) == other.until(Installed)
        assert set(listing(other).values()) == {FileState.INSTALLED}
        other.send(RemoveFiles((names[0],)))
        assert next(file for file in other.until(Files).files if file.name == names[0]).state is FileState.MISSING
        client.until(Models)


def test_the_last_report_has_all_bytes(backend, files):  # noqa: F811
    with backend.client() as client:
        client.send(Install(("all",)))
        reports = []
        while not isinstance(message := client.receive(), Installed):
            if isinstance(message, Installing):
                reports.append(message.download)
        total = sum(file.size for file in files)
        assert (reports[-1].done, reports[-1].total) == (total, total)
        assert [report.done for report in reports] == sorted(report.done for report in reports)


def test_pause_resume_and_cancel_keep_what_has_come(backend, hub, names):  # noqa: F811
    gates = [threading.Event() for _ in names]
    hub.faults.extend(Fault(cut=1000, gate=gate) for gate in gates)
    with backend.client() as client, backend.client() as other:
        client.send(Install(("all",)))
        while client.until(Installing).download.done < 1000:
            pass
        other.send(Install(("all",)))
        assert other.until(Refused).error.code is ErrorCode.INVALID_REQUEST
        other.send(RemoveFiles(("all",)))
        assert other.until(Refused).error.code is ErrorCode.INVALID_REQUEST
        client.send(PauseInstall())
        while not client.until(Installing).download.paused:
            pass
        client.send(ListFiles())
        download = client.until(Files).download
        assert download is not None and download.paused
        for stop in (ResumeInstall(), CancelInstall()):
            other.send(stop)
            assert "Another client" in other.until(Refused).error.message
        client.send(ResumeInstall())
        while client.until(Installing).download.paused:
            pass
        client.send(CancelInstall())
        for gate in gates:
            gate.set()
        ended = client.until(Installed)
        assert ended.error is not None and ended.error.code is ErrorCode.CANCELLED_BY_USER
        states = listing(client)
        assert {name for name, state in states.items() if state is FileState.PARTIAL} == {
            part.name.removesuffix(".part") for part in folder().rglob("*.part")
        }
        client.send(Install(("all",)))
        assert client.until(Installed).error is None
        assert set(listing(client).values()) == {FileState.INSTALLED}


def begin_and_pause(client):
    """Install everything, up to a thousand bytes of the first file."""
    client.send(Install(("all",)))
    while client.until(Installing).download.done < 1000:
        pass
    client.send(PauseInstall())
    while not client.until(Installing).download.paused:
        pass


def test_while_it_is_paused_nothing_comes(backend, hub, names):  # noqa: F811
    gates = [threading.Event() for _ in names]
    hub.faults.extend(Fault(cut=1000, gate=gate) for gate in gates)
    with backend.client() as client:
        begin_and_pause(client)
        for gate in gates:
            gate.set()
        with pytest.raises(TimeoutError):
            while True:
                client.websocket.recv(0.5)
        assert not any((folder() / "layers").glob("*.safetensors"))
        client.send(ResumeInstall())
        assert client.until(Installed).error is None
        assert set(listing(client).values()) == {FileState.INSTALLED}


def test_what_was_cancelled_is_kept_and_no_more_offered(backend, hub, names):  # noqa: F811
    gate = threading.Event()
    hub.faults.extend(Fault(cut=1000, gate=gate) for _ in names)
    with backend.client() as client:
        begin_and_pause(client)
        gate.set()  # it takes nothing while it is paused, and cannot be whole before it is cancelled
        client.send(CancelInstall())
        client.until(Installed)
        client.send(ListFiles())
        files = client.until(Files)
        assert FileState.PARTIAL in {file.state for file in files.files} and files.waiting == ()
    backend.stop()
    with Backend() as again, again.client() as client:
        client.send(ListFiles())
        files = client.until(Files)
        assert files.download is None and files.waiting == ()


def test_what_was_on_its_way_when_the_server_ended_goes_on_by_itself(hub, names):  # noqa: F811
    gate, control = threading.Event(), Control()
    hub.faults.extend(Fault(cut=1000, gate=gate) for _ in names)

    def end(done: int, total: int) -> None:
        """As the server does when it ends."""
        if done >= 1000:
            control.cancel()
            gate.set()

    with pytest.raises(LayerDiffusionError):
        Library().install(("all",), control, end)
    hub.faults.clear()
    with Backend() as again, again.client() as client, again.client() as other:
        assert client.until(Installed) == Installed(("all",), None) == other.until(Installed)
        assert set(listing(client).values()) == {FileState.INSTALLED} and any(hub.ranges)


def test_it_goes_on_without_its_client_and_stops_with_the_server(backend, hub, names):  # noqa: F811
    gates = [threading.Event() for _ in names]
    hub.faults.extend(Fault(cut=1000, gate=gate) for gate in gates)
    with backend.client() as client:
        client.send(Install(("all",)))
        while client.until(Installing).download.done < 1000:
            pass
    with backend.client() as client:
        client.send(ListFiles())
        assert client.until(Files).download is not None
        client.send(PauseInstall())  # anybody may when who began it is gone
        while not client.until(Installing).download.paused:
            pass
    for gate in gates:
        gate.set()
    backend.stop()
    hub.faults.clear()
    with Backend() as again, again.client() as client:
        client.send(ListFiles())
        files = client.until(Files)
        assert files.download is None and files.waiting == ("all",)  # it was paused
        states = {file.name: file.state for file in files.files}
        assert set(states.values()) == {FileState.PARTIAL} and not all(any(folder().rglob(f"{n}.part")) for n in states)
        client.send(Install(("all",)))
        assert client.until(Installed).error is None
        assert set(listing(client).values()) == {FileState.INSTALLED} and any(hub.ranges)


def test_what_is_wanted_is_offered_until_it_comes_or_is_given_up(hub, names):  # noqa: F811
    def states() -> list[FileState]:
        return [file.state for file in Library().files()[1]]

    hub.announcing.extend(Fault(status=404) for _ in names)
    with pytest.raises(LayerDiffusionError):
        Library().install(("all",), Control(), lambda done, total: None)
    assert states() == [FileState.PARTIAL] * len(names) and Library().waiting() == ("all",)
    assert Library().on_its_way() == ()  # what failed is not begun again unasked
    Library().give_up(names[:1])
    Library().remove(names[1:2])
    assert states() == [FileState.MISSING] * 2 + [FileState.PARTIAL] * (len(names) - 2)
    Library().install(("all",), Control(), lambda done, total: None)
    assert states() == [FileState.INSTALLED] * len(names) and not (folder() / wanted.NAME).exists()
    for damaged in ("{", "3", '["one"]', '{"files": 3}', '{"files": {"one": 2}}', '{"more": 1}'):
        (folder() / wanted.NAME).write_text(damaged)
        assert wanted.wanted(folder()).files == {}
    (folder() / wanted.NAME).write_text('{"files": {"gone.safetensors": "gone"}}')
    assert Library().on_its_way() == ()


def test_what_other_programs_have_is_used_and_not_downloaded(backend, hub, files, made):  # noqa: F811
    other = Path.home() / "ComfyUI" / "models" / "layer_model" / files[0].name
    other.parent.mkdir(parents=True)
    other.write_bytes((made / files[0].name).read_bytes())
    with backend.client() as client:
        client.send(Install(("all",)))
        assert client.until(Installed).error is None
        assert listing(client)[files[0].name] is FileState.ELSEWHERE
    assert len(hub.ranges) == len(files) - 1


def test_what_is_damaged_is_named_counts_as_missing_and_comes_again(backend, names):
    with backend.client() as client:
        client.send(Install(("all",)))
        assert client.until(Installed).error is None
        client.send(VerifyFiles(()))
        assert client.until(Installed) == Installed((), None)
        path = next(folder().rglob(names[0]))
        path.write_bytes(bytes(reversed(path.read_bytes())))
        client.send(VerifyFiles(("all",)))
        error = client.until(Installed).error
        assert error is not None and error.code is ErrorCode.BAD_CHECKPOINT and names[0] in error.message
        assert names[1] not in error.message
        assert listing(client)[names[0]] is FileState.MISSING
        client.send(Install(("all",)))
        assert client.until(Installed).error is None
        assert set(listing(client).values()) == {FileState.INSTALLED}


def test_models_of_other_programs_are_found_and_the_persons_own_are_told(backend, tmp_path, monkeypatch):
    place = tmp_path / "ComfyUI" / "models" / "checkpoints"
    place.mkdir(parents=True)
    monkeypatch.setattr(scan, "usual_places", lambda: [place])
    tiny.write_folder(place / "theirs")
    (folder() / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder() / "checkpoints" / "old.ckpt").write_bytes(b"pickled")
    with backend.client() as client:
        client.send(ListFiles())
        old = client.until(Files).models
        assert [(model.name, model.family) for model in old] == [("old", "")] and "safetensors" in old[0].note
        client.send(ScanFiles(""))
        assert client.until(Installed) == Installed((), None)
        client.send(ListFiles())
        found = [(model.name, model.family, model.place) for model in client.until(Files).models]
        assert found == [("theirs", "sd15", str(place)), ("old", "", str(folder() / "checkpoints"))]


def test_models_are_found_in_a_folder_that_was_chosen(backend, tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "usual_places", lambda: [])
    tiny.write_folder(tmp_path / "mine" / "dreams")
    with backend.client() as client:
        client.send(ScanFiles(""))
        assert client.until(Installed) == Installed((), None)
        assert [model.id for model in installed()] == ["builtin"]
        client.send(ScanFiles(str(tmp_path / "mine")))
        assert client.until(Installed) == Installed((), None)
        assert [model.id for model in installed()] == ["builtin", "dreams"]
        for wrong in (str(tmp_path / "nowhere"), "mine", f"~/{'x' * 3000}"):
            client.send(ScanFiles(wrong))
            error = client.until(Installed).error
            assert error is not None and error.code is ErrorCode.INVALID_REQUEST and "There is no folder" in str(error)


def test_a_search_tells_how_many_files_it_has_looked_at(backend, tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.safetensors").write_bytes(b"no model")
    with backend.client() as client:
        client.send(ScanFiles(str(tmp_path)))
        looked = []
        while not isinstance(message := client.receive(), Installed):
            if isinstance(message, Installing):
                looked.append((message.download.done, message.download.total, message.download.speed))
        assert looked[0] == (0, 0, 0.0) and looked == sorted(looked)
    heard: list[int] = []
    Library().scan(str(tmp_path), Control(), heard.append)
    assert heard == [1, 2, 3]


def test_what_went_wrong_is_told(backend, hub, names):  # noqa: F811
    hub.faults.extend(Fault(body=b"not the file") for _ in range(40))
    with backend.client() as client:
        client.send(Install((names[0],)))
        error = client.until(Installed).error
        assert error is not None and error.code is ErrorCode.DOWNLOAD_FAILED and names[0] in str(error)
        for message in (Install(("../../etc/passwd",)), RemoveFiles(("nothing",))):
            client.send(message)
            assert client.until(Refused).error.code is ErrorCode.UNKNOWN_MODEL


def test_loras_are_told_by_the_names_that_prompts_use(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(tmp_path))
    (tmp_path / "loras" / "styles").mkdir(parents=True)
    for path in ("detail.safetensors", "styles/ink.safetensors", "styles/notes.txt"):
        (tmp_path / "loras" / path).touch()
    assert Library().loras() == ["detail", "ink"]
