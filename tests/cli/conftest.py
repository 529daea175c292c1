"""A folder of installed models that holds one tiny model, made once for all tests of the command line."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory):
    from tests.engine import tiny

    folder = tmp_path_factory.mktemp("models")
    (folder / "checkpoints").mkdir()
    tiny.write_folder(folder / "checkpoints" / "tiny")
    tiny.write_layers(folder / "layers")
    return folder


@pytest.fixture
def tiny_model(models_folder, monkeypatch):
    """The tiny model is installed under the id "tiny"; returns the models' folder, which is not to be changed."""
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(models_folder))
    return models_folder
