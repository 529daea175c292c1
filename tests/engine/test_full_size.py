"""The full-size networks fit together: shapes only, nothing is computed or stored."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from backend.engine import ldm
from backend.engine.sharing import SharingLayers, attach
from backend.engine.transparency_nets import TransparentDecoder

REAL = json.loads(gzip.decompress((Path(__file__).parent / "data" / "real_keys.json.gz").read_bytes()))
SD15: dict[str, Any] = dict(
    sample_size=64, in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
    attention_head_dim=8, cross_attention_dim=768, norm_num_groups=32,
    down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
)
SD15_PARAMETERS = 859_520_964


@pytest.fixture(scope="module")
def unet() -> Any:
    with torch.device("meta"):
        return UNet2DConditionModel(**SD15)


def test_the_configuration_is_read_from_the_shapes(unet):
    found = ldm.unet_config({key: tuple(value.shape) for key, value in unet.state_dict().items()})
    assert found == SD15
    assert sum(parameter.numel() for parameter in unet.parameters()) == SD15_PARAMETERS


@pytest.mark.parametrize(("mode", "frames"), [("transparent_attn", 1), ("joint", 3), ("fg2bg", 2), ("bg2fg", 2)])
def test_the_released_layer_files_fit_the_full_unet(mode, frames, unet):
    shapes = {key: tuple(shape) for key, shape in REAL[f"layer_sd15_{mode}.safetensors"].items()}
    with torch.device("meta"):
        layers = SharingLayers.from_shapes(shapes)
    assert {key: tuple(value.shape) for key, value in layers.state_dict().items()} == shapes
    assert layers.frames == frames
    attach(unet, layers, merge=False).remove()


def test_the_released_decoder_has_its_parameters():
    shapes = {k: tuple(s) for k, s in REAL["layer_sd15_vae_transparent_decoder.safetensors"].items()}
    with torch.device("meta"):
        net = TransparentDecoder.from_shapes(shapes)
    assert {key: tuple(value.shape) for key, value in net.state_dict().items()} == shapes
    assert net.multiple == 64 and sum(p.numel() for p in net.parameters()) == 104_104_804
