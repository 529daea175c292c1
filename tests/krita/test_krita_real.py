"""A real Krita with the real backend and the built-in model: the whole path."""

import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]

pytestmark = pytest.mark.krita


def test_a_red_apple_and_a_killed_worker(krita):
    krita("apple.py", PROJECT, timeout=500)


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
