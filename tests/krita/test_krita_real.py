"""A real Krita with the real backend and the built-in model: the whole path."""

import shutil
import sys
from pathlib import Path

import pytest

from .processes import assert_ended

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]

pytestmark = pytest.mark.krita


def test_a_red_apple_and_a_killed_worker(krita):
    krita("apple.py", PROJECT, timeout=800)


def test_nothing_is_left_of_a_krita_that_was_killed(krita, tmp_path):
    # In a session of its own, or the harness would end it together with Krita.
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec setsid "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    values = krita("killed.py", PROJECT, python=python, ends="crashed")["values"]
    for name in ("backend", "worker"):
        assert_ended(values[name])


def test_every_operation(krita, tmp_path):
    from tests.engine import tiny, tiny_sdxl  # here, because the other tests need no torch

    folder = tmp_path / "models"
    (folder / "layers").mkdir(parents=True)
    for name, family in (("tiny15", tiny), ("tinyxl", tiny_sdxl)):
        family.write_folder(folder / "checkpoints" / name)
        family.write_layers(folder / "layers")
    krita("operations.py", PROJECT, timeout=240, environment={"LAYER_DIFFUSION_MODELS": str(folder)})


def test_every_operation_of_the_builtin_model(krita):
    krita("builtin.py", PROJECT, timeout=300)


def test_connection_cut_in_the_middle_of_a_result(krita, tmp_path):
    root = tmp_path / "cutting"
    shutil.copytree(HERE / "cutting", root)
    (root / "project").write_text(str(PROJECT), encoding="utf-8")
    krita("cut.py", root, timeout=400)
