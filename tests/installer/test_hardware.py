"""Graphics cards on made-up computers, and the build of torch that is taken for each."""

from __future__ import annotations

import pytest

from installer import builds, hardware
from installer.errors import InstallerError
from installer.hardware import Gpu, Machine, Vendor

NVIDIA, AMD, INTEL = Vendor.NVIDIA, Vendor.AMD, Vendor.INTEL


def says(answers):
    """System tools that print what is in the table, by a word of their command."""
    return lambda command: next((text for word, text in answers.items() if word in " ".join(command)), "")


def card(root, slot, vendor, device, driver="", kind="0x030000"):
    folder = root / "sys/bus/pci/devices" / slot
    folder.mkdir(parents=True)
    for name, text in (("class", kind), ("vendor", vendor.value), ("device", device)):
        (folder / name).write_text(text + "\n")
    if driver:
        (root / "drivers" / driver).mkdir(parents=True, exist_ok=True)
        (folder / "driver").symlink_to(root / "drivers" / driver)


def test_no_graphics_card(tmp_path):
    assert hardware.detect("linux", tmp_path, says({})).gpus == ()


def test_nvidia_by_its_own_tool(tmp_path):
    card(tmp_path, "0000:01:00.0", NVIDIA, "0x2684", "nvidia")
    ask = says({"compute_cap": "NVIDIA GeForce RTX 4090, 580.65.06, 8.9\nNVIDIA T400, 580.65.06, 7.5\n"})
    assert hardware.detect("linux", tmp_path, ask).gpus == (
        Gpu(NVIDIA, "NVIDIA GeForce RTX 4090", True, (580, 65, 6), (8, 9)),
        Gpu(NVIDIA, "NVIDIA T400", True, (580, 65, 6), (7, 5)),
    )


def test_old_nvidia_driver_that_does_not_know_the_capability(tmp_path):
    def ask(command):
        return "" if "compute_cap" in " ".join(command) else "GeForce GTX 970, 470.10\n"

    assert hardware.detect("linux", tmp_path, ask).gpus == (Gpu(NVIDIA, "GeForce GTX 970", True, (470, 10), None),)


def test_cards_without_driver(tmp_path):
    card(tmp_path, "0000:01:00.0", NVIDIA, "0x2684", "nouveau")
    card(tmp_path, "0000:02:00.0", AMD, "0x744c", "amdgpu")
    card(tmp_path, "0000:03:00.0", INTEL, "0x1234", kind="0x040300")
    machine = hardware.detect("linux", tmp_path, says({}))
    assert [(gpu.vendor, gpu.works) for gpu in machine.gpus] == [(NVIDIA, False), (AMD, False)]
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/kfd").write_text("")
    assert hardware.detect("linux", tmp_path, says({})).gpus[1].works


def node(root, number, version, location=0, domain=0):
    """What amdkfd tells of a processor or a card."""
    folder = root / "sys/class/kfd/kfd/topology/nodes" / str(number)
    folder.mkdir(parents=True)
    lines = {"cpu_cores_count": 0, "gfx_target_version": version, "location_id": location, "domain": domain}
    (folder / "properties").write_text("".join(f"{key} {value}\n" for key, value in lines.items()))


def test_instruction_sets_of_amd_cards_by_their_place(tmp_path):
    card(tmp_path, "0000:03:00.0", AMD, "0x744c", "amdgpu")
    card(tmp_path, "0000:0c:00.1", AMD, "0x1638", "amdgpu")
    card(tmp_path, "0001:03:00.0", AMD, "0x740f", "amdgpu")
    card(tmp_path, "0002:03:00.0", AMD, "0x740f", "amdgpu")
    node(tmp_path, 0, 0)
    node(tmp_path, 1, 110000, 0x300)
    node(tmp_path, 2, 90012, 0xC01)
    node(tmp_path, 3, 90010, 0x300, domain=1)
    found = [gpu.architecture for gpu in hardware.detect("linux", tmp_path, says({})).gpus]
    assert found == ["gfx1100", "gfx90c", "gfx90a", ""]


