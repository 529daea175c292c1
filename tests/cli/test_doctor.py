from __future__ import annotations

import importlib.metadata
import io
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from backend import doctor
from backend.__main__ import main
from backend.doctor import Level
from installer import environment, hardware, krita, plugin
from installer.hardware import Gpu, Machine, Vendor
from installer.pip import DOWNLOADS
from tests.installer import wheels


def topics(findings):
    return {finding.topic: finding for finding in findings}


@pytest.fixture
def computer(tiny_model, own_folders, monkeypatch):
    """A computer on which all is well, without a graphics card; models and Krita with the plugin are of this test."""
    shutil.copytree(tiny_model, own_folders / "models", dirs_exist_ok=True)
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(own_folders / "models"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(hardware, "detect", lambda: Machine("linux", "x86_64"))
    (own_folders / "home/.local/share/krita").mkdir()
    downloads = environment.home() / DOWNLOADS
    downloads.mkdir()
    wheels.wheel(downloads, "websockets", wheels.CARRIED, "websockets")
    [profile] = krita.find()
    plugin.install(profile, Path(sys.executable))
    return Computer(profile, own_folders / "models", monkeypatch)


class Computer:
    """What can go wrong on it; each of the functions returns the level, words of the finding and of the advice."""

    def __init__(self, profile, models, monkeypatch):
        self.profile, self.models, self.monkeypatch = profile, models, monkeypatch

    def no_krita(self):
        shutil.rmtree(self.profile.plugins.parent)
        return Level.NOTE, "was not found on this machine", "Install Krita 5.1 or newer from krita.org"

    def plugin_not_enabled(self):
        self.profile.settings.write_text("[python]\nenable_layer_diffusion=false\n")
        return Level.BAD, "is switched off in Krita", "installer plugin"

    def old_plugin(self):
        (self.profile.plugins / "layer_diffusion/protocol/__init__.py").write_text("VERSION = 1\n")
        return Level.BAD, "is of another version than this backend", "installer plugin"

    def wrong_python(self):
        environment.python().parent.mkdir(parents=True)
        environment.python().symlink_to(sys.executable)
        self.monkeypatch.setattr(environment, "ready", lambda: True)
        return Level.NOTE, "is not the one that was installed", f"{environment.python()} -m backend doctor"

    def no_driver(self):
        card = Gpu(Vendor.NVIDIA, "NVIDIA 0x2684", False)
        self.monkeypatch.setattr(hardware, "detect", lambda: Machine("linux", "x86_64", (card,)))
        return Level.NOTE, "NVIDIA 0x2684: no driver", "Install NVIDIA's driver"

    def torch_for_another_card(self):
        self.monkeypatch.setattr(hardware, "detect", lambda: Machine("linux", "x86_64", (RTX,)))
        self.monkeypatch.setattr(torch.version, "cuda", None)
        self.monkeypatch.setattr(torch.version, "hip", "7.2")
        return Level.BAD, "RTX 4090 could be used, but torch is built for ROCm", "--torch auto"

    def half_downloaded(self):
        (self.models / "layers/joint.safetensors.part").write_bytes(b"half")
        return Level.BAD, "joint.safetensors.part is only a part", str(self.models)


def not_good(port=0):
    # That there is no graphics card is no fault.
    return {one for one in doctor.examine(port) if one.level is not Level.GOOD and one.topic != "device"}


@pytest.mark.parametrize(
    "condition",
    ["no_krita", "plugin_not_enabled", "old_plugin", "wrong_python", "no_driver", "torch_for_another_card",
     "half_downloaded"],
)
def test_what_is_wrong_is_found_and_explained(computer, monkeypatch, condition):
    monkeypatch.setattr(doctor, "connection", lambda port: doctor.Finding(Level.GOOD, "websocket", ""))
    assert not_good() == set()
    level, text, advice = getattr(computer, condition)()
    [finding] = not_good()
    assert finding.level is level and text in finding.text and advice in finding.advice


def test_port_that_is_taken_is_found_and_explained(computer):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        [finding] = not_good(port)
    assert finding.level is Level.BAD and f"port {port}" in finding.text and "--port" in finding.advice


def test_driver_is_missed_where_torch_does_not_load_too(computer, monkeypatch):
    level, text, advice = computer.no_driver()
    monkeypatch.setitem(sys.modules, "torch", None)
    device, graphics = doctor.device()
    assert device.level is Level.BAD and "torch does not load" in device.text and "installer install" in device.advice
    assert graphics.level is level and text in graphics.text and advice in graphics.advice


def test_all_of_it_is_printed_where_all_is_well(computer, capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in ("python", "torch", "diffusers", "device", "tiny: sd15", "127.0.0.1", "is switched on"):
        assert word in out
    assert "BAD" not in out


def test_output_that_cannot_hold_every_character(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252", write_through=True))
    monkeypatch.setattr(doctor, "examine", lambda port: iter([doctor.Finding(Level.BAD, "topic", "text", "advice")]))
    assert main(["doctor"]) == 1
    assert b"? advice" in written.getvalue()


@pytest.mark.parametrize(("level", "status"), [(Level.GOOD, 0), (Level.NOTE, 0), (Level.BAD, 1)])
def test_what_is_bad_makes_the_exit_status(level, status):
    findings = [doctor.Finding(level, "topic", "text"), doctor.Finding(Level.GOOD, "other", "")]
    assert doctor.show(iter(findings)) == status


def test_missing_and_wrong_packages_are_bad(monkeypatch):
    def version(name):
        if name == "safetensors":
            raise importlib.metadata.PackageNotFoundError
        return {"torch": "2.13.0+cpu", "diffusers": "0.1"}.get(name, "16.0")

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = topics(doctor.versions())
    assert found["torch"].level is Level.GOOD
    assert found["diffusers"].level is Level.BAD and "0.42.1" in found["diffusers"].text
    assert found["safetensors"].level is Level.BAD and "installer install" in found["safetensors"].advice


def test_model_without_its_layers_and_unusable_checkpoints_are_named(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    shutil.copytree(tiny_model / "checkpoints" / "tiny", tmp_path / "checkpoints" / "tiny")
    (tmp_path / "checkpoints" / "broken.safetensors").write_bytes(b"no header")
    bad = [finding for finding in doctor.installed_models() if finding.level is Level.BAD]
    assert any("tiny" in finding.text and "layers" in finding.advice for finding in bad)
    assert any("broken.safetensors" in finding.text and finding.advice for finding in bad)


def test_krita_without_the_plugin_is_told_how_to_get_it(own_folders):
    (own_folders / "home/.local/share/krita").mkdir()
    found = topics(doctor.krita())
    assert found["krita"].level is Level.GOOD
    assert found["plugin"].level is Level.BAD and "installer plugin" in found["plugin"].advice


@pytest.mark.parametrize("host", ["192.0.2.1"])
def test_backend_that_does_not_start_is_bad(monkeypatch, host):
    original = doctor.running_backend
    monkeypatch.setattr(doctor, "running_backend", lambda arguments: original([*arguments, "--host", host]))
    finding = doctor.connection()
    assert finding.level is Level.BAD and "cannot listen" in finding.text


@pytest.mark.parametrize("kept", [0, 8, 300, -1])
def test_a_layer_file_that_was_cut_off_is_named(tmp_path, monkeypatch, kept):
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(tmp_path))
    path = tmp_path / "layers" / "layer_sd15_joint.safetensors"
    path.parent.mkdir()
    save_file({"a": torch.zeros(64)}, path)
    assert list(doctor.half_downloaded()) == []
    path.write_bytes(path.read_bytes()[:kept])
    [finding] = doctor.half_downloaded()
    assert finding.level is Level.BAD and path.name in finding.text and "download it again" in finding.advice


def test_python_of_another_environment_and_unfinished_installation(monkeypatch):
    assert doctor.python().level is Level.GOOD
    environment.python().parent.mkdir(parents=True)
    environment.python().symlink_to(sys.executable)
    unfinished = doctor.python()
    assert unfinished.level is Level.BAD and "did not finish" in unfinished.text
    monkeypatch.setattr(environment, "ready", lambda: True)
    other = doctor.python()
    assert other.level is Level.NOTE and str(environment.python()) in other.advice
    monkeypatch.setattr(sys, "prefix", str(environment.folder()))
    assert doctor.python().level is Level.GOOD


def test_too_old_python_is_told_before_anything_else():
    code = "import sys; sys.version_info = (3, 10, 2); import backend"
    answer = subprocess.run([sys.executable, "-c", code], cwd=doctor.ROOT, capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr.startswith("The backend needs Python 3.11 or newer and this is 3.10")


def test_python_without_the_packages_is_told_where_they_are():
    # Without the packages that are installed for it, as the system's own Python is.
    answer = subprocess.run(
        [sys.executable, "-S", "-m", "backend", "doctor"], cwd=doctor.ROOT, capture_output=True, text=True
    )
    assert answer.returncode == 2 and "Traceback" not in answer.stderr
    assert f"This Python ({sys.executable}) has no " in answer.stderr and "installer setup" in answer.stderr


RTX = Gpu(Vendor.NVIDIA, "RTX 4090", True, (580, 65), (8, 9))
CODES = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]


@pytest.mark.parametrize(
    ("gpu", "kind", "codes", "used", "level", "said"),
    [
        (RTX, "CUDA", CODES, True, Level.GOOD, "RTX 4090"),
        (RTX, "", [], False, Level.BAD, "built for the processor only"),
        (RTX, "ROCm", [], False, Level.BAD, "built for ROCm"),
        (RTX, "CUDA", CODES, False, Level.BAD, "does not reach"),
        (Gpu(Vendor.NVIDIA, "GTX 970", True, (580, 65), (5, 2)), "CUDA", CODES, True, Level.BAD, "no code"),
        (Gpu(Vendor.NVIDIA, "RTX 5090", True, (580, 65), (12, 0)), "CUDA", ["sm_90"], True, Level.BAD, "no code"),
        (Gpu(Vendor.NVIDIA, "RTX 5090", True, (580, 65), (12, 0)), "CUDA", ["compute_90"], True, Level.GOOD, "RTX"),
        (Gpu(Vendor.NVIDIA, "NVIDIA 0x2684", False), "CUDA", CODES, False, Level.NOTE, "no driver"),
        (Gpu(Vendor.AMD, "AMD 0x744c", True), "CUDA", [], False, Level.BAD, "built for CUDA"),
        (Gpu(Vendor.AMD, "AMD 0x744c", False), "ROCm", [], False, Level.NOTE, "/dev/kfd is missing"),
        (Gpu(Vendor.AMD, "AMD 0x1638", True, architecture="gfx90c"), "", [], False, Level.NOTE, "no code for gfx90c"),
    ],
)
def test_graphics_card_against_driver_and_torch(gpu, kind, codes, used, level, said):
    [finding] = doctor.graphics(Machine("linux", "x86_64", (gpu,)), kind, codes, used)
    assert finding.level is level and said in finding.text
    assert bool(finding.advice) is (level is not Level.GOOD)
