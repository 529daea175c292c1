"""Models of other programs are found by their content, used where they lie, and noted when they fit badly."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from backend.__main__ import main
from backend.models import folder, identity, installed, integrity, registry, resolve
from backend.models.catalogue import BASE, DECODER, ENCODER, RELEASED, Entry
from backend.models.registry import LORA
from backend.models.scan import Found, scan, usual_places
from backend.models.suitability import note, suitability
from installer.krita import Place
from protocol.request import Operation
from tests.engine import tiny, tiny_sdxl

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree as ComfyUI has it, all files under names that say nothing."""
    models = tmp_path_factory.mktemp("other") / "ComfyUI" / "models"
    layers = tiny_sdxl.write_layers(models / "layer_model")
    for name in ("transparent_attn", "fg2ble", "bg2ble", "fgble2bg"):
        (layers / tiny_sdxl.LAYER_FILES[name]).rename(layers / f"a_{name}.safetensors")
    tiny.write_checkpoint(models / "checkpoints" / "sd15" / "one.safetensors")
    tiny_sdxl.write_checkpoint(models / "checkpoints" / "two_lightning.safetensors", torch.float16)
    (models / "checkpoints" / "old.ckpt").write_bytes(b"PK\x03\x04")
    (models / "loras").mkdir()
    (models / "loras" / "far.ckpt").write_bytes(b"PK\x03\x04")
    (models / "loras" / "mask.pth").write_bytes(b"PK\x03\x04")
    save_file({"lora_unet_x.lora_up.weight": torch.zeros(2, 2)}, models / "loras" / "ink.safetensors")
    save_file({"something": torch.zeros(2)}, models / "other.safetensors")
    (models / "half.safetensors").write_bytes(b"\x10")
    (models / "checkpoints" / "again").symlink_to(models / "checkpoints")
    return models.parents[1]


def by_name(root: Path, *places: Path) -> dict[str, Found]:
    return {found.path.name: found for found in scan(root, places)}


def test_files_are_what_their_tensors_say(made):
    found = by_name(folder(), made)
    used = {name: (one.known.family, one.known.mode) for name, one in found.items() if one.known}
    assert used == {
        "one.safetensors": ("sd15", BASE), "two_lightning.safetensors": ("sdxl", BASE), "ink.safetensors": ("", LORA),
        "a_transparent_attn.safetensors": ("sdxl", "transparent_attn"), "a_fgble2bg.safetensors": ("sdxl", "fgble2bg"),
        "layer_xl_transparent_conv.safetensors": ("sdxl", "transparent_conv"),
        "layer_xl_bgble2fg.safetensors": ("sdxl", "bgble2fg"),
        "vae_transparent_decoder.safetensors": ("sdxl", DECODER),
        "vae_transparent_encoder.safetensors": ("sdxl", ENCODER),
    }
    assert "usual name" in found["a_fg2ble.safetensors"].note and "usual name" in found["a_bg2ble.safetensors"].note
    for name in ("old.ckpt", "far.ckpt"):
        assert found[name].what == "a pickled checkpoint" and "safetensors" in found[name].note
    assert "mask.pth" not in found
    assert found["half.safetensors"].what == "not readable" and "other.safetensors" not in found
    assert "few steps" in found["two_lightning.safetensors"].note and found["one.safetensors"].note == ""
    assert set(registry.known(folder())) == {str(one.path) for one in found.values() if one.known}


def test_files_that_are_alike_are_told_by_their_sum(made, monkeypatch):
    layers = made / "ComfyUI" / "models" / "layer_model"
    catalogue = tuple(
        Entry("sdxl", mode, f"layer_xl_{mode}.safetensors", RELEASED, path.stat().st_size, integrity.sha256_of(path))
        for mode in ("fg2ble", "bg2ble")
        for path in [layers / f"a_{mode}.safetensors"]
    )
    monkeypatch.setattr(identity, "CATALOGUE", catalogue)
    found = by_name(folder(), layers)
    for mode in ("fg2ble", "bg2ble"):
        known = found[f"a_{mode}.safetensors"].known
        assert known and (known.family, known.mode) == ("sdxl", mode)


@pytest.mark.parametrize("mode", ["fg2ble", "fgble2bg"])
def test_a_file_of_the_published_size_must_have_the_published_sum(mode, made, monkeypatch, tmp_path):
    name = f"layer_xl_{mode}.safetensors"
    shutil.copy(made / "ComfyUI" / "models" / "layer_model" / f"a_{mode}.safetensors", tmp_path / name)
    size = (tmp_path / name).stat().st_size
    released = Entry("sdxl", mode, name, RELEASED, size, "0" * 64)
    for catalogue, is_used in (((released,), False), ((replace(released, size=size + 1),), True)):
        monkeypatch.setattr(identity, "CATALOGUE", catalogue)
        found = by_name(folder(), tmp_path)[name]
        assert bool(found.known) is is_used is bool(registry.elsewhere(folder(), mode))
        assert ("damaged" in found.note) is not is_used


