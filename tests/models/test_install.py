"""Bundles are installed, checked, repaired and removed, by the functions and by the command line."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants

from backend import models_cli
from backend.__main__ import main
from backend.models import bundles, catalogue, download, folder, identity, registry, resolve
from backend.models import install as module
from backend.models.bundles import BUNDLES, Bundle, find
from backend.models.catalogue import BASE, BASES, DECODER, ENCODER, PART, VAE, Entry
from backend.models.control import Cancelled, Control
from backend.models.install import install, missing, place, present, remove, unfinished, verify
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.request import Operation
from tests.engine import tiny, tiny_sdxl

from .hub import Fault, Hub, offer, serving

REPOSITORY = "someone/layers"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small files of both families' transparent VAE; no two are alike."""
    folder = tmp_path_factory.mktemp("layers")
    tiny.write_transparency(folder / "vae_transparent_decoder.safetensors",
                            folder / "vae_transparent_encoder.safetensors", 6)
    tiny.write_transparency(folder / tiny.DECODER_FILE, folder / tiny.ENCODER_FILE, 7)
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(download, "FIRST_WAIT", 0.001)
        yield hub


@pytest.fixture
def files(hub: Hub, made: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Entry, ...]:
    """Four files of a catalogue, which is all that there is; they are the bundle ``all``."""
    found = tuple(
        Entry("sd15" if "sd15" in path.name else "sdxl", DECODER if "decoder" in path.name else ENCODER, path.name,
              REPOSITORY, *offer(hub, REPOSITORY, path))
        for path in sorted(made.iterdir())
    )
    monkeypatch.setattr(identity, "CATALOGUE", found)
    for owner, names in ((module, ()), (bundles, ("BUNDLES",)), (models_cli, ("BUNDLES", "OFFERED"))):
        monkeypatch.setattr(owner, "CATALOGUE", found)
        monkeypatch.setattr(owner, "BASES", ())
        for name in names:
            monkeypatch.setattr(owner, name, found if name == "OFFERED" else (Bundle("all", "everything", found),))
    return found


@pytest.fixture
def root() -> Path:
    return folder()


def test_the_bundles_hold_what_their_families_need():
    known = {bundle.name: bundle for bundle in BUNDLES}
    assert {file.mode for file in known["sdxl-layers"].files} == {
        "transparent_attn", "fg2ble", "bg2ble", "fgble2bg", "bgble2fg", DECODER, ENCODER,
    }
    assert known["sdxl-layers"].size == 6_679_743_784 and known["sd15-layers"].size == 2_241_266_768
    for name in ("sdxl", "sd15"):
        assert {file.family for file in known[name].files} == {name}
        assert set(known[f"{name}-layers"].files) < set(known[name].files)


def test_names_of_bundles_and_files_give_each_file_once():
    assert find(["sd15-layers", "layer_sd15_joint", "layer_sd15_joint.safetensors"]) == find(["sd15-layers"])
    assert [file.name for file in find(["sd_xl_base_1.0"])] == ["sd_xl_base_1.0.safetensors"]
    with pytest.raises(LayerDiffusionError) as error:
        find(["sdxl", "../../etc/passwd"])
    assert error.value.code == ErrorCode.UNKNOWN_MODEL and "sdxl-layers" in error.value.hint


def test_the_checkpoints_of_the_sanity_checks_are_in_the_catalogue():
    sums = {base.stem: base.sha256[:10] for base in BASES}
    assert sums["juggernautXL_version6Rundiffusion"] == "1fe6c7ec54"
    assert sums["animaPencilXL_v100"] == "7ed8da12d9" and sums["realisticVisionV51_v51VAE"] == "15012c538f"
    assert all(base.licence and base.purpose and base.folder in ("checkpoints", "vae") for base in BASES)


def test_of_every_file_it_is_known_what_it_is_where_it_is_from_and_what_it_takes():
    for file in (*catalogue.CATALOGUE, *BASES):
        sums = re.fullmatch("[0-9a-f]{64}", file.sha256), re.fullmatch("[0-9a-f]{40}", file.revision)
        assert file.size > 0 and all(sums), file.name
        assert file.purpose and "see huggingface" not in file.licence and (file.memory > 0 or file.mode == VAE)


