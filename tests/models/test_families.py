"""Base models are told by their tensors, and everything else is refused by what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.models.families import COMPONENTS, base_files, describe_file, describe_folder, require_base
from backend.models.header import TensorInfo
from protocol.errors import ErrorCode, LayerDiffusionError
from tests.engine import tiny, tiny_sdxl

Header = dict[str, TensorInfo]
UNET = "model.diffusion_model."
CONV_IN = UNET + "input_blocks.0.0.weight"


@pytest.fixture(scope="module")
def headers() -> dict[str, Header]:
    states = {"sd15": tiny.ldm_state_dict(), "sdxl": tiny_sdxl.ldm_state_dict()}
    return {
        family: {key: TensorInfo("F32", tuple(value.shape)) for key, value in state.items()}
        for family, state in states.items()
    }


def test_checkpoints_are_recognised(headers):
    for family, header in headers.items():
        assert describe_file(header) == family
        assert describe_file(dict(reversed(header.items()))) == family


def without(part: str) -> Callable[[Header], Header]:
    return lambda header: {key: info for key, info in header.items() if part not in key}


def added(key: str) -> Callable[[Header], Header]:
    return lambda header: header | {key: TensorInfo("F32", (0,))}


def renamed(old: str, new: str) -> Callable[[Header], Header]:
    return lambda header: {key.replace(old, new): info for key, info in header.items()}


@pytest.mark.parametrize(("change", "words"), [
    (lambda h: h | {CONV_IN: TensorInfo("F32", (32, 9, 3, 3))}, "an inpainting or editing checkpoint (9 input"),
    (renamed("conditioner.embedders.1.model.", "conditioner.embedders.0.model."), "an SDXL refiner"),
    (without("conditioner.embedders.0."), "an SDXL checkpoint without its text encoder"),
    (without("conditioner.embedders.1."), "an SDXL checkpoint without its second text encoder"),
    (without("first_stage_model."), "an SDXL checkpoint without its VAE"),
    (without("middle_block.1."), "a distilled checkpoint (15 transformer blocks, not placed as SDXL's 70"),
    (without("output_blocks.4.1."), "a distilled checkpoint"),
    (without("input_blocks.8.1.transformer_blocks.1."), "a distilled checkpoint"),
    (added(UNET + "input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"), "a distilled checkpoint"),
    (added("v_pred"), "a checkpoint with velocity prediction"),
    (added("ztsnr"), "a checkpoint with another noise schedule"),
    (lambda h: added("v_pred")(added("edm_vpred.sigma_max")(h)), "a CosXL checkpoint"),
    (added("edm_mean"), "a Playground 2.5 checkpoint"),
], ids=["inpainting", "refiner", "no text", "no second text", "no vae", "no middle", "no block", "shallow", "more",
        "v-prediction", "zero snr", "cosxl", "playground"])
def test_other_sdxl_checkpoints_are_called_what_they_are(change, words, headers):
    assert describe_file(change(headers["sdxl"])).startswith(words)


def test_the_files_of_layerdiffuse_are_no_base_models(tmp_path):
    for folder in (tiny.write_layers(tmp_path / "sd15"), tiny_sdxl.write_layers(tmp_path / "sdxl")):
        for path in folder.iterdir():
            with pytest.raises(LayerDiffusionError, match="of LayerDiffuse, expected a complete Stable Diff") as error:
                require_base(path)
            assert error.value.code == ErrorCode.BAD_CHECKPOINT and path.name in error.value.message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_sdxl.write_folder(tmp_path / "model")


def test_folders_are_recognised(folder, tmp_path):
    assert describe_folder(folder) == "sdxl"
    assert [path.parent.name for path in base_files(folder)] == list(COMPONENTS["sdxl"])
    assert describe_folder(tiny.write_folder(tmp_path / "sd15")) == "sd15"
    assert [path.parent.name for path in base_files(tmp_path / "sd15")] == list(COMPONENTS["sd15"])


def configure(path: Path, **changes: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | changes))


def test_other_sdxl_folders_are_called_what_they_are(folder):
    unet, scheduler = folder / "unet" / "config.json", folder / "scheduler" / "scheduler_config.json"
    configure(unet, in_channels=9)
    assert describe_folder(folder) == "an inpainting or editing model (9 input channels)"
    configure(unet, in_channels=4, addition_embed_type=None)
    assert "different families" in describe_folder(folder)
    configure(unet, addition_embed_type="text_time")
    configure(scheduler, _class_name="EulerDiscreteScheduler", prediction_type="v_prediction")
    assert describe_folder(folder) == "a model with velocity prediction"
    configure(scheduler, _class_name="EDMEulerScheduler", prediction_type="epsilon")
    assert describe_folder(folder) == "a model with another noise schedule"
    configure(scheduler, _class_name="EulerDiscreteScheduler")
    assert describe_folder(folder) == "sdxl"
    (folder / "text_encoder").rename(folder / "elsewhere")
    assert describe_folder(folder) == "an SDXL refiner"


def test_a_folder_with_fewer_transformers_is_distilled(tmp_path):
    folder = tiny_sdxl.write_folder(tmp_path / "model", {"mid_block_type": None})
    assert describe_folder(folder).startswith("a distilled model")
