"""What holds for all tests: nothing of this user's is read or changed, and no model hub is asked."""

from __future__ import annotations

import os

import pytest

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory, monkeypatch):
    """Models, settings and runtime files of every test lie in folders of its own."""
    folder = tmp_path_factory.mktemp("user")
    places = {
        "HOME": "home",
        "XDG_DATA_HOME": "home/.local/share",
        "XDG_CONFIG_HOME": "home/.config",
        "XDG_STATE_HOME": "home/.local/state",
        "XDG_RUNTIME_DIR": "runtime",
        "LAYER_DIFFUSION_HOME": "home/layer-diffusion",
        "LAYER_DIFFUSION_MODELS": "models",
    }
    for variable, place in places.items():
        (folder / place).mkdir(mode=0o700, parents=True, exist_ok=True)
        monkeypatch.setenv(variable, str(folder / place))
    return folder