def test_windows_adapters(tmp_path):
    lines = [
        r"PCI\VEN_8086&DEV_56A0&SUBSYS_10208086&REV_08\4&1C3D|Intel(R) Arc(TM) A770 Graphics",
        r"PCI\VEN_1002&DEV_744C&SUBSYS_0\4&1|AMD Radeon RX 7900 XTX",
        r"PCI\VEN_10DE&DEV_2684&SUBSYS_0\4&2|Microsoft Basic Display Adapter",
        r"PCI\VEN_8086&DEV_56A0&SUBSYS_0\4&3|Microsoft Basic Display Adapter",
        r"PCI\VEN_1234&DEV_1111&SUBSYS_0\4&4|Microsoft Basic Display Adapter",
        r"ROOT\BASICDISPLAY\0000|Microsoft Basic Display Adapter",
    ]
    machine = hardware.detect("win32", tmp_path, says({"powershell": "\r\n".join([*lines, "", ""])}))
    assert machine.gpus == (
        Gpu(INTEL, "Intel(R) Arc(TM) A770 Graphics", True),
        Gpu(AMD, "AMD Radeon RX 7900 XTX", True),
        Gpu(NVIDIA, "NVIDIA 0x2684", False),
        Gpu(INTEL, "INTEL 0x56a0", False),
    )
    choices = [builds.choose(Machine("win32", "x86_64", (gpu,))) for gpu in machine.gpus[2:]]
    assert [choice.reason for choice in choices] == ["NVIDIA 0x2684: no driver", "INTEL 0x56a0: no driver"]
    assert all("driver" in choice.advice and "--torch auto" in choice.advice for choice in choices)


def test_tools_that_fail_say_nothing():
    assert hardware.ask(["there-is-no-such-tool"]) == hardware.ask(["false"]) == ""


def nvidia(driver, capability=(8, 6)):
    return Gpu(NVIDIA, "RTX", bool(driver), driver, capability)


@pytest.mark.parametrize(
    ("system", "gpus", "build"),
    [
        ("linux", [], "cpu"),
        ("win32", [], "plain"),
        ("linux", [nvidia((580, 65, 6))], "cu130"),
        ("win32", [nvidia((581, 15))], "cu130"),
        ("linux", [nvidia((580, 65), (6, 1))], "cu126"),
        ("linux", [nvidia((550, 54))], "cu126"),
        ("linux", [nvidia((550, 54), None)], "cu126"),
        ("win32", [nvidia((528, 33))], "cu126"),
        ("win32", [nvidia((527, 41))], "plain"),
        ("linux", [nvidia((525, 60, 13))], "cu126"),
        ("linux", [nvidia((470, 10))], "cpu"),
        ("linux", [nvidia((570, 10), (12, 0))], "cpu"),
        ("linux", [nvidia((580, 65), (3, 5))], "cpu"),
        ("linux", [nvidia((), None)], "cpu"),
        ("linux", [Gpu(AMD, "AMD 0x744c", True)], "rocm7.2"),
        ("linux", [Gpu(AMD, "AMD 0x744c", True, architecture="gfx1100")], "rocm7.2"),
        ("linux", [Gpu(AMD, "AMD 0x1638", True, architecture="gfx90c")], "cpu"),
        ("linux", [Gpu(AMD, "a", True, architecture="gfx90c"), Gpu(AMD, "b", True, architecture="gfx90a")], "rocm7.2"),
        ("linux", [Gpu(AMD, "AMD 0x744c", False)], "cpu"),
        ("win32", [Gpu(AMD, "Radeon", True)], "plain"),
        ("linux", [Gpu(INTEL, "INTEL 0x56a0", True)], "xpu"),
        ("win32", [Gpu(INTEL, "Intel(R) Arc(TM) A770 Graphics", True)], "xpu"),
        ("linux", [Gpu(INTEL, "INTEL 0x9bc4", True)], "cpu"),
        ("linux", [Gpu(INTEL, "INTEL 0x9bc4", True), nvidia((580, 65))], "cu130"),
    ],
)
def test_build_for_a_computer(system, gpus, build):
    choice = builds.choose(Machine(system, "x86_64", tuple(gpus)))
    assert choice.build.name == build and choice.reason


@pytest.mark.parametrize("gpu", [nvidia((), None), nvidia((470, 10)), nvidia((570, 10), (12, 0))])
def test_what_would_make_an_nvidia_card_usable(gpu):
    assert "driver" in builds.choose(Machine("linux", "x86_64", (gpu,))).advice


def test_an_amd_card_that_torch_has_no_code_for():
    choice = builds.choose(Machine("linux", "x86_64", (Gpu(AMD, "AMD 0x1638", True, architecture="gfx90c"),)))
    assert "gfx90c" in choice.reason and "--torch rocm7.2" in choice.advice


def test_mac():
    assert builds.choose(Machine("darwin", "arm64")).build.name == "plain"
    with pytest.raises(InstallerError, match="Intel"):
        builds.choose(Machine("darwin", "x86_64"))


def test_mirror_of_the_index(monkeypatch):
    assert builds.index(builds.BUILDS["cu130"]) == f"{builds.INDEX}/cu130"
    monkeypatch.setenv("LAYER_DIFFUSION_TORCH_INDEX", "https://mirror.example/torch/")
    assert builds.index(builds.BUILDS["cpu"]) == "https://mirror.example/torch/cpu"
