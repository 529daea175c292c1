"""Which device is chosen, and how its memory is used, on machines of every kind."""

from types import SimpleNamespace

import pytest
import torch

from backend.engine import device

GB = 1024**3


@pytest.fixture
def machine(monkeypatch):
    """Make torch see a card of so much memory, or none."""

    def has(kind: str, memory: int = 0, bfloat16: bool = True) -> None:
        for name in ("cuda", "xpu"):
            there = getattr(torch, name)
            monkeypatch.setattr(there, "is_available", lambda name=name: name == kind)
            monkeypatch.setattr(there, "get_device_properties", lambda _: SimpleNamespace(total_memory=memory))
            monkeypatch.setattr(there, "is_bf16_supported", lambda including_emulation: bfloat16)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: kind == "mps")

    return has


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
@pytest.mark.parametrize(
    ("memory", "offload", "frugal"), [(24 * GB, False, False), (8 * GB, True, False), (6 * GB, True, True)]
)
def test_cards_are_used_as_their_memory_allows(machine, kind, memory, offload, frugal):
    machine(kind, memory)
    chosen = device.choose("sdxl")
    assert (chosen.place.type, chosen.denoiser, chosen.vae) == (kind, torch.float16, torch.bfloat16)
    assert (chosen.offload, chosen.frugal) == (offload, frugal)


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps", "cpu"])
def test_memory_of_cards_is_saved_when_asked_for(machine, kind):
    machine(kind, 24 * GB)
    chosen = device.choose("sdxl", save_memory=True)
    assert chosen.offload is chosen.frugal is (kind in ("cuda", "xpu"))


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_cards_without_bfloat16_have_the_vae_in_float32(machine, kind):
    machine(kind, 24 * GB, bfloat16=False)
    assert device.choose("sdxl").vae is torch.float32


@pytest.mark.parametrize(("kind", "precision"), [("mps", torch.float16), ("cpu", torch.float32)])
def test_machines_without_such_a_card(machine, kind, precision):
    machine(kind)
    chosen = device.choose("sd15")
    assert (chosen.place.type, chosen.denoiser, chosen.vae) == (kind, precision, torch.float32)


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
def test_memory_goes_back_to_the_device_that_is_used(machine, monkeypatch, kind):
    machine(kind, 24 * GB)
    emptied = []
    for name in ("cuda", "xpu", "mps"):
        monkeypatch.setattr(getattr(torch, name), "empty_cache", lambda name=name: emptied.append(name))
    device.free()
    assert emptied == [kind]


@pytest.fixture
def four_threads():
    usual = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(usual)


def test_small_models_take_one_thread_for_each_picture_on_a_cpu(machine, four_threads):
    machine("cpu")
    assert device.choose("sd15").lanes == 1
    small = device.choose("sd15").for_small()
    with small.threads():
        inside = torch.get_num_threads()
        with device.side_by_side(small.lanes) as asked:
            beside = list(asked(lambda _: torch.get_num_threads(), range(8)))
    assert (small.lanes, inside, set(beside), torch.get_num_threads()) == (4, 1, {1}, 4)


def test_other_models_and_cards_take_the_threads_that_there_are(machine, four_threads):
    machine("cpu")
    with device.choose("sd15").threads():
        assert torch.get_num_threads() == 4
    machine("cuda", 24 * GB)
    assert device.choose("sd15").for_small() == device.choose("sd15")


def test_the_thread_count_is_back_after_a_fault(machine, four_threads):
    machine("cpu")
    with pytest.raises(KeyError), device.choose("sd15").for_small().threads():
        raise KeyError
    assert torch.get_num_threads() == 4