def test_everything_is_installed_and_then_nothing_is_missing(hub, files, root):
    heard: dict[str, int] = {}
    install(root, files, report=lambda file, done: heard.update({file.name: done}))
    assert heard == {file.name: file.size for file in files}
    assert missing(root, files) == [] and all(present(root, file) == place(root, file) for file in files)
    install(root, files)
    assert len(hub.ranges) == len(files)


def test_two_files_come_at_once_and_no_more(files, root, made, monkeypatch):
    both, third = threading.Barrier(2), threading.Barrier(3)

    def fetch(file: Entry, target: Path, control: Control, report: object) -> None:
        both.wait(60)
        with pytest.raises(threading.BrokenBarrierError):
            third.wait(0.5)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made / file.name, target)

    monkeypatch.setattr(download, "fetch", fetch)
    install(root, files)
    assert missing(root, files) == []


def test_one_file_that_fails_does_not_keep_the_others_from_coming(hub, files, root):
    lost = replace(files[1], name="lost.safetensors")
    with pytest.raises(LayerDiffusionError, match=r"lost\.safetensors.* 404"):
        install(root, [lost, *files])
    assert missing(root, files) == []


def test_without_a_connection_the_files_that_wait_are_not_tried(hub, files, root, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    tried: list[str] = []
    seen, fetch, as_completed = threading.Event(), download.fetch, module.as_completed

    def try_one(file: Entry, *rest: Any) -> None:
        tried.append(file.name)
        # All but the first fail only after somebody has looked at how that one ended.
        assert len(tried) == 1 or seen.wait(60)
        fetch(file, *rest)

    def completed(tasks: Any) -> Iterator[Any]:
        for task in as_completed(tasks):
            yield task
            seen.set()

    monkeypatch.setattr(download, "fetch", try_one)
    monkeypatch.setattr(module, "as_completed", completed)
    monkeypatch.setattr(module, "missing", lambda root, files, control: list(files))
    with pytest.raises(LayerDiffusionError, match="could not be downloaded"):
        install(root, files * 50)
    # One that is under way already, and the next one of the thread that is free again.
    assert len(tried) <= module.PARALLEL + 1


def test_all_together_must_have_room_before_a_byte_comes(hub, files, root, monkeypatch):
    total = sum(file.size for file in files)
    monkeypatch.setattr(download, "SPARE", 10**18)
    with pytest.raises(LayerDiffusionError) as error:
        install(root, files)
    assert error.value.code == ErrorCode.DISK_FULL and catalogue.gigabytes(total) in error.value.message
    assert hub.ranges == [] and not place(root, files[0]).parent.exists()


def test_cancelling_keeps_what_came_for_the_next_time(hub, files, root):
    control = Control()
    gate = threading.Event()
    hub.faults.extend(Fault(cut=5000, gate=gate) for _ in range(2))

    def report(file: Entry, done: int) -> None:
        if done >= 5000:
            control.cancel()
            gate.set()

    with pytest.raises(Cancelled):
        install(root, files, control, report)
    assert unfinished(root) and len(missing(root, files)) == len(files)
    install(root, files)
    assert missing(root, files) == [] and unfinished(root) == [] and any(hub.ranges)


def flip(path: Path, keep_time: bool = False) -> None:
    status, content = path.stat(), bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_changed_file_is_not_taken_for_the_right_one(hub, files, root):
    install(root, files)
    flip(place(root, files[0]))
    assert missing(root, files) == [files[0]]
    install(root, files)
    assert missing(root, files) == []


def test_verify_sees_what_changed_behind_the_file_systems_back(hub, files, root):
    install(root, files)
    assert [wrong for _, _, wrong in verify(root, files)] == [""] * len(files)
    flip(place(root, files[2]), keep_time=True)
    assert missing(root, files) == []
    assert [file for file, _, wrong in verify(root, files) if wrong] == [files[2]]
    assert missing(root, files) == [files[2]]


def test_a_file_elsewhere_counts_and_stays_when_removed(hub, files, root, made):
    other = made / files[0].name
    registry.remember(root, [replace(registry.look(other), family=files[0].family, mode=files[0].mode)])
    install(root, files)
    assert not place(root, files[0]).exists() and present(root, files[0]) == other
    assert remove(root, files) == sum(file.size for file in files[1:])
    assert other.exists() and missing(root, files) == list(files)


def test_a_damaged_file_elsewhere_is_not_taken_for_the_one_of_its_size(hub, files, root, made, tmp_path):
    other = tmp_path / files[0].name
    shutil.copy(made / files[0].name, other)
    flip(other)
    registry.remember(root, [replace(registry.look(other), family=files[0].family, mode=files[0].mode)])
    assert missing(root, files) == list(files)
    other.write_bytes((made / files[1].name).read_bytes() + b"another spelling")
    registry.remember(root, [replace(registry.look(other), family=files[0].family, mode=files[0].mode)])
    assert present(root, files[0]) == other


def test_a_renamed_file_in_its_own_folder_is_the_file_and_stays(hub, files, root, made):
    """The transparent VAEs of both families are alike in everything but their values."""
    for file in files:
        renamed = root / file.folder / f"my {file.mode} for {file.family}.safetensors"
        renamed.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made / file.name, renamed)
    assert missing(root, files) == [] and present(root, files[0]) != place(root, files[0])
    install(root, files)
    assert hub.ranges == [] and {path for _, path, wrong in verify(root, files) if not wrong} == set(
        (root / "layers").glob("my *")
    )
    assert remove(root, files) == 0 and missing(root, files) == []
    flip(present(root, files[1]) or root, keep_time=True)
    assert [file for file, _, wrong in verify(root, files) if wrong] == [files[1]]
    assert missing(root, files) == [files[1]]


