"""Whatever goes wrong on the way, in the end there is the right file under its name, or none."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import close_session, constants

from backend.models import download
from backend.models.catalogue import DECODER, PART, Entry
from backend.models.control import Cancelled, Control
from backend.models.download import fetch
from protocol.errors import ErrorCode, LayerDiffusionError
from tests.engine import tiny
from tests.proxy import forwarding

from .hub import Fault, Hub, offer, serving

REPOSITORY = "someone/layers"
NAME = "vae_transparent_decoder.safetensors"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers")
    tiny.write_transparency(folder / NAME, folder / "encoder.safetensors")
    return folder / NAME


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(download, "FIRST_WAIT", 0.001)
        yield hub


@pytest.fixture
def file(hub: Hub, made: Path) -> Entry:
    return Entry("sdxl", DECODER, NAME, REPOSITORY, *offer(hub, REPOSITORY, made))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "layers" / NAME


def get(file: Entry, target: Path, control: Control | None = None) -> list[int]:
    """Fetch; return what was reported."""
    heard: list[int] = []
    fetch(file, target, control or Control(), heard.append)
    return heard


def failed(file: Entry, target: Path, code: ErrorCode = ErrorCode.DOWNLOAD_FAILED) -> LayerDiffusionError:
    """Fetch in vain: there is no file after it."""
    with pytest.raises(LayerDiffusionError) as error:
        get(file, target)
    assert error.value.code == code and not target.exists()
    return error.value


def left(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir() if path.is_file()}


def test_a_file_comes_whole_and_nothing_else_is_left(hub, file, target, made):
    heard = get(file, target)
    assert target.read_bytes() == made.read_bytes() and left(target) == {NAME}
    assert heard[0] == 0 and heard[-1] == file.size and heard == sorted(heard)


def test_a_file_that_is_there_is_not_downloaded_again(hub, file, target, made):
    target.parent.mkdir(parents=True)
    shutil.copy(made, target)
    get(file, target)
    assert hub.ranges == []


def test_a_connection_cut_at_any_byte_is_taken_up_there(hub, file, target, made):
    size = made.stat().st_size
    cuts = [0, 1, 7, 8, 9, size - 1, *random.Random(1).sample(range(size), 25)]
    for cut in cuts:
        hub.ranges.clear()
        hub.faults.append(Fault(cut=cut))
        get(file, target)
        assert target.read_bytes() == made.read_bytes() and left(target) == {NAME}
        assert hub.ranges == [0, cut], f"cut after {cut} bytes"
        target.unlink()


def test_a_server_that_falls_silent_is_asked_again(hub, file, target, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    silent = threading.Event()
    hub.faults.append(Fault(cut=1000, gate=silent))
    get(file, target)
    silent.set()
    assert hub.ranges == [0, 1000] and left(target) == {NAME}


def test_many_cuts_in_a_row_are_no_failure_while_bytes_come(hub, file, target, made):
    step = made.stat().st_size // 20
    hub.faults.extend(Fault(cut=step) for _ in range(15))
    get(file, target)
    assert target.read_bytes() == made.read_bytes() and hub.ranges == [step * n for n in range(16)]


def test_a_server_that_sends_nothing_is_given_up_and_what_came_is_kept(hub, file, target):
    hub.faults.extend([Fault(cut=1000), *(Fault(cut=0) for _ in range(download.TRIES))])
    failed(file, target)
    assert (target.parent / f"{NAME}{PART}").stat().st_size == 1000
    get(file, target)
    assert hub.ranges[-1] == 1000 and left(target) == {NAME}


@pytest.mark.parametrize("status", [429, 503, 500])
def test_a_busy_server_is_asked_again_after_the_time_it_names(hub, file, target, status, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(Control, "wait", lambda self, seconds: waits.append(seconds))
    hub.announcing.extend([Fault(status=status, after="7"), Fault(status=status)])
    hub.faults.extend([Fault(status=status, after="100000"), Fault(status=status), Fault(status=status)])
    get(file, target)
    assert left(target) == {NAME}
    assert waits == [7, 2 * download.FIRST_WAIT, download.LONGEST_WAIT, *(download.FIRST_WAIT * n for n in (2, 4))]


def test_a_server_that_stays_busy_is_given_up(hub, file, target):
    hub.announcing.extend(Fault(status=503) for _ in range(download.TRIES))
    assert "503" in failed(file, target).message


@pytest.mark.parametrize(("status", "words"), [(404, "newer release"), (401, "log in"), (403, "terms")])
def test_a_refusal_is_explained_and_not_repeated(hub, file, target, status, words):
    hub.announcing.append(Fault(status=status))
    error = failed(file, target)
    assert str(status) in error.message and words in error.hint and hub.ranges == []


def test_a_server_that_ignores_the_range_sends_all_again(hub, file, target, made):
    hub.faults.extend([Fault(cut=5000), Fault(ignore_range=True)])
    get(file, target)
    assert target.read_bytes() == made.read_bytes()


def test_a_server_that_sends_another_range_is_not_believed(hub, file, target, made):
    hub.faults.extend([Fault(cut=5000), Fault(shift=100)])
    get(file, target)
    assert target.read_bytes() == made.read_bytes() and hub.ranges == [0, 5000, 0]


def damaged(made: Path) -> bytes:
    content = bytearray(made.read_bytes())
    content[-5] ^= 1
    return bytes(content)


BAD: list[Callable[[Path], bytes]] = [
    damaged, lambda made: made.read_bytes() + b"more", lambda made: b"<html>log in</html>" * 10_000,
]


@pytest.mark.parametrize("bad", BAD, ids=["one bit", "longer", "a web page"])
def test_another_content_of_the_announced_kind_never_becomes_the_file(hub, file, target, made, bad):
    hub.faults.append(Fault(body=bad(made)))
    assert NAME in failed(file, target).message
    assert left(target) == set()


def test_a_server_that_never_stops_fills_no_disk(hub, file, target, made):
    hub.faults.append(Fault(body=made.read_bytes() + bytes(50 * 2**20)))
    heard: list[int] = []
    with pytest.raises(LayerDiffusionError):
        fetch(file, target, Control(), heard.append)
    assert max(heard) < file.size + 2**20 and left(target) == set()


def random_fault(chance: random.Random, content: bytes) -> Fault:
    size = len(content)
    flipped = bytearray(content)
    flipped[chance.randrange(size)] ^= 1 << chance.randrange(8)
    return chance.choice([
        Fault(cut=chance.randrange(size)), Fault(cut=0), Fault(status=chance.choice([404, 416, 429, 500, 503])),
        Fault(ignore_range=True, cut=chance.randrange(size)), Fault(shift=chance.randrange(1, 50)),
        Fault(body=bytes(flipped)), Fault(body=content[: chance.randrange(size)]), Fault(body=content + b"more"),
    ])


@pytest.mark.parametrize("seed", range(60))
def test_after_any_faults_the_right_file_is_there_or_none(hub, file, target, made, seed):
    chance, content = random.Random(seed), made.read_bytes()
    hub.sums = chance.random() < 0.8
    hub.faults.extend(random_fault(chance, content) for _ in range(chance.randrange(1, 9)))
    while hub.faults:
        try:
            get(file, target)
        except LayerDiffusionError:
            assert not target.exists()
        else:
            assert target.read_bytes() == content
            target.unlink()
    get(file, target)
    assert target.read_bytes() == content and left(target) == {NAME}


def test_a_shorter_content_never_becomes_the_file(hub, file, target, made):
    half = made.read_bytes()[:5000]
    hub.faults.extend(Fault(body=half, ignore_range=True) for _ in range(20))
    failed(file, target)


def test_a_wrong_half_from_an_earlier_time_is_thrown_away(hub, file, target, made):
    target.parent.mkdir(parents=True)
    part = target.parent / f"{NAME}{PART}"
    for old in (damaged(made)[-3000:], damaged(made), made.read_bytes() + b"more"):
        part.write_bytes(old)
        get(file, target)
        assert target.read_bytes() == made.read_bytes() and left(target) == {NAME}
        target.unlink()


def test_another_file_at_the_source_is_refused_before_a_byte_is_read(hub, file, target):
    for other in (replace(file, sha256="0" * 64), replace(file, size=file.size + 1)):
        assert "another file" in failed(other, target).message
    assert hub.ranges == []


def test_a_damaged_file_is_replaced_only_by_the_right_one(hub, file, target, made):
    target.parent.mkdir(parents=True)
    target.write_bytes(damaged(made))
    hub.announcing.append(Fault(status=404))
    with pytest.raises(LayerDiffusionError):
        get(file, target)
    assert target.read_bytes() == damaged(made)
    get(file, target)
    assert target.read_bytes() == made.read_bytes()


def test_too_little_space_is_said_before_a_byte_is_read(hub, file, target, monkeypatch):
    monkeypatch.setattr(download, "SPARE", 2**80)
    assert str(target.parent) in failed(file, target, ErrorCode.DISK_FULL).message
    assert hub.ranges == []


def test_cancelling_keeps_what_came(hub, file, target):
    control, gate = Control(), threading.Event()
    hub.faults.append(Fault(cut=1000, gate=gate))

    def report(done: int) -> None:
        if done >= 1000:
            control.cancel()
            gate.set()

    with pytest.raises(Cancelled):
        fetch(file, target, control, report)
    assert not target.exists()
    get(file, target)
    assert hub.ranges[1] >= 1000


def test_a_paused_download_takes_no_byte_until_it_goes_on(hub, file, target, made):
    step, control, heard, paused = file.size // 20, Control(), [], threading.Event()
    slow = Fault(slow=step)
    hub.faults.append(slow)

    def report(done: int) -> None:
        heard.append(done)
        if done == 5 * step:
            control.pause()
            paused.set()
            for _ in range(20):  # all the rest is sent
                slow.turns.release()
        slow.turns.release()

    thread = threading.Thread(target=fetch, args=(file, target, control, report))
    thread.start()
    assert paused.wait(60)
    thread.join(0.5)
    part = target.with_name(f"{NAME}{PART}")
    assert thread.is_alive() and heard == [n * step for n in range(6)] and not target.exists()
    control.resume()
    thread.join(60)
    assert hub.ranges == [0] and target.read_bytes() == made.read_bytes() and not part.exists()


@pytest.mark.parametrize("end", ["", "/", "//"])
def test_a_mirror_is_asked_however_its_address_ends(hub, file, target, made, monkeypatch, end):
    monkeypatch.setenv("HF_ENDPOINT", hub.address + end)
    get(file, target)
    assert target.read_bytes() == made.read_bytes()


def test_a_mirror_that_is_no_address_is_named(file, target, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "mirror.example")
    error = failed(file, target)
    assert "HF_ENDPOINT is 'mirror.example'" in error.message and "https://" in error.hint


def test_everything_comes_through_the_proxy_of_the_environment(hub, file, target, made, monkeypatch):
    for name in ("NO_PROXY", "no_proxy", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    port = int(hub.address.rpartition(":")[2])
    # Only the proxy knows these hosts.
    hub.address = f"http://hub.invalid:{port}"
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    with forwarding({"hub.invalid": "127.0.0.1", "storage.invalid": "127.0.0.1"}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.address)
        close_session()  # the next one asks the environment anew, as at the start of a program
        hub.faults.append(Fault(cut=5000))
        get(file, target)
    close_session()
    assert target.read_bytes() == made.read_bytes() and hub.ranges == [0, 5000]
    assert {urlsplit(address).hostname for address in proxy.asked} == {"hub.invalid", "storage.invalid"}


def test_without_permission_to_go_online_it_says_so(hub, file, target, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in failed(file, target).message


def test_a_slow_connection_is_told_piece_by_piece_and_cancelled_in_the_middle(hub, file, target, made):
    step, control, heard = file.size // 20, Control(), []
    slow = Fault(slow=step)
    hub.faults.append(slow)

    def report(done: int) -> None:
        heard.append(done)
        if done >= 5 * step:
            control.cancel()
        slow.turns.release()

    with pytest.raises(Cancelled):
        fetch(file, target, control, report)
    assert heard == [n * step for n in range(6)]
    assert not target.exists() and target.with_name(f"{NAME}{PART}").stat().st_size == 5 * step
    get(file, target)
    assert hub.ranges == [0, 5 * step] and target.read_bytes() == made.read_bytes()
