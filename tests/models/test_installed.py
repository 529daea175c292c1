"""Which models are installed and what they consist of; without torch in the process that asks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backend.models import folder, installed, resolve, resolve_path
from backend.models import installed as module_function
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.request import Operation
from tests.engine import tiny

ROOT = Path(__file__).parents[2]
module = sys.modules[module_function.__module__]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models' folder with a single file, a diffusers folder and no layer files."""
    root = tmp_path_factory.mktemp("models")
    tiny.write_checkpoint(root / "checkpoints" / "painter.safetensors")
    tiny.write_folder(root / "checkpoints" / "sketcher")
    return root


@pytest.fixture
def models(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `made`, the only models there are."""
    root = tmp_path / "models"
    shutil.copytree(made, root)
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(root))
    monkeypatch.setattr(module, "BUILTIN_FOLDER", tmp_path / "nothing")
    return root


def refused(model_id: str, code: ErrorCode) -> LayerDiffusionError:
    with pytest.raises(LayerDiffusionError) as error:
        resolve(model_id)
    assert error.value.code == code
    return error.value


def test_files_and_folders_are_listed_with_their_native_side(models):
    assert [(m.id, m.family, m.native_side, m.operations) for m in installed()] == [
        ("painter", "sd15", 512, (Operation.OBJECT,)), ("sketcher", "sd15", 64, (Operation.OBJECT,)),
    ]


def test_without_a_models_folder_nothing_is_installed(models, monkeypatch):
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(models / "gone"))
    assert installed() == []


def test_a_missing_layer_file_is_named_with_its_source_and_place(models):
    error = refused("painter", ErrorCode.MISSING_FILE)
    assert "layer_sd15_transparent_attn.safetensors" in error.message
    assert "LayerDiffusion/layerdiffusion-v1" in error.hint and str(models / "layers") in error.hint
    tiny.write_layers(models / "layers").joinpath(tiny.DECODER_FILE).unlink()
    assert tiny.DECODER_FILE in refused("painter", ErrorCode.MISSING_FILE).message


def test_a_complete_model_is_resolved(models):
    layers = tiny.write_layers(models / "layers")
    files = resolve("sketcher")
    assert files.base == models / "checkpoints" / "sketcher"
    assert files.layers == {"transparent_attn": layers / tiny.LAYER_FILE}
    assert files.decoder == layers / tiny.DECODER_FILE and files.encoder == layers / tiny.ENCODER_FILE
    (layers / tiny.ENCODER_FILE).unlink()
    assert resolve("sketcher").encoder is None


@pytest.mark.parametrize("model_id", ["", "other", "..", "../checkpoints/painter", "painter.safetensors"])
def test_unknown_ids_are_refused_with_the_known_ones(models, model_id):
    assert "painter, sketcher" in refused(model_id, ErrorCode.UNKNOWN_MODEL).hint


def test_unusable_files_are_not_listed_and_say_why(models):
    checkpoints = models / "checkpoints"
    (checkpoints / "half.safetensors").write_bytes((checkpoints / "painter.safetensors").read_bytes()[:5000])
    (checkpoints / "old.ckpt").write_bytes(b"PK\x03\x04")
    (checkpoints / "notes.txt").write_text("not a model")
    assert [model.id for model in installed()] == ["painter", "sketcher"]
    assert "half.safetensors" in refused("half", ErrorCode.BAD_CHECKPOINT).message
    assert "pickled" in refused("old", ErrorCode.BAD_CHECKPOINT).message
    refused("notes", ErrorCode.UNKNOWN_MODEL)


def test_a_place_that_cannot_be_looked_into_hides_no_other_model(models, monkeypatch):
    closed, real = models / "checkpoints" / "closed", Path.stat
    closed.mkdir()
    (models / "checkpoints" / "loop.safetensors").symlink_to("loop.safetensors")

    def stat(path, **options):
        if closed in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert [model.id for model in installed()] == ["painter", "sketcher"]


def test_a_models_folder_that_cannot_be_read_is_an_empty_one(models, monkeypatch):
    def denied(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", denied)
    assert installed() == []
    refused("painter", ErrorCode.UNKNOWN_MODEL)


def test_a_file_and_a_folder_of_one_name_are_both_there(models):
    shutil.copytree(models / "checkpoints" / "sketcher", models / "checkpoints" / "painter")
    assert {model.id for model in installed()} == {"painter", "painter.safetensors", "sketcher"}


def test_a_path_is_resolved_with_the_layer_files_beside_it_first(models, tmp_path):
    tiny.write_layers(models / "layers")
    base = tiny.write_checkpoint(tmp_path / "elsewhere" / "mine.safetensors")
    assert resolve_path(base).decoder == models / "layers" / tiny.DECODER_FILE
    tiny.write_layers(base.parent)
    files = resolve_path(base)
    assert (files.info.id, files.base, files.decoder) == ("mine", base, base.parent / tiny.DECODER_FILE)
    with pytest.raises(LayerDiffusionError) as error:
        resolve_path(tmp_path / "gone.safetensors")
    assert error.value.code == ErrorCode.MISSING_FILE


def test_the_builtin_model_comes_first_with_its_objects(models, tmp_path, monkeypatch):
    own = tmp_path / "own"
    shutil.copytree(models / "checkpoints" / "sketcher", own / "weights" / "model")
    tiny.write_layers(own / "weights")
    (own / "objects.json").write_text('[{"code": "1f34e", "name": "red apple", "group": "food"}]')
    monkeypatch.setattr(module, "BUILTIN_FOLDER", own)
    first = installed()[0]
    assert (first.id, first.objects) == ("builtin", ("red apple",)) and "small model" in first.note
    assert resolve("builtin").decoder.parent == own / "weights"


def test_the_default_folder_is_the_users(monkeypatch):
    monkeypatch.delenv("LAYER_DIFFUSION_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setattr(sys, "platform", "linux")
    assert folder() == Path("/data/layer-diffusion/models")


def test_listing_models_imports_no_torch():
    code = "import sys; from backend.models import installed; installed(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
