"""Which models are installed and what they consist of; without torch in the process that asks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from backend.models import folder, identity, installed, integrity, resolve, resolve_path, unusable
from backend.models import installed as module_function
from backend.models.catalogue import RELEASED, Entry
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.request import Operation
from tests.engine import tiny, tiny_sdxl

ROOT = Path(__file__).parents[2]
module = sys.modules[module_function.__module__]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models' folder with two single files, a diffusers folder and no layer files."""
    root = tmp_path_factory.mktemp("models")
    tiny.write_checkpoint(root / "checkpoints" / "painter.safetensors")
    tiny.write_folder(root / "checkpoints" / "sketcher")
    tiny_sdxl.write_checkpoint(root / "checkpoints" / "enlarger.safetensors", torch.float16)
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
    assert [(m.id, m.family, m.native_side) for m in installed()] == [
        ("enlarger", "sdxl", 1024), ("painter", "sd15", 512), ("sketcher", "sd15", 64),
    ]


def test_without_a_models_folder_nothing_is_installed(models, monkeypatch):
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(models / "gone"))
    assert installed() == []


def test_a_missing_layer_file_is_named_with_its_source_and_place(models):
    files = resolve("painter")
    for need, name in (
        (lambda: files.layer("joint"), "layer_sd15_joint.safetensors"),
        (files.transparent_decoder, tiny.DECODER_FILE), (files.transparent_encoder, tiny.ENCODER_FILE),
        (lambda: resolve("enlarger").layer("bgble2fg"), "layer_xl_bgble2fg.safetensors"),
    ):
        with pytest.raises(LayerDiffusionError) as error:
            need()
        assert error.value.code == ErrorCode.MISSING_FILE and name in error.value.message
        assert "LayerDiffusion/layerdiffusion-v1" in error.value.hint and str(models / "layers") in error.value.hint


def test_a_complete_model_is_resolved(models):
    layers = tiny.write_layers(models / "layers")
    files = resolve("sketcher")
    assert files.base == models / "checkpoints" / "sketcher"
    assert files.layers == {mode: layers / name for mode, name in tiny.LAYER_FILES.items()}
    assert files.layer("joint") == layers / "layer_sd15_joint.safetensors"
    assert files.transparent_decoder() == layers / tiny.DECODER_FILE
    assert files.transparent_encoder() == layers / tiny.ENCODER_FILE
    (layers / tiny.ENCODER_FILE).unlink()
    assert resolve("sketcher").encoder is None


def test_each_family_takes_its_own_layer_files(models):
    tiny.write_layers(models / "layers")
    assert resolve("enlarger").layers == {} and resolve("enlarger").decoder is None
    tiny_sdxl.write_layers(models / "layers")
    assert set(resolve("enlarger").layers) == set(tiny_sdxl.LAYER_FILES)
    assert resolve("enlarger").decoder == models / "layers" / tiny_sdxl.DECODER_FILE
    assert resolve("painter").decoder == models / "layers" / tiny.DECODER_FILE


def test_what_a_model_can_do_is_what_its_files_suffice_for(models):
    layers, operations = models / "layers", lambda model: set(resolve(model).info.operations)
    assert (operations("painter"), operations("enlarger")) == ({Operation.REBLEND}, set())
    assert tiny.LAYER_FILE in resolve("painter").info.note
    tiny.write_layers(layers)
    tiny_sdxl.write_layers(layers)
    assert operations("enlarger") == set(Operation) and resolve("enlarger").info.note == ""
    assert operations("painter") == {
        Operation.OBJECT, Operation.SCENE, Operation.OBJECT_ON_BACKGROUND, Operation.BACKGROUND_FOR_OBJECT,
        Operation.REBLEND,
    }
    (layers / tiny_sdxl.LAYER_FILES["transparent_attn"]).unlink()
    (layers / tiny_sdxl.LAYER_FILES["fg2ble"]).unlink()
    assert operations("enlarger") == set(Operation) - {Operation.SCENE, Operation.BACKGROUND_FOR_OBJECT}
    (layers / tiny_sdxl.DECODER_FILE).unlink()
    (layers / tiny.DECODER_FILE).unlink()
    assert operations("enlarger") == {Operation.BLEND, Operation.REBLEND, Operation.EXTRACT_BACKGROUND}
    assert operations("painter") == {Operation.BACKGROUND_FOR_OBJECT, Operation.REBLEND}


def test_a_layer_file_under_another_name_is_found_by_its_content(models, monkeypatch):
    layers = tiny_sdxl.write_layers(models / "layers")
    for name in tiny_sdxl.LAYER_FILES.values():
        (layers / name).rename(layers / f"my_{name}")
    (layers / "damaged.safetensors").write_bytes(b"nothing")
    # The two blending files are alike in everything but their values, which only published ones can be told by.
    renamed = {mode: layers / f"my_{name}" for mode, name in tiny_sdxl.LAYER_FILES.items()}
    assert resolve("enlarger").layers == {mode: path for mode, path in renamed.items() if "ble" != mode[-3:]}
    published = tuple(
        Entry("sdxl", mode, renamed[mode].name, RELEASED, renamed[mode].stat().st_size,
              integrity.sha256_of(renamed[mode]))
        for mode in ("fg2ble", "bg2ble")
    )  # fmt: skip
    monkeypatch.setattr(identity, "CATALOGUE", published)
    assert resolve("enlarger").layers == renamed
    other = layers / tiny_sdxl.LAYER_FILES["fg2ble"]
    renamed["bg2ble"].rename(other)
    assert resolve("enlarger").layer("bg2ble") == other


