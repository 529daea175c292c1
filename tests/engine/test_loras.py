"""The user's LoRAs: tags, spellings, families; merged into UNet and text encoders and taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from backend.engine import loras, patches
from backend.engine.checkpoints import BaseModel
from backend.engine.loras import LoraUse, extract
from backend.models import ModelFiles
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.job import ModelInfo
from tests.engine import tiny, tiny_sdxl

RANK = 3
ALPHA = 1.5
LDM = {name: ldm_name for ldm_name, name in tiny_sdxl.unet_names().items()}
UNET = (
    "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k",
    "down_blocks.2.attentions.1.transformer_blocks.1.attn1.to_out.0",
    "mid_block.attentions.0.transformer_blocks.1.ff.net.0.proj", "up_blocks.0.attentions.2.proj_in",
    "up_blocks.1.attentions.0.transformer_blocks.0.ff.net.2",
    "down_blocks.0.resnets.1.conv1", "down_blocks.0.downsamplers.0.conv", "up_blocks.2.resnets.0.conv_shortcut",
    "up_blocks.0.resnets.1.time_emb_proj", "up_blocks.1.upsamplers.0.conv", "conv_in", "conv_out",
    "time_embedding.linear_1", "add_embedding.linear_2",
)
"""Modules of every kind that a LoRA may change."""
SD15_UNET = (
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k", "mid_block.attentions.0.proj_in",
    "up_blocks.3.attentions.2.transformer_blocks.0.attn1.to_q",
)
TEXT = ("text_model.encoder.layers.0.self_attn.q_proj", "text_model.encoder.layers.1.mlp.fc1")


NETS = ("unet", "text_encoder", "text_encoder_2")
Change = dict[str, dict[str, tuple[Tensor, Tensor]]]
"""Network → module → up, down."""


@pytest.fixture
def sdxl() -> BaseModel:
    nets: dict[str, Any] = tiny_sdxl.nets(len(tiny.vocabulary()))
    texts = (nets["text_encoder"], nets["text_encoder_2"])
    return BaseModel("sdxl", nets["unet"], None, texts, (), 0.13025)


@pytest.fixture
def sd15() -> BaseModel:
    unet = tiny.random_net(lambda: UNet2DConditionModel(**tiny.UNET), 1)
    settings: dict[str, Any] = tiny.text_config(len(tiny.vocabulary())) | dict(num_hidden_layers=2)
    config = CLIPTextConfig(**settings)
    return BaseModel("sd15", unet, None, (tiny.random_net(lambda: CLIPTextModel(config), 3),), (), 0.18215)


def networks(base: BaseModel) -> dict[str, Any]:
    return dict(zip(NETS, (base.unet, *base.text_encoders), strict=False))


def weight(net: Any, module: str) -> Tensor:
    own = dict(net.named_parameters())
    name = f"{module}.weight"
    return own[name if name in own else name.removeprefix("text_model.")].clone()


def change(base: BaseModel, seed: int = 1) -> Change:
    """A random LoRA of modules of every kind."""
    generator = torch.Generator().manual_seed(seed)
    modules = {"unet": UNET if base.family == "sdxl" else SD15_UNET}
    made: Change = {}
    for name, net in networks(base).items():
        made[name] = {}
        for module in modules.get(name, TEXT):
            out, *inner = weight(net, module).shape
            up = torch.randn(out, RANK, *[1] * (len(inner) - 1), generator=generator)
            made[name][module] = up, torch.randn(RANK, *inner, generator=generator)
    return made


def kohya(made: Change, unet_name: Any = lambda module: module) -> dict[str, Tensor]:
    prefixes = ("lora_unet", "lora_te1", "lora_te2") if len(made) > 2 else ("lora_unet", "lora_te")
    tensors = {}
    for prefix, modules in zip(prefixes, made.values(), strict=True):
        for module, (up, down) in modules.items():
            name = f"{prefix}_{(unet_name(module) if prefix == 'lora_unet' else module).replace('.', '_')}"
            tensors |= {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}
            tensors[f"{name}.alpha"] = torch.tensor(ALPHA)
    return tensors


def kohya_ldm(made: Change) -> dict[str, Tensor]:
    return kohya(made, lambda module: LDM[f"{module}.weight"].removesuffix(".weight"))


def dotted(made: Change, up_end: str, down_end: str, alpha: bool) -> dict[str, Tensor]:
    tensors = {}
    for net, modules in made.items():
        for module, (up, down) in modules.items():
            tensors |= {f"{net}.{module}{up_end}": up, f"{net}.{module}{down_end}": down}
            if alpha:
                tensors[f"{net}.{module}.alpha"] = torch.tensor(ALPHA)
    return tensors


SPELLINGS = {
    "kohya": kohya,
    "kohya, original blocks": kohya_ldm,
    "peft": lambda made: dotted(made, ".lora_B.weight", ".lora_A.weight", True),
    "diffusers": lambda made: dotted(made, ".lora.up.weight", ".lora.down.weight", True),
    "linear layers": lambda made: dotted(made, ".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight", True),
}


def expect(base: BaseModel, before: dict[str, dict[str, Tensor]], made: Change, unet: float, text: float) -> None:
    for name, net in networks(base).items():
        for module, (up, down) in made[name].items():
            own = before[name][module]
            product = (up.flatten(1) @ down.flatten(1)).reshape(own.shape)
            factor = (text if name != "unet" else unet) * ALPHA / RANK
            torch.testing.assert_close(weight(net, module), own + factor * product, rtol=1e-5, atol=1e-5)


def state(base: BaseModel) -> dict[str, Tensor]:
    return {f"{name}.{key}": v.clone() for name, net in networks(base).items() for key, v in net.state_dict().items()}


def files(path: Path, base: BaseModel) -> ModelFiles:
    info = ModelInfo("model", "Model", base.family, 64, (), "")
    return ModelFiles(path.parent, {}, None, None, info, {path.stem: path})


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    save_file({key: value.clone().contiguous() for key, value in tensors.items()}, path, metadata)
    return path


def refused(path: Path, base: BaseModel, code: ErrorCode = ErrorCode.BAD_CHECKPOINT) -> str:
    before = state(base)
    with pytest.raises(LayerDiffusionError) as error:
        loras.apply([LoraUse(path.stem, 1.0, 1.0)], files(path, base), base)
    assert error.value.code == code and path.name in error.value.message
    assert all(torch.equal(value, before[key]) for key, value in state(base).items())
    return error.value.message


@pytest.mark.parametrize(
    ("prompt", "text", "uses"),
    [
        ("a cat", "a cat", ()),
        ("a <lora:ink> cat", "a  cat", (LoraUse("ink", 1, 1),)),
        ("cat<lora:ink v2.1:0.8>, <LORA:b:-1>x", "cat, x", (LoraUse("ink v2.1", 0.8, 0.8), LoraUse("b", -1, -1))),
        ("<lora:ink:0.5:0.25>", "", (LoraUse("ink", 0.25, 0.5),)),
        ("<lora:ink:te=0.5>", "", (LoraUse("ink", 0.5, 0.5),)),
        ("<lora:ink:0.5:unet=2>", "", (LoraUse("ink", 2, 0.5),)),
        ("<lyco: ink : 1.5 >", "", (LoraUse("ink", 1.5, 1.5),)),
        ("<3 <hypernet:x:1>", "<3 <hypernet:x:1>", ()),
    ],
)
def test_tags_are_taken_out_of_the_prompt(prompt, text, uses):
    assert extract(prompt) == (text, uses)


@pytest.mark.parametrize(
    "tag", ["<lora:>", "<lora::1>", "<lora:a:b>", "<lora:a:1:2:3>", "<lora:a:inf>", "<lora:a:te=>"],
)
def test_a_tag_that_is_not_understood_is_refused(tag):
    with pytest.raises(LayerDiffusionError) as error:
        extract(f"a cat {tag}")
    assert error.value.code == ErrorCode.INVALID_REQUEST and tag in error.value.message


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_changes_the_weights_by_its_product_and_is_taken_back(spelling, sdxl, tmp_path):
    made = change(sdxl)
    path = write(tmp_path / "ink.safetensors", SPELLINGS[spelling](made))
    before = {name: {module: weight(net, module) for module in made[name]} for name, net in networks(sdxl).items()}
    all_before = state(sdxl)
    applied = loras.apply([LoraUse("ink", 0.7, -0.4)], files(path, sdxl), sdxl)
    expect(sdxl, before, made, 0.7, -0.4)
    changed = [key for key, value in state(sdxl).items() if not torch.equal(value, all_before[key])]
    assert len(changed) == sum(map(len, made.values()))
    applied.restore()
    assert all(torch.equal(value, all_before[key]) for key, value in state(sdxl).items())


def test_an_sd15_lora_changes_its_one_text_encoder(sd15, tmp_path):
    made = change(sd15)
    path = write(tmp_path / "ink.safetensors", kohya(made))
    before = {name: {module: weight(net, module) for module in made[name]} for name, net in networks(sd15).items()}
    with loras.apply([LoraUse("ink", 1.0, 0.5)], files(path, sd15), sd15):
        expect(sd15, before, made, 1.0, 0.5)


def test_loras_add_up_and_one_named_twice_counts_twice(sdxl, tmp_path):
    made = change(sdxl)
    path = write(tmp_path / "ink.safetensors", kohya(made))
    before = {name: {module: weight(net, module) for module in made[name]} for name, net in networks(sdxl).items()}
    with loras.apply([LoraUse("ink", 0.5, 1.0), LoraUse("ink", 0.25, -1.0)], files(path, sdxl), sdxl):
        expect(sdxl, before, made, 0.75, 0.0)


def test_applied_and_restored_across_inference_mode(sdxl, tmp_path):
    path, before = write(tmp_path / "ink.safetensors", kohya(change(sdxl))), state(sdxl)
    with torch.inference_mode():
        applied = loras.apply([LoraUse("ink", 1.0, 1.0)], files(path, sdxl), sdxl)
        ids = torch.zeros(1, 77, dtype=torch.long)
        sdxl.text_encoders[0](ids)
    applied.restore()
    assert all(torch.equal(value, before[key]) for key, value in state(sdxl).items())
    sdxl.text_encoders[0](ids.clone())


def test_what_diffusers_writes_into_the_header_is_the_alpha(sdxl, tmp_path):
    made = change(sdxl)
    tensors = dotted(made, ".lora_B.weight", ".lora_A.weight", False)
    settings = {f"{net}.lora_alpha": ALPHA for net in NETS} | {f"{net}.r": RANK for net in NETS}
    before = {name: {module: weight(net, module) for module in made[name]} for name, net in networks(sdxl).items()}
    path = write(tmp_path / "ink.safetensors", tensors, {"lora_adapter_metadata": json.dumps(settings)})
    with loras.apply([LoraUse("ink", 1.0, 1.0)], files(path, sdxl), sdxl):
        expect(sdxl, before, made, 1.0, 1.0)
    settings |= {"unet.use_rslora": True, "text_encoder.alpha_pattern": {"mlp.fc1": 2 * ALPHA}}
    path = write(tmp_path / "ink.safetensors", tensors, {"lora_adapter_metadata": json.dumps(settings)})
    made["text_encoder"][TEXT[1]] = (2 * made["text_encoder"][TEXT[1]][0], made["text_encoder"][TEXT[1]][1])
    with loras.apply([LoraUse("ink", 3**-0.5, 1.0)], files(path, sdxl), sdxl):
        expect(sdxl, before, made, 1.0, 1.0)
    path = write(tmp_path / "ink.safetensors", tensors, {"lora_adapter_metadata": "[1]"})
    assert "not readable" in refused(path, sdxl)


def test_without_an_alpha_the_product_is_taken_as_it_is(sdxl, tmp_path):
    made = change(sdxl)
    path = write(tmp_path / "ink.safetensors", dotted(made, ".lora_B.weight", ".lora_A.weight", False))
    before = {name: {module: weight(net, module) for module in made[name]} for name, net in networks(sdxl).items()}
    with loras.apply([LoraUse("ink", ALPHA / RANK, 2 * ALPHA / RANK)], files(path, sdxl), sdxl):
        expect(sdxl, before, made, 1.0, 2.0)


def test_the_attention_processors_of_early_diffusers_are_read(sd15, tmp_path):
    module = "mid_block.attentions.0.transformer_blocks.0.attn1"
    up, down = torch.ones(96, RANK), torch.ones(RANK, 96)
    before = [weight(sd15.unet, f"{module}.{name}") for name in ("to_q", "to_out.0")]
    tensors = {
        f"unet.{module}.processor.{name}_lora.{part}.weight": value
        for name in ("to_q", "to_out") for part, value in (("up", up), ("down", down))
    }
    with loras.apply([LoraUse("ink", 1.0, 1.0)], files(write(tmp_path / "ink.safetensors", tensors), sd15), sd15):
        for name, own in zip(("to_q", "to_out.0"), before, strict=True):
            torch.testing.assert_close(weight(sd15.unet, f"{module}.{name}"), own + RANK)


def test_a_middle_and_matrices_for_a_convolution_of_one_pixel(sdxl, tmp_path):
    generator = torch.Generator().manual_seed(2)
    conv, shortcut = "down_blocks.0.resnets.1.conv1", "up_blocks.2.resnets.0.conv_shortcut"
    own = {module: weight(sdxl.unet, module) for module in (conv, shortcut)}
    out, inner = own[conv].shape[:2]
    up, down, mid = (
        torch.randn(shape, generator=generator)
        for shape in ((out, RANK, 1, 1), (RANK, inner, 1, 1), (RANK, RANK, 3, 3))
    )
    wide = torch.randn(own[shortcut].shape[0], RANK, generator=generator)
    narrow = torch.randn(RANK, own[shortcut].shape[1], generator=generator)
    tensors = {
        f"lora_unet_{module.replace('.', '_')}.lora_{part}.weight": value
        for module, parts in ((conv, dict(up=up, down=down, mid=mid)), (shortcut, dict(up=wide, down=narrow)))
        for part, value in parts.items()
    }
    with loras.apply([LoraUse("ink", 1.0, 1.0)], files(write(tmp_path / "ink.safetensors", tensors), sdxl), sdxl):
        product = torch.einsum("op,pqhw,qi->oihw", up[..., 0, 0], mid, down[..., 0, 0])
        torch.testing.assert_close(weight(sdxl.unet, conv), own[conv] + product, rtol=1e-4, atol=1e-4)
        expected = own[shortcut] + (wide @ narrow)[..., None, None]
        torch.testing.assert_close(weight(sdxl.unet, shortcut), expected, rtol=1e-4, atol=1e-4)


def test_a_lora_works_together_with_a_layer_file(sdxl, tmp_path):
    layer = tmp_path / tiny_sdxl.LAYER_FILES["bgble2fg"]
    save_file(tiny_sdxl.layer_state_dict("bgble2fg"), layer)
    path, before = write(tmp_path / "ink.safetensors", kohya(change(sdxl))), state(sdxl)
    under = loras.apply([LoraUse("ink", 1.0, 1.0)], files(path, sdxl), sdxl)
    with_lora = weight(sdxl.unet, "conv_in")
    over = patches.apply(sdxl.unet, [(patches.read(layer, "bgble2fg", torch.device("cpu")), 1.0)])
    delta = tiny_sdxl.layer_state_dict("bgble2fg")["diffusion_model.input_blocks.0.0.weight::diff::0"].float()
    torch.testing.assert_close(weight(sdxl.unet, "conv_in")[:, :4], with_lora + delta[:, :4])
    over.restore()
    under.restore()
    assert all(torch.equal(value, before[key]) for key, value in state(sdxl).items())


@pytest.mark.parametrize(
    ("width", "family"), [(768, "Stable Diffusion 1.5"), (1024, "Stable Diffusion 2"), (2048, "SDXL")],
)
def test_a_lora_of_another_family_is_refused(width, family, sdxl, sd15, tmp_path):
    name = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors = {f"{name}.lora_down.weight": torch.zeros(2, width), f"{name}.lora_up.weight": torch.zeros(64, 2)}
    path = write(tmp_path / "ink.safetensors", tensors)
    for base, own in ((sdxl, "SDXL"), (sd15, "Stable Diffusion 1.5")):
        message = refused(path, base)
        assert f"for {family}" in message and f"expected one for {own}" in message


def test_a_second_text_encoder_means_sdxl(sd15, sdxl, tmp_path):
    path = write(tmp_path / "ink.safetensors", kohya({"unet": {}, **dict(list(change(sdxl).items())[1:])}))
    assert "LoRA for SDXL" in refused(path, sd15)


def test_a_lora_that_fits_no_weight_is_refused_by_name(sdxl, sd15, tmp_path):
    path = write(tmp_path / "ink.safetensors", kohya(change(sd15)))
    assert "down_blocks.0.attentions.0" in refused(path, sdxl)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("dora_scale", "a DoRA"), ("lora_magnitude_vector.weight", "a DoRA"), ("hada_w1_a", "a LoHa"),
        ("lokr_w1", "a LoKr"), ("oft_blocks", "an OFT"), ("diff", "whole differences"), ("bundle", "no part of a LoRA"),
    ],
)
def test_other_kinds_of_changes_are_refused_by_their_names(end, said, sdxl, tmp_path):
    name = "lora_unet_mid_block_attentions_0_proj_in"
    path = write(tmp_path / "ink.safetensors", kohya(change(sdxl)) | {f"{name}.{end}": torch.zeros(2, 2)})
    assert said in refused(path, sdxl)


def test_other_files_are_no_lora(sdxl, tmp_path):
    path = tiny_sdxl.write_checkpoint(tmp_path / "ink.safetensors")
    assert "an SDXL checkpoint" in refused(path, sdxl)
    path.write_bytes(b"PK")
    assert "no complete safetensors file" in refused(path, sdxl)


def test_half_a_pair_and_matrices_that_do_not_fit_are_refused(sdxl, tmp_path):
    tensors = kohya(change(sdxl))
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_1_ff_net_0_proj.lora_up.weight"
    whole = tensors[name]
    del tensors[name]
    assert "expected up and down" in refused(write(tmp_path / "ink.safetensors", tensors), sdxl)
    tensors[name] = whole[:, :2]
    assert "cannot be multiplied" in refused(write(tmp_path / "ink.safetensors", tensors), sdxl)
    tensors[name] = whole[:5]
    assert "has the shape" in refused(write(tmp_path / "ink.safetensors", tensors), sdxl)
    tensors[name] = torch.full_like(whole, float("nan"))
    refused(write(tmp_path / "ink.safetensors", tensors), sdxl, ErrorCode.NOT_FINITE)
    tensors[name] = whole.to(torch.int8)
    assert "type I8" in refused(write(tmp_path / "ink.safetensors", tensors), sdxl)
