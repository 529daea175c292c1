from __future__ import annotations

import importlib.metadata
import json
import shutil
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from backend import doctor
from backend.__main__ import main
from backend.doctor import Level
from installer import environment, plugin
from installer.hardware import Gpu, Machine, Vendor


def topics(findings):
    return {finding.topic: finding for finding in findings}


def test_every_topic_is_looked_at_and_bad_ones_say_what_to_do(tiny_model, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    status = main(["doctor"])
    out = capsys.readouterr().out
    for word in ("python", "torch", "diffusers", "device", "tiny: sd15", "websocket", "127.0.0.1", "krita"):
        assert word in out
    assert status == int("BAD" in out)


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


def test_no_krita_is_a_note(monkeypatch):
    monkeypatch.setenv("PATH", "")
    [finding] = doctor.krita()
    assert finding.level is Level.NOTE and "krita.org" in finding.advice


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


def test_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        finding = doctor.connection(port)
    assert finding.level is Level.BAD and f"port {port}" in finding.text and "--port" in finding.advice


def test_half_downloaded_model_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(tmp_path))
    (tmp_path / "layers").mkdir()
    (tmp_path / "layers" / "joint.safetensors.part").write_bytes(b"half")
    [finding] = doctor.half_downloaded()
    assert "joint.safetensors.part" in finding.text and str(tmp_path) in finding.advice


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


def test_old_plugin_and_switched_off_plugin_are_bad(own_folders):
    plugins = own_folders / "home/.local/share/krita/pykrita/layer_diffusion"
    (plugins / "protocol").mkdir(parents=True)
    (plugins / "__init__.py").write_text("")
    (plugins / "protocol" / "__init__.py").write_text("VERSION = 1\n")
    (plugins / plugin.BACKEND).write_text(json.dumps({"python": sys.executable, "root": str(doctor.ROOT)}))
    bad = {finding.text: finding.advice for finding in doctor.krita() if finding.level is Level.BAD}
    assert set(bad) == {"is of another version than this backend", "is switched off in Krita"}
    assert all("installer plugin" in advice for advice in bad.values())