def test_a_name_makes_nothing_a_layer_file(models):
    layers = tiny_sdxl.write_layers(models / "layers")
    names = tiny_sdxl.LAYER_FILES
    (layers / names["fg2ble"]).write_text("<html>log in</html>" * 1000)
    shutil.copy(layers / names["transparent_conv"], layers / names["bg2ble"])
    (layers / names["bgble2fg"]).write_bytes((layers / names["bgble2fg"]).read_bytes()[:-1])
    assert set(resolve("enlarger").layers) == {"transparent_attn", "transparent_conv", "fgble2bg"}
    lost = {Operation.BLEND, Operation.OBJECT_ON_BACKGROUND, Operation.EXTRACT_FOREGROUND, Operation.SCENE}
    assert not lost & set(resolve("enlarger").info.operations)


def test_a_released_file_is_taken_before_a_converted_one(models):
    layers = tiny_sdxl.write_layers(models / "layers")
    for name in tiny_sdxl.LAYER_FILES.values():
        shutil.copy(layers / name, layers / f"diffuser_{name}")
    assert resolve("enlarger").layer("fg2ble") == layers / "layer_xl_fg2ble.safetensors"
    (layers / "layer_xl_fg2ble.safetensors").unlink()
    assert resolve("enlarger").layer("fg2ble") == layers / "diffuser_layer_xl_fg2ble.safetensors"


def test_loras_are_found_by_file_name_and_by_the_name_their_trainer_gave(models):
    tensors = {"x": torch.zeros(1)}
    for name, metadata in (("ink/brush", {"ss_output_name": "ink_v3"}), ("pastel", {}), ("other", {})):
        path = models / "loras" / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path, metadata)
    files = resolve("painter")
    assert files.lora("brush") == files.lora("ink_v3") == models / "loras" / "ink" / "brush.safetensors"
    with pytest.raises(LayerDiffusionError) as error:
        files.lora("pastell")
    assert error.value.code == ErrorCode.MISSING_FILE and "'pastell'" in error.value.message
    assert "pastel" in error.value.hint and "other" not in error.value.hint
    with pytest.raises(LayerDiffusionError) as error:
        files.lora("../checkpoints/painter")
    assert error.value.code == ErrorCode.MISSING_FILE


@pytest.mark.parametrize("model_id", ["", "other", "..", "../checkpoints/painter", "painter.safetensors"])
def test_unknown_ids_are_refused_with_the_known_ones(models, model_id):
    assert "enlarger, painter, sketcher" in refused(model_id, ErrorCode.UNKNOWN_MODEL).hint


def test_unusable_files_are_not_listed_and_say_why(models):
    checkpoints = models / "checkpoints"
    (checkpoints / "half.safetensors").write_bytes((checkpoints / "painter.safetensors").read_bytes()[:5000])
    (checkpoints / "old.ckpt").write_bytes(b"PK\x03\x04")
    (checkpoints / "notes.txt").write_text("not a model")
    assert [model.id for model in installed()] == ["enlarger", "painter", "sketcher"]
    assert "half.safetensors" in refused("half", ErrorCode.BAD_CHECKPOINT).message
    assert "pickled" in refused("old", ErrorCode.BAD_CHECKPOINT).message
    assert {name: error.message for name, error in unusable().items()} == {
        name: refused(name, ErrorCode.BAD_CHECKPOINT).message for name in ("half", "old")
    }
    assert "Checkpoint Merger" in unusable()["old"].hint and "Save Checkpoint" in unusable()["old"].hint
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
    assert [model.id for model in installed()] == ["enlarger", "painter", "sketcher"]


def test_a_models_folder_that_cannot_be_read_is_an_empty_one(models, monkeypatch):
    def denied(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", denied)
    assert installed() == []
    refused("painter", ErrorCode.UNKNOWN_MODEL)


def test_a_file_and_a_folder_of_one_name_are_both_there(models):
    shutil.copytree(models / "checkpoints" / "sketcher", models / "checkpoints" / "painter")
    assert {model.id for model in installed()} == {
        "enlarger", "painter", "painter.safetensors", "sketcher",
    }


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
    assert resolve("builtin").transparent_decoder().parent == own / "weights"


def test_the_builtin_model_takes_no_files_of_real_models(models, tmp_path, monkeypatch):
    own = tmp_path / "own"
    shutil.copytree(models / "checkpoints" / "sketcher", own / "weights" / "model")
    (own / "objects.json").write_text("[]")
    monkeypatch.setattr(module, "BUILTIN_FOLDER", own)
    tiny.write_layers(models / "layers")
    files = resolve("builtin")
    assert files.layers == {} and files.info.operations == (Operation.REBLEND,)
    with pytest.raises(LayerDiffusionError) as error:
        files.layer("joint")
    assert error.value.code == ErrorCode.UNSUPPORTED_OPERATION


def test_the_default_folder_is_the_users_or_beside_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("LAYER_DIFFUSION_MODELS", raising=False)
    (tmp_path / "environment").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setattr(sys, "platform", "linux")
    assert folder() == Path("/data/layer-diffusion/models")
    (tmp_path / "environment" / "complete.json").write_text("{}")
    assert folder() == tmp_path / "models"


def test_listing_models_imports_no_torch():
    code = "import sys; from backend.models import installed; installed(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