def test_a_file_of_another_size_than_the_published_ones_is_not_read(made, monkeypatch):
    monkeypatch.setattr(identity, "known_sha256", lambda *_: pytest.fail("read to its end"))
    monkeypatch.setattr(identity, "CATALOGUE", (Entry("sdxl", "fgble2bg", "one", RELEASED, 1, "0" * 64),))
    found = by_name(folder(), made / "ComfyUI" / "models" / "layer_model")
    assert found["a_fgble2bg.safetensors"].known


def test_each_file_is_found_once_and_those_of_the_models_folder_not(made):
    everywhere = [*scan(folder(), [made, made / "ComfyUI", made / "ComfyUI" / "models" / "loras"])]
    assert len({one.path for one in everywhere}) == len(everywhere)
    assert [*scan(made / "ComfyUI" / "models", [made])] == []


def test_a_file_that_changed_is_no_longer_used(made, tmp_path):
    mine = tmp_path / "mine" / "ink.safetensors"
    mine.parent.mkdir()
    shutil.copy(made / "ComfyUI" / "models" / "loras" / "ink.safetensors", mine)
    assert [one.known.mode for one in scan(folder(), [mine.parent]) if one.known] == [LORA]
    assert [entry.path for entry in registry.elsewhere(folder(), LORA)] == [str(mine)]
    mine.write_bytes(b"gone")
    assert registry.elsewhere(folder(), LORA) == []


ROOTS = {
    "linux": ("home/ComfyUI", "home/stable-diffusion-webui", "home/Documents/stable-diffusion-webui-forge",
              "opt/ComfyUI"),
    "darwin": ("home/ComfyUI", "home/Documents/ComfyUI"),
    "win32": ("home/ComfyUI_windows_portable/ComfyUI", "home/Downloads/webui_forge_cu121_torch231/webui",
              "home/sd.webui/webui", "C:/webui_forge_cu124_torch24/webui", "D:/ComfyUI"),
}  # fmt: skip
KRITAS = {
    "linux": ("home/.local/share/krita", "home/.var/app/org.kde.krita/data/krita",
              "home/snap/krita/current/.local/share/krita"),
    "darwin": ("home/Library/Application Support/krita",),
    "win32": ("home/AppData/Roaming/krita",
              "home/AppData/Local/Packages/49800Krita_abc/LocalCache/Roaming/krita"),
}  # fmt: skip


