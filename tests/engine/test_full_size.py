"""The full-size networks fit together: shapes only, nothing is computed or stored.

With ``LAYER_DIFFUSION_FULL_SIZE=1`` one denoising step of each family is computed too, with random weights in bfloat16
(SDXL needs about 6 GB), and the peak of memory is printed.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from backend.engine import ldm
from backend.engine.denoise import Denoiser, Guide, Limits
from backend.engine.prompts import TextCondition, time_ids
from backend.engine.sharing import SharingLayers, attach
from backend.engine.transparency_nets import TransparentDecoder
from tests.engine import tiny_sdxl

REAL = json.loads(gzip.decompress((Path(__file__).parent / "data" / "real_keys.json.gz").read_bytes()))
SD15: dict[str, Any] = dict(
    sample_size=64, in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
    attention_head_dim=8, cross_attention_dim=768, norm_num_groups=32,
    down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
)
SDXL: dict[str, Any] = dict(
    sample_size=128, in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280), layers_per_block=2,
    attention_head_dim=(5, 10, 20), cross_attention_dim=2048, norm_num_groups=32, use_linear_projection=True,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), transformer_layers_per_block=(1, 2, 10),
    addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
)
"""Podell et al. 2023, table 1."""
BIG_G: dict[str, Any] = dict(
    vocab_size=49408, hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20,
    max_position_embeddings=77, hidden_act="gelu", projection_dim=1280,
)
"""OpenCLIP's ``ViT-bigG-14``."""
POOLED = 1280
SD15_PARAMETERS, SDXL_PARAMETERS, BIG_G_PARAMETERS = 859_520_964, 2_567_463_684, 694_659_840


def on_meta(config: dict[str, Any]) -> Any:
    with torch.device("meta"):
        return UNet2DConditionModel(**config)


@pytest.fixture(scope="module")
def unet() -> Any:
    return on_meta(SD15)


@pytest.fixture(scope="module")
def sdxl_unet() -> Any:
    return on_meta(SDXL)


def test_the_configuration_is_read_from_the_shapes(unet):
    found = ldm.unet_config({key: tuple(value.shape) for key, value in unet.state_dict().items()})
    assert found == SD15
    assert sum(parameter.numel() for parameter in unet.parameters()) == SD15_PARAMETERS


def test_the_configuration_of_sdxl_is_read_from_the_shapes(sdxl_unet):
    found = ldm.unet_config({key: tuple(value.shape) for key, value in sdxl_unet.state_dict().items()}, POOLED)
    assert found == SDXL
    assert sum(parameter.numel() for parameter in sdxl_unet.parameters()) == SDXL_PARAMETERS


def test_the_configuration_of_the_second_text_encoder_is_read_from_open_clips_shapes():
    with torch.device("meta"):
        net = CLIPTextModelWithProjection(CLIPTextConfig(**BIG_G))
    assert sum(parameter.numel() for parameter in net.parameters()) == BIG_G_PARAMETERS
    named = {ldm.open_clip_name(key): value for key, value in tiny_sdxl.open_clip(net.state_dict()).items()}
    tensors = ldm.from_open_clip({key: value for key, value in named.items() if key is not None})
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    assert shapes == {key: tuple(value.shape) for key, value in net.state_dict().items()}
    found = ldm.open_clip_config(shapes)
    assert {key: found[key] for key in BIG_G} == BIG_G


def test_the_released_sdxl_files_name_every_parameter_but_the_embeddings(sdxl_unet):
    """The convolution file changes all but q, k and v, the attention file these; both by LDM's names."""
    shapes = {key: tuple(value.shape) for key, value in sdxl_unet.state_dict().items()}
    found = {}
    for mode in ("transparent_conv", "transparent_attn"):
        for key, shape in REAL[f"layer_xl_{mode}.safetensors"].items():
            name, kind, index = key.removeprefix("diffusion_model.").split("::")
            if kind == "diff":
                found[ldm.unet_name(name)] = tuple(shape)
            elif index == "0":
                found[ldm.unet_name(name)] = (shape[0], REAL[f"layer_xl_{mode}.safetensors"][key[:-1] + "1"][1])
    assert found == {k: v for k, v in shapes.items() if not k.startswith(("time_embedding.", "add_embedding."))}


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


def resident_peak() -> int:
    import resource  # Not on Windows.

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.skipif(
    os.environ.get("LAYER_DIFFUSION_FULL_SIZE") != "1",
    reason="LAYER_DIFFUSION_FULL_SIZE=1 asks for it, with 6 GB of memory",
)
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_one_step_at_full_size(family, capsys):
    """At the native size on a graphics card, at a quarter of its sides on a CPU."""
    cuda = torch.cuda.is_available()
    place, config = torch.device("cuda" if cuda else "cpu"), {"sd15": SD15, "sdxl": SDXL}[family]
    net = on_meta(config).to(torch.bfloat16).to_empty(device=place).eval().requires_grad_(False)
    for parameter in net.parameters():
        parameter.normal_(0, 0.02)
    side = config["sample_size"] // (1 if cuda else 4)
    texts = [torch.randn(1, 77, config["cross_attention_dim"], device=place) for _ in range(2)]
    xl = family == "sdxl"
    negative, positive = (TextCondition(text, torch.randn(1, POOLED, device=place) if xl else None) for text in texts)
    ids = time_ids(8 * side, 8 * side).to(place) if xl else None
    denoise = Denoiser(net, Guide(negative, positive, 7.0, time_ids=ids), Limits(rows=1), lambda: None)
    with torch.inference_mode():
        denoised = denoise(14.6 * torch.randn(1, 4, side, side, device=place), 14.6, 999)
    assert denoised.shape == (1, 4, side, side) and denoised.isfinite().all()
    peak = torch.cuda.max_memory_allocated() if cuda else resident_peak()
    with capsys.disabled():
        print(f"\n{family}, {8 * side} pixels on {place.type}: peak {peak / 1e9:.1f} GB")
