from __future__ import annotations

import importlib.metadata
import shutil

import pytest

from backend import doctor
from backend.__main__ import main
from backend.doctor import Level


def topics(findings):
    return {finding.topic: finding for finding in findings}


def test_every_topic_is_looked_at_and_bad_ones_say_what_to_do(tiny_model, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    status = main(["doctor"])
    out = capsys.readouterr().out
    for word in ("python", "torch", "diffusers", "device", "tiny: sd15", "websocket", "127.0.0.1", "krita"):
        assert word in out
    assert status == int("BAD" in out)


def test_missing_and_wrong_packages_are_bad(monkeypatch):
    def version(name):
        if name == "safetensors":
            raise importlib.metadata.PackageNotFoundError
        return {"torch": "2.13.0+cpu", "diffusers": "0.1"}.get(name, "16.0")

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = topics(doctor.versions())
    assert found["torch"].level is Level.GOOD
    assert found["diffusers"].level is Level.BAD and "0.42.1" in found["diffusers"].text
    assert found["safetensors"].level is Level.BAD and "installer setup" in found["safetensors"].advice


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
    monkeypatch.setattr(doctor, "running_backend", lambda: original(["--host", host]))
    finding = doctor.connection()
    assert finding.level is Level.BAD and "cannot listen" in finding.text