def test_a_renamed_checkpoint_is_not_fetched_again_and_one_of_another_size_not_read(hub, root, tmp_path, monkeypatch):
    base = tiny.write_checkpoint(tmp_path / "painter.safetensors")
    file = Entry("sd15", BASE, base.name, REPOSITORY, *offer(hub, REPOSITORY, base))
    (root / "checkpoints").mkdir(parents=True)
    shutil.copy(base, root / "checkpoints" / "mine.safetensors")
    with monkeypatch.context() as unread:
        unread.setattr(module, "known_sha256", lambda *_: pytest.fail("read to its end"))
        assert present(root, replace(file, size=7)) is None
    install(root, [file])
    assert hub.ranges == [] and present(root, file) == root / "checkpoints" / "mine.safetensors"


def test_removing_deletes_unfinished_files_too(hub, files, root):
    part = place(root, files[0]).with_name(files[0].name + PART)
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    assert unfinished(root) == [(files[0], 4)] and remove(root, files) == 4 and not part.exists()


def test_the_registry_survives_damage_and_forgets_what_changed(root, made, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    registry.remember(root, [replace(registry.look(path), sha256="ab", mode=DECODER)])
    registry.remember(root, [replace(registry.look(path), family="sdxl")])
    entry = registry.known(root)[str(path)]
    assert (entry.sha256, entry.mode, entry.family) == ("ab", DECODER, "sdxl")
    path.write_bytes(b"other content")
    assert registry.known(root) == {}
    (root / registry.NAME).write_text('[{"path": 3}]')
    assert registry.known(root) == {}
    (root / registry.NAME).write_text("{")
    assert registry.known(root) == {}


def test_the_command_line_installs_verifies_repairs_and_removes(hub, files, root, capsys):
    def run(*arguments: str) -> tuple[int, str]:
        status = main(["models", *arguments])
        return status, capsys.readouterr().out

    assert "to download" in run("list")[1] and "is there" in run("verify")[1]
    status, said = run("install", "all")
    assert status == 0 and hub.address in said and "Done." in said
    assert run("install", "all") == (0, "Everything is there already.\n")
    assert "installed" in run("list")[1]
    assert run("verify")[0] == 0
    flip(place(root, files[0]), keep_time=True)
    status, said = run("verify", files[0].stem)
    assert status == 1 and "BAD" in said and "--repair" in said
    assert run("verify", "--repair")[0] == 0 and run("verify")[0] == 0
    hub.announcing.append(Fault(status=404))
    place(root, files[1]).unlink()
    assert main(["models", "install", "all"]) == 2
    assert "404" in capsys.readouterr().err
    assert run("remove", "all")[0] == 0 and missing(root, files) == list(files)


def test_what_another_program_has_is_not_downloaded(hub, files, root, made, capsys):
    other = Path.home() / "ComfyUI" / "models" / "layer_model" / files[0].name
    other.parent.mkdir(parents=True)
    other.write_bytes((made / files[0].name).read_bytes())
    assert main(["models", "install", "all"]) == 0
    assert "where they are: 1 files" in capsys.readouterr().out and len(hub.ranges) == len(files) - 1
    assert present(root, files[0]) == other and not place(root, files[0]).exists()
    assert main(["models", "list"]) == 0 and f"used from {other.parent}" in capsys.readouterr().out


def test_the_list_names_every_bundle_and_file_with_its_licence(capsys):
    assert main(["models", "list"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {bundle.name} " in said and bundle.purpose in said for bundle in BUNDLES)
    assert all(f"  {base.name} " in said and base.licence in said for base in BASES)
    assert "13.79 GB to download" in said
    assert "from 6.00 GB of memory for a job" in said and "from 3.00 GB of memory for a job" in said
    assert "SHA-256" not in said


def test_the_long_list_has_revisions_and_sums(capsys):
    assert main(["models", "list", "--long"]) == 0
    said = capsys.readouterr().out
    assert all(f"revision {base.revision}, SHA-256 {base.sha256}\n" in said for base in BASES)


def test_an_installed_checkpoint_with_its_files_is_a_model(hub, root, tmp_path):
    made = tiny_sdxl.write_layers(tmp_path / "made")
    tiny_sdxl.write_checkpoint(made / "base.safetensors", torch.float16)
    names = {"transparent_attn": tiny_sdxl.LAYER_FILES["transparent_attn"], DECODER: tiny_sdxl.DECODER_FILE,
             BASE: "base.safetensors"}
    install(root, [
        Entry("sdxl", mode, name, REPOSITORY, *offer(hub, REPOSITORY, made / name)) for mode, name in names.items()
    ])
    files = resolve("base")
    assert files.base == root / "checkpoints" / "base.safetensors" and files.info.operations == (Operation.OBJECT,)


INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background of a shell ignores it
from backend import models_cli
from backend.__main__ import main
from backend.models.bundles import Bundle
from backend.models.catalogue import BASE, BASES, DECODER, ENCODER, PART, VAE, Entry
from backend.models import bundles
file = Entry("sdxl", "decoder", sys.argv[1], "someone/layers", int(sys.argv[2]), sys.argv[3])
bundles.BUNDLES = (Bundle("one", "", (file,)),)
sys.exit(main(["models", "install", "one"]))
"""


def test_control_c_stops_at_once_and_keeps_what_came(hub, files, root):
    file = next(file for file in files if file.mode == DECODER)
    # What was given up for its slowness and asked for again must not come either, however late the signal is.
    hub.faults.extend(Fault(cut=cut, gate=threading.Event()) for cut in (file.size // 2, *(1 for _ in range(50))))
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, file.name, str(file.size), file.sha256],
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "0", "HF_HUB_DOWNLOAD_TIMEOUT": "1"},
    )
    assert process.stdout and process.stderr
    assert any(" of " in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130 and process.stderr.read() == "Stopped.\n"
    assert [name for name, _ in unfinished(root)] == [file] and not place(root, file).exists()


def test_the_progress_says_bytes_speed_and_time_left():
    file = Entry("sdxl", DECODER, "one", REPOSITORY, 2_000_000_000, "")
    progress = models_cli.Progress([file])
    progress(file, 500_000_000)
    progress(file, 1_000_000_000)
    assert progress.line(10).endswith("█░░░░░░░░░░░░ 1.0 GB of 2.0 GB, 50.0 MB/s, 20 s left")
