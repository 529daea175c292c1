"""The window of the models in a real Krita, with a real server that downloads from a stand-in for the hub."""

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from tests.models.hub import Fault, offer, serving

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
REPOSITORY = "someone/layers"

pytestmark = pytest.mark.krita


def small_backend(hub, folder):
    """Write a backend whose catalogue is two small files, a decoder and an encoder, that the hub offers.

    Return its folder, the two files and the environment that it needs; its models' folder is `models`.
    """
    from tests.engine import tiny  # here, because the other tests need no torch

    made, root = folder / "made", folder / "small"
    made.mkdir()
    files = made / tiny.DECODER_FILE, made / tiny.ENCODER_FILE
    tiny.write_transparency(*files)
    shutil.copytree(HERE / "small", root)
    (root / "project").write_text(str(PROJECT), encoding="utf-8")
    entries = [
        ("sd15", mode, path.name, REPOSITORY, *offer(hub, REPOSITORY, path))
        for mode, path in zip(("decoder", "encoder"), files, strict=True)
    ]
    (root / "catalogue.json").write_text(json.dumps(entries), encoding="utf-8")
    return root, files, {
        "LAYER_DIFFUSION_MODELS": str(folder / "models"), "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0",
        "HF_HUB_CACHE": str(folder / "cache"),
    }  # fmt: skip


def test_models_are_installed_checked_found_and_removed(krita, tmp_path):
    from tests.engine import tiny  # here, because the other tests need no torch

    models, cache, later = (tmp_path / name for name in ("models", "cache", "later"))
    # Comes into the cache only just before the search, since an installation looks at what others have, too.
    tiny.write_folder(later / "models--someone--theirs" / "snapshots" / "0123")
    cache.mkdir()
    tiny.write_folder(models / "checkpoints" / "dreams_turbo")
    tiny.write_folder(tmp_path / "disk" / "mine")
    (models / "checkpoints" / "old.ckpt").write_bytes(b"a pickle")
    with serving() as hub:
        root, files, environment = small_backend(hub, tmp_path)
        (models / "checkpoints" / "cut.safetensors").write_bytes(files[0].read_bytes()[:1000])
        krita("models_real.py", root, timeout=240, environment=environment, models=str(models),
              folder=str(tmp_path / "disk"), later=str(later), cache=str(cache))
    assert not list((models / "layers").glob("*.safetensors"))
    assert list(cache.rglob("unet/*.safetensors")), "what other programs have stays"


def test_a_download_is_paused_and_cancelled_and_goes_on_by_itself_after_a_restart(krita, tmp_path):
    """The hub sends the beginning of each file and waits; the driver opens a door when it shall send the rest."""
    models, doors = tmp_path / "models", [tmp_path / name for name in ("paused", "cancelled", "ended")]
    with serving() as hub:
        root, files, environment = small_backend(hub, tmp_path)
        # A hub that is silent for long is what this is about.
        environment["HF_HUB_DOWNLOAD_TIMEOUT"] = "300"
        for door in doors:
            os.mkfifo(door)
            gate = threading.Event()
            hub.faults.extend(Fault(cut=1000, gate=gate) for _ in files)
            threading.Thread(target=lambda door=door, gate=gate: (door.read_bytes(), gate.set()), daemon=True).start()
        krita("models_paused.py", root, environment=environment, models=str(models), doors=str(tmp_path))
        assert not list((models / "layers").glob("*.safetensors"))
        doors[-1].write_text("")
        krita("models_by_itself.py", root, environment=environment)
        assert {path.read_bytes() for path in (models / "layers").glob("*.safetensors")} == {
            path.read_bytes() for path in files
        }
