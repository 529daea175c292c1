"""Layer files of SDXL: merged as the references merge them, taken back bit for bit, refused when they do not fit."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from backend.engine import patches
from backend.models.header import TensorInfo
from backend.models.layer_files import Spelling, classify, recognise
from protocol.errors import ErrorCode, LayerDiffusionError
from tests.engine import synth, tiny_sdxl

DATA = Path(__file__).parent / "data"
CPU = torch.device("cpu")
MODES = tuple(tiny_sdxl.LAYER_FILES)
NAMES = tiny_sdxl.unet_names()
FULL_SIZE: dict[str, Any] = dict(
    block_out_channels=(320, 640, 1280), layers_per_block=2, attention_head_dim=(5, 10, 20), cross_attention_dim=2048,
    use_linear_projection=True, transformer_layers_per_block=(1, 2, 10), addition_embed_type="text_time",
    addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
)
"""UNet2DConditionModel of the real SDXL."""


@pytest.fixture(scope="module")
def base() -> dict[str, Tensor]:
    """Weights of the reduced UNet behind the recorded numbers."""
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in UNet2DConditionModel(**synth.UNET_CONFIG["sdxl"]).state_dict().items()}
    return synth.unet_weights(NAMES, shapes)


@pytest.fixture
def unet(base: dict[str, Tensor]) -> Any:
    with torch.device("meta"):
        net = UNet2DConditionModel(**synth.UNET_CONFIG["sdxl"])
    net.load_state_dict({key: value.clone() for key, value in base.items()}, assign=True)
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, base: dict[str, Tensor]) -> dict[str, Path]:
    """The six layer files behind the recorded numbers, under their released names, in float32."""
    folder = tmp_path_factory.mktemp("layers")
    shapes = {"diffusion_model." + name: tuple(base[NAMES[name]].shape) for name in NAMES}
    for mode in MODES:
        save_file(synth.sdxl_layer_file(mode, shapes), folder / tiny_sdxl.LAYER_FILES[mode])
    return {mode: folder / tiny_sdxl.LAYER_FILES[mode] for mode in MODES}


def weights(net: Any) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in net.state_dict().items()}


def same_bits(net: Any, before: dict[str, Tensor]) -> bool:
    after = net.state_dict()
    return after.keys() == before.keys() and all(
        value.dtype == before[key].dtype and torch.equal(value, before[key]) for key, value in after.items()
    )


def converted(path: Path, target: Path, spelling: str) -> Path:
    """A released layer file in the spelling of the converted ones, as their key lists show it."""
    tensors: dict[str, Tensor] = {}
    released = load_file(path)
    for key, value in released.items():
        name, kind, index = key.split("::")
        parameter = NAMES[name.removeprefix("diffusion_model.")]
        if kind == "diff":
            tensors[parameter] = value
        elif spelling == "merged":
            tensors[parameter] = released[name + "::lora::0"] @ released[name + "::lora::1"]
        else:
            module = name.removeprefix("diffusion_model.").removesuffix(".weight").replace(".", "_")
            tensors[f"lora_unet_{module}.lora_{('up', 'down')[int(index)]}.weight"] = value
    save_file(tensors, target)
    return target


def refused(path: Path, mode: str, net: Any = None) -> LayerDiffusionError:
    with pytest.raises(LayerDiffusionError) as error:
        patch = patches.read(path, mode, CPU)
        patches.apply(net, [(patch, 1.0)])
    assert path.name in error.value.message
    return error.value


@pytest.mark.parametrize("mode", ["transparent_attn", "fg2ble", "fgble2bg"])
def test_merged_weights_are_those_of_the_references(mode, unet, files):
    recorded = load_file(DATA / "sdxl_patches.safetensors")
    prefix = f"{mode}.merged.diffusion_model."
    with patches.apply(unet, [(patches.read(files[mode], mode, CPU), 1.0)]):
        merged = unet.state_dict()
        expected = {NAMES[key.removeprefix(prefix)]: key for key in recorded if key.startswith(prefix)}
        assert len(expected) == 5
        for name, key in expected.items():
            own = merged[name][:8] if "upsamplers" in name else merged[name]  # a part of this one was recorded
            torch.testing.assert_close(own, recorded[key], rtol=1e-6, atol=1e-6)
    assert unet.conv_in.in_channels == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("mode", MODES)
def test_restored_weights_are_the_same_bits(mode, dtype, unet, files):
    unet.to(dtype)
    before = weights(unet)
    objects = dict(unet.named_parameters())
    applied = patches.apply(unet, [(patches.read(files[mode], mode, CPU), 0.7)], keep=CPU)
    changed = [key for key, value in unet.state_dict().items() if not torch.equal(value, before[key])]
    assert len(changed) > 100 and unet.dtype == dtype
    applied.restore()
    assert same_bits(unet, before) and unet.conv_in.in_channels == 4
    assert all(parameter is objects[name] for name, parameter in unet.named_parameters())
    applied.restore()
    assert same_bits(unet, before)


def test_merging_is_done_in_float32_and_rounded_once(unet, files):
    unet.half()
    name = "mid_block.attentions.0.transformer_blocks.1.attn2.to_k.weight"
    key = "diffusion_model." + next(ldm_name for ldm_name, own in NAMES.items() if own == name)
    tensors = load_file(files["transparent_attn"])
    up, down = (tensors[f"{key}::lora::{index}"].double() for index in (0, 1))
    exact = weights(unet)[name].double() + 1.3 * up @ down
    patch = patches.read(files["transparent_attn"], "transparent_attn", CPU)
    with patches.apply(unet, [(patch, 1.0), (patch, 0.3)]):
        found = unet.get_parameter(name)
        # Half a unit in the last place is what one rounding costs; a second one would cost more somewhere.
        assert ((found.double() - exact).abs() <= exact.abs() * 2**-11 * 1.001 + 2**-25).all()


@pytest.mark.parametrize(("mode", "channels"), [("fg2ble", 8), ("bg2ble", 8), ("fgble2bg", 12), ("bgble2fg", 12)])
def test_the_first_convolution_grows_with_the_weight_of_the_patch(mode, channels, unet, files):
    own = unet.conv_in.weight.clone()
    patch = patches.read(files[mode], mode, CPU)
    delta = load_file(files[mode])["diffusion_model.input_blocks.0.0.weight::diff::0"]
    for weight in (0.0, 0.6, 2.0):
        with patches.apply(unet, [(patch, weight)]):
            grown = unet.conv_in.weight
            assert grown.shape[1] == channels == unet.conv_in.in_channels
            torch.testing.assert_close(grown[:, :4], own + weight * delta[:, :4])
            torch.testing.assert_close(grown[:, 4:], weight * delta[:, 4:])
        assert unet.conv_in.in_channels == 4


def test_at_weight_zero_the_model_draws_as_without_the_patch(unet, files):
    generator = torch.Generator().manual_seed(3)
    x, condition = (torch.randn(1, 4, 8, 8, generator=generator) for _ in range(2))
    text = torch.randn(1, 7, 64, generator=generator)
    added = {"text_embeds": torch.randn(1, 24, generator=generator), "time_ids": torch.zeros(1, 6)}
    with torch.inference_mode():
        alone = unet(x, 500, text, added_cond_kwargs=added).sample
        with patches.apply(unet, [(patches.read(files["fg2ble"], "fg2ble", CPU), 0.0)]):
            with_patch = unet(torch.cat([x, condition], 1), 500, text, added_cond_kwargs=added).sample
        again = unet(x, 500, text, added_cond_kwargs=added).sample
    torch.testing.assert_close(with_patch, alone, rtol=0, atol=1e-5)
    assert torch.equal(again, alone)


@pytest.mark.parametrize("mode", MODES)
def test_converted_files_are_the_same_patch(mode, unet, files, tmp_path):
    with patches.apply(unet, [(patches.read(files[mode], mode, CPU), 1.0)]):
        expected = weights(unet)
    spellings = ["merged", "kohya"] if mode == "transparent_attn" else ["diffusers"]
    for spelling in spellings:
        path = converted(files[mode], tmp_path / f"diffuser_layer_xl_{mode}.safetensors", spelling)
        with patches.apply(unet, [(patches.read(path, mode, CPU), 1.0)]):
            for key, value in unet.state_dict().items():
                torch.testing.assert_close(value, expected[key], rtol=1e-6, atol=1e-6)


def test_every_key_of_the_real_files_names_a_parameter_of_the_real_model():
    with gzip.open(DATA / "real_keys.json.gz") as file:
        real = json.load(file)
    with torch.device("meta"):
        net = UNet2DConditionModel(**FULL_SIZE)
    checked = []
    for name, keys in real.items():
        tensors = {key: torch.empty(shape, device="meta") for key, shape in keys.items()}
        found = classify({key: TensorInfo("F16", tuple(shape)) for key, shape in keys.items()})
        if found and found.spelling is not Spelling.MODULE:
            patch = patches.Patch(name, patches.deltas(tensors, found.spelling, name), found.modes[0])
            patches.check(patch, net)
            checked.append(name)
    assert len(checked) == 14


def test_several_patches_add_up_and_are_restored_in_the_opposite_order(unet, files):
    before = weights(unet)
    attn, conv = (patches.read(files[mode], mode, CPU) for mode in ("transparent_attn", "bgble2fg"))
    with patches.apply(unet, [(attn, 0.5), (conv, 1.0)]):
        together = weights(unet)
    first = patches.apply(unet, [(conv, 1.0)])
    second = patches.apply(unet, [(attn, 0.5)])
    for key, value in unet.state_dict().items():
        torch.testing.assert_close(value, together[key], rtol=1e-6, atol=1e-6)
    second.restore()
    first.restore()
    assert same_bits(unet, before)


def test_an_exception_in_the_middle_leaves_the_model_as_it_was(unet, files, monkeypatch):
    before, patch = weights(unet), patches.read(files["bgble2fg"], "bgble2fg", CPU)
    calls = []

    def expand(self, place):
        calls.append(self)
        if len(calls) == 40:
            raise RuntimeError("out of memory")
        return self.tensor.to(place, torch.float32)

    monkeypatch.setattr(patches.Difference, "expand", expand)
    with pytest.raises(RuntimeError, match="memory"):
        patches.apply(unet, [(patch, 1.0)])
    assert len(calls) == 40 and same_bits(unet, before) and unet.conv_in.in_channels == 4
    with pytest.raises(KeyError), patches.apply(unet, [(patch, 0.0)]):
        raise KeyError
    assert same_bits(unet, before) and unet.conv_in.in_channels == 4


def test_a_layer_file_of_another_mode_or_family_is_refused(unet, files, tmp_path):
    error = refused(files["fgble2bg"], "bgble2fg")
    assert error.code == ErrorCode.BAD_CHECKPOINT
    assert "fgble2bg" in error.message and "expected bgble2fg" in error.message
    path = tmp_path / "renamed.safetensors"
    save_file({"hookers.layers.0.to_q_lora.0.down.weight": torch.zeros(2, 4)}, path)
    assert "sd15" in refused(path, "transparent_attn").message
    save_file({"something": torch.zeros(2)}, path)
    assert "no file of LayerDiffuse" in refused(path, "fg2ble").message


@pytest.mark.parametrize("mode", ["transparent_attn", "transparent_conv", "fg2ble"])
def test_a_file_that_lacks_a_weight_is_refused(mode, unet, files, tmp_path):
    before, tensors = weights(unet), load_file(files[mode])
    for key in [key for key in tensors if "output_blocks.2." in key][:2]:
        del tensors[key]
    save_file(tensors, tmp_path / "half.safetensors")
    assert "lacks changes" in refused(tmp_path / "half.safetensors", mode, unet).message
    assert same_bits(unet, before)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"diffusion_model.input_blocks.99.0.in_layers.2.weight::diff::0": torch.zeros(2, 2, 3, 3)}, "not there"),
        ({"diffusion_model.middle_block.0.in_layers.2.bias::diff::0": torch.zeros(9)}, "its change (9,)"),
        ({"diffusion_model.out.2.weight::lora::0": torch.zeros(4, 2)}, "expected up and down"),
        ({"diffusion_model.out.2.weight::set::0": torch.zeros(4, 2)}, "which no layer file has"),
        ({"out.2.weight::diff::0": torch.zeros(4, 2)}, "which no layer file has"),
        ({"diffusion_model.middle_block.0.in_layers.2.bias::diff::0": torch.zeros(9, dtype=torch.int8)}, "type I8"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(change, said, unet, files, tmp_path):
    path = tmp_path / files["transparent_conv"].name
    save_file(load_file(files["transparent_conv"]) | change, path)
    error = refused(path, "transparent_conv", unet)
    assert error.code == ErrorCode.BAD_CHECKPOINT and said in error.message


def test_matrices_that_cannot_be_multiplied_are_refused(unet, files, tmp_path):
    tensors = load_file(files["transparent_attn"])
    key = next(key for key in tensors if key.endswith("::lora::1"))
    path = tmp_path / files["transparent_attn"].name
    save_file(tensors | {key: tensors[key][:7].clone()}, path)
    assert "cannot be multiplied" in refused(path, "transparent_attn").message


def test_values_that_are_no_numbers_are_refused(files, tmp_path):
    tensors = load_file(files["fg2ble"])
    tensors["diffusion_model.out.2.bias::diff::0"][1] = float("inf")
    path = tmp_path / files["fg2ble"].name
    save_file(tensors, path)
    assert refused(path, "fg2ble").code == ErrorCode.NOT_FINITE


def test_an_sdxl_file_does_not_fit_an_sd15_model(files):
    net = UNet2DConditionModel(**synth.UNET_CONFIG["sd15"])
    for mode in MODES:
        assert "does not fit the UNet2DConditionModel" in refused(files[mode], mode, net).message


def test_files_keep_their_precision_in_memory(files, tmp_path):
    path = tmp_path / files["fg2ble"].name
    save_file({key: value.half() for key, value in load_file(files["fg2ble"]).items()}, path)
    assert recognise(path).modes == ("fg2ble", "bg2ble")
    deltas = patches.read(path, "fg2ble", CPU).deltas.values()
    assert {delta.tensor.dtype for delta in deltas if isinstance(delta, patches.Difference)} == {torch.float16}


def test_a_convolution_of_low_rank_with_and_without_a_middle():
    generator = torch.Generator().manual_seed(1)
    up, down, mid = (torch.randn(shape, generator=generator) for shape in ((6, 3, 1, 1), (3, 4, 1, 1), (3, 3, 3, 3)))
    expected = torch.einsum("op,pqhw,qi->oihw", up[..., 0, 0], mid, down[..., 0, 0])
    torch.testing.assert_close(patches.LowRank(up, down, 0.5, mid).expand(CPU), 0.5 * expected)
    kernel = torch.randn(3, 4, 3, 3, generator=generator)
    found = patches.LowRank(up, kernel).expand(CPU)
    x = torch.randn(1, 4, 8, 8, generator=generator)
    torch.testing.assert_close(torch.conv2d(x, found), torch.conv2d(torch.conv2d(x, kernel), up), rtol=1e-4, atol=1e-4)
