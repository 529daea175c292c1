"""The window of the models in a real Krita, with a real server that downloads from a stand-in for the hub."""

import json
import shutil
from pathlib import Path

import pytest

from tests.models.hub import offer, serving

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
REPOSITORY = "someone/layers"

pytestmark = pytest.mark.krita


def test_models_are_installed_checked_found_and_removed(krita, tmp_path):
    from tests.engine import tiny  # here, because the other tests need no torch

    made, models, cache, later = (tmp_path / name for name in ("made", "models", "cache", "later"))
    made.mkdir()
    decoder, encoder = made / tiny.DECODER_FILE, made / tiny.ENCODER_FILE
    tiny.write_transparency(decoder, encoder)
    # Comes into the cache only just before the search, since an installation looks at what others have, too.
    tiny.write_folder(later / "models--someone--theirs" / "snapshots" / "0123")
    cache.mkdir()
    tiny.write_folder(models / "checkpoints" / "dreams_turbo")
    tiny.write_folder(tmp_path / "disk" / "mine")
    (models / "checkpoints" / "old.ckpt").write_bytes(b"a pickle")
    (models / "checkpoints" / "cut.safetensors").write_bytes(decoder.read_bytes()[:1000])
    root = tmp_path / "small"
    shutil.copytree(HERE / "small", root)
    (root / "project").write_text(str(PROJECT), encoding="utf-8")
    with serving() as hub:
        entries = [
            ("sd15", mode, path.name, REPOSITORY, *offer(hub, REPOSITORY, path))
            for mode, path in (("decoder", decoder), ("encoder", encoder))
        ]
        (root / "catalogue.json").write_text(json.dumps(entries), encoding="utf-8")
        environment = {
            "LAYER_DIFFUSION_MODELS": str(models), "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0",
            "HF_HUB_CACHE": str(cache),
        }  # fmt: skip
        krita("models_real.py", root, timeout=240, environment=environment, models=str(models),
              folder=str(tmp_path / "disk"), later=str(later), cache=str(cache))
    assert not list((models / "layers").glob("*.safetensors"))
    assert list(cache.rglob("unet/*.safetensors")), "what other programs have stays"