@pytest.mark.parametrize("system", ROOTS)
def test_the_usual_places_are_those_of_the_four_programs_and_the_cache(system, monkeypatch, tmp_path):
    cache, chosen, extra = (tmp_path / name for name in ("cache", "chosen server", "shared models"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    kritas = [tmp_path / krita / "ai_diffusion" for krita in KRITAS[system]]
    programs = [tmp_path / program for program in ROOTS[system]]
    places = {cache, chosen, extra, *programs, *(krita / "server" for krita in kritas)}
    for place in (*places, tmp_path / "home" / "webui_forge_cu121" / "other"):
        place.mkdir(parents=True)
    settings = kritas[-1] / "settings.json"
    settings.write_text(json.dumps({"server_path": str(chosen)}))
    (programs[0] / "extra_model_paths.yaml").write_text(f"a111:\n    base_path: {extra}\n    #base_path: /no\n")
    place = Place(system, tmp_path / "home", {}, tmp_path)
    assert set(usual_places(place)) == places and usual_places(place)[-1] == extra
    settings.write_text("[]")
    assert chosen not in usual_places(place)


def test_the_usual_places_of_this_machine_follow_the_cache_that_was_chosen(tmp_path):
    place = tmp_path / "cache" / "huggingface" / "hub"
    place.mkdir(parents=True)
    asked = "from backend.models.scan import usual_places; print(*usual_places())"
    known = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, cwd=PROJECT,
                          env=known | {"XDG_CACHE_HOME": str(tmp_path / "cache")})  # fmt: skip
    assert str(place) in told.stdout


def test_a_file_in_the_hubs_cache_is_found_behind_its_link(made, tmp_path):
    blob = tmp_path / "hub" / "models--someone--layers" / "blobs" / "0123"
    link = tmp_path / "hub" / "models--someone--layers" / "snapshots" / "main" / "vae_transparent_decoder.safetensors"
    for path in (blob, link):
        path.parent.mkdir(parents=True)
    shutil.copy(made / "ComfyUI" / "models" / "layer_model" / link.name, blob)
    link.symlink_to(blob)
    found = [one.known for one in scan(folder(), [tmp_path / "hub"]) if one.known]
    assert [(known.path, known.mode) for known in found] == [(str(link), DECODER)]


def test_a_folder_of_diffusers_in_the_hubs_cache_has_its_repositorys_name(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[installed.__module__], "BUILTIN_FOLDER", tmp_path)
    snapshots = tmp_path / "hub" / "models--someone--nice-model" / "snapshots"
    whole = tiny.write_folder(snapshots / "0123")
    half = tiny.write_folder(tmp_path / "hub" / "models--someone--half" / "snapshots" / "0123")
    shutil.rmtree(half / "unet")
    (half / "unet").mkdir()
    shutil.copy(whole / "unet" / "config.json", half / "unet")
    found = {one.path: one for one in scan(folder(), [tmp_path / "hub"])}
    assert set(found) == {whole, half} and found[half].known is None and "unet" in found[half].note
    assert [(model.id, model.family) for model in installed()] == [("nice-model", "sd15")]
    assert resolve("nice-model").base == whole


@pytest.mark.parametrize(("metadata", "name", "words"), [
    ({}, "juggernautXL_version6Rundiffusion.safetensors", ""),
    ({}, "dreamshaperXL_v21TurboDPMSDE.safetensors", "few steps"),
    ({}, "realvis_LCM.safetensors", "few steps"),
    ({}, "calcmodel.safetensors", ""),
    ({"modelspec.title": "Hyper-SD merge"}, "mine.safetensors", "few steps"),
    ({"ss_base_model_version": "illustrious_v1"}, "mine.safetensors", "grey background"),
    ({"sd_merge_models": '{"0": {"name": "NoobAI-XL-v1.1"}}'}, "mine.safetensors", "grey background"),
    ({"modelspec.title": "Animagine XL 3.1"}, "mine.safetensors", "grey background"),
    ({"modelspec.prediction_type": "v"}, "mine.safetensors", "velocity"),
    ({"modelspec.prediction_type": "epsilon"}, "mine.safetensors", ""),
    ({}, "NoobAI-XL-Vpred-v1.0.safetensors", "velocity"),
    ({"ss_tag_frequency": '{"lightning": 3}', "modelspec.description": "not a turbo"}, "storm.safetensors", ""),
])
def test_notes_follow_what_the_maker_wrote_else_the_name(metadata, name, words):
    assert words in note(metadata, name) and bool(note(metadata, name)) == bool(words)


def test_a_folder_of_diffusers_is_noted_for_what_it_was_made_from(tmp_path, monkeypatch):
    turbo = tiny.write_folder(tmp_path / "models--stabilityai--sdxl-turbo" / "snapshots" / "0123")
    monkeypatch.chdir(turbo.parents[1])
    assert "few steps" in suitability(turbo) and "few steps" in suitability(Path("snapshots/0123"))
    plain = tiny.write_folder(tmp_path / "models--turbo--plain" / "snapshots" / "0123")
    assert suitability(plain) == ""
    for place, key, said in (
        ("model_index.json", "_name_or_path", "stabilityai/sdxl-turbo"), ("unet/config.json", "_name_or_path", "x/lcm"),
        ("scheduler/scheduler_config.json", "_class_name", "LCMScheduler"),
    ):
        file = plain / place
        old = file.read_text() if file.exists() else "{}"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(json.loads(old) | {key: said}))
        assert "few steps" in suitability(plain), place
        file.write_text(old)
    assert suitability(plain) == ""


def test_the_registry_is_read_back_as_it_was_written(made):
    by_name(folder(), made)
    entry = registry.elsewhere(folder(), LORA)[0]
    registry.forget(folder(), [entry.path])
    assert registry.elsewhere(folder(), LORA) == []
    registry.remember(folder(), [replace(entry, sha256="00")])
    assert registry.elsewhere(folder(), LORA) == [replace(entry, sha256="00")]


def test_what_was_found_can_be_used_at_once(made, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[installed.__module__], "BUILTIN_FOLDER", tmp_path)
    assert installed() == []
    by_name(folder(), made)
    models = {model.id: model for model in installed()}
    assert set(models) == {"one", "two_lightning"} and "few steps" in models["two_lightning"].note
    assert models["one"].operations == (Operation.REBLEND,) and Operation.OBJECT in models["two_lightning"].operations
    files = resolve("two_lightning")
    assert files.layer("fgble2bg") == made / "ComfyUI" / "models" / "layer_model" / "a_fgble2bg.safetensors"
    assert files.transparent_decoder().is_relative_to(made) and files.lora("ink").is_relative_to(made)
    own = tiny_sdxl.write_layers(folder() / "layers")
    assert resolve("two_lightning").layer("fgble2bg") == own / tiny_sdxl.LAYER_FILES["fgble2bg"]
    tiny.write_checkpoint(folder() / "checkpoints" / "one.safetensors")
    assert resolve("one").base == folder() / "checkpoints" / "one.safetensors"


def test_a_folder_that_is_not_there_is_said_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAYER_DIFFUSION_MODELS", str(tmp_path))
    assert main(["models", "scan", str(tmp_path / "nowhere")]) != 0
    out, err = capsys.readouterr()
    assert "used where" not in out and f"There is no folder {tmp_path / 'nowhere'}. Choose another one." in err
