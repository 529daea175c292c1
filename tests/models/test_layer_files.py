"""Every file of LayerDiffuse is recognised by the names and shapes of its tensors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from backend.models.catalogue import CATALOGUE, DECODER, ENCODER, NAMED, entry
from backend.models.header import TensorInfo
from backend.models.layer_files import Spelling, classify, recognise
from backend.models.modes import MODES
from protocol.errors import ErrorCode, LayerDiffusionError

with gzip.open(Path(__file__).parents[1] / "engine" / "data" / "real_keys.json.gz") as file:
    REAL: dict[str, dict[str, list[int]]] = json.load(file)

ALIKE = {
    "fg2ble": ("fg2ble", "bg2ble"), "bg2ble": ("fg2ble", "bg2ble"),
    "fg2bg": ("fg2bg", "bg2fg"), "bg2fg": ("fg2bg", "bg2fg"),
}
CHANNELS = {"fg2ble": 8, "bg2ble": 8, "fgble2bg": 12, "bgble2fg": 12}
FRAMES = {"joint": 3, "fg2bg": 2, "bg2fg": 2}


def header(keys: dict[str, list[int]]) -> dict[str, TensorInfo]:
    return {key: TensorInfo("F16", tuple(shape)) for key, shape in keys.items()}


def write(path: Path, name: str) -> Path:
    """A small file with the key names of a real one, and its shapes but for the number of output channels."""
    shapes = {key: (1, *shape[1:]) if len(shape) == 4 else (1,) * len(shape) for key, shape in REAL[name].items()}
    save_file({key: torch.zeros(shape, dtype=torch.float16) for key, shape in shapes.items()}, path)
    return path


@pytest.mark.parametrize("name", REAL)
def test_the_real_files_are_recognised_by_their_content(name):
    (family, mode), found = NAMED[name], classify(header(REAL[name]))
    assert found is not None
    assert found.modes == ALIKE.get(mode, (mode,))
    assert found.families == (("sd15", "sdxl") if mode in (DECODER, ENCODER) else (family,))
    assert found.channels == (CHANNELS.get(mode, 4) if family == "sdxl" else 4)
    assert found.frames == (FRAMES.get(mode, 1) if family == "sd15" else 1)


def test_the_spelling_is_told():
    spelling = {name: found.spelling for name in REAL if (found := classify(header(REAL[name])))}
    assert spelling["layer_xl_fg2ble.safetensors"] is Spelling.RELEASED
    assert spelling["layer_xl_transparent_attn.safetensors"] is Spelling.RELEASED
    assert spelling["diffuser_layer_xl_transparent_attn.safetensors"] is Spelling.KOHYA
    assert spelling["ld_diffusers_sdxl_attn.safetensors"] is Spelling.DIFFUSERS
    assert spelling["diffuser_layer_xl_bgble2fg.safetensors"] is Spelling.DIFFUSERS
    assert spelling["layer_sd15_joint.safetensors"] is Spelling.MODULE


@pytest.mark.parametrize("name", ["layer_xl_bg2ble.safetensors", "layer_sd15_fg2bg.safetensors"])
def test_where_the_content_is_alike_both_are_named(name, tmp_path):
    assert recognise(write(tmp_path / name, name)).modes == ALIKE[NAMED[name][1]]


def test_a_wrong_name_does_not_hide_the_content(tmp_path):
    path = write(tmp_path / "layer_xl_fg2ble.safetensors", "layer_xl_fgble2bg.safetensors")
    assert recognise(path).modes == ("fgble2bg",)


@pytest.mark.parametrize(
    "keys",
    [
        {}, {"text": [4]}, {"conv_in.weight": [320, 4, 3, 3], "time_embedding.linear_1.weight": [4, 4]},
        {"conv_in.weight": [320, 9, 3, 3], "conv_in.bias": [320]}, {"conv_in.weight": [320]},
        {"diffusion_model.input_blocks.0.0.weight::diff::0": [320, 4, 3, 3]},
        {"lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.lora_up.weight": [4, 4]},
        {"lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.alpha": []},
        {"hookers.layers.0.to_q_lora.1.down.weight": [4, 4]}, {"hookers.layers.0.temporal_n.bias": [4]},
    ],
)
def test_other_files_are_nothing_of_layerdiffuse(keys, tmp_path):
    assert classify(header(keys)) is None
    path = tmp_path / "layer_xl_fg2ble.safetensors"
    save_file({key: torch.zeros(shape) for key, shape in keys.items()}, path)
    with pytest.raises(LayerDiffusionError) as error:
        recognise(path)
    assert error.value.code == ErrorCode.BAD_CHECKPOINT and path.name in error.value.message


def test_the_catalogue_has_a_file_for_every_mode_and_the_sizes_that_its_tensors_need():
    for family, mode in [*MODES, *((family, part) for family in ("sd15", "sdxl") for part in (DECODER, ENCODER))]:
        assert entry(family, mode).repository == "LayerDiffusion/layerdiffusion-v1"
    names = {known.name for known in CATALOGUE}
    assert len(CATALOGUE) == len(names) == 22 and set(REAL) <= set(NAMED)
    for known in CATALOGUE:
        if known.name not in REAL:
            continue
        keys = REAL[known.name]
        values = 2 * sum(int(torch.Size(shape).numel()) for shape in keys.values())
        # Each tensor costs its name and about a hundred bytes in the header.
        assert 0 < known.size - values < sum(len(key) + 130 for key in keys)
    # The parts of the transparent VAE are the same in two repositories.
    assert len({known.sha256 for known in CATALOGUE}) == len(CATALOGUE) - 2
