"""Loading of single files and folders, and refusal of everything else with a sentence that names the file."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from backend.engine import checkpoints, ldm
from backend.engine.checkpoints import BaseModel, load_base, load_decoder, load_encoder, load_layers
from backend.engine.device import Device, memory_errors
from backend.engine.prompts import encode
from backend.engine.sharing import SharingLayers
from backend.models.families import base_files
from protocol.errors import ErrorCode, LayerDiffusionError
from tests.engine import tiny

CPU = Device(torch.device("cpu"), torch.float32, torch.float32, torch.float32)
UNET = "model.diffusion_model."
FIRST_CONTEXT_KEY = UNET + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_checkpoint(tmp_path_factory.mktemp("file") / "tiny.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_folder(tmp_path_factory.mktemp("folder") / "tiny")


@pytest.fixture(scope="module")
def from_file(checkpoint: Path) -> BaseModel:
    return load_base(checkpoint, CPU)


def refused(load: Callable[[], object], code: ErrorCode, *words: str) -> None:
    with pytest.raises(LayerDiffusionError) as error:
        load()
    assert error.value.code == code, error.value.message
    for word in words:
        assert word in error.value.message, error.value.message
    assert error.value.hint


def test_unet_names_equal_the_recorded_ones():
    names = json.loads((Path(__file__).parent / "data" / "ldm_names_sd15.json").read_text())
    assert {key: ldm.unet_name(key) for key in names} == names


def test_file_and_folder_hold_the_same_networks(from_file, folder):
    other = load_base(folder, CPU)
    for part in ("unet", "vae"):
        states = [getattr(model, part).state_dict() for model in (from_file, other)]
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    for key in ("in_channels", "block_out_channels", "attention_head_dim", "cross_attention_dim", "norm_num_groups"):
        assert from_file.unet.config[key] == tiny.UNET[key]
    assert from_file.family == other.family == "sd15"
    assert from_file.scaling_factor == other.scaling_factor == 0.18215
    assert from_file.vocabularies[0].end == 49407 and other.vocabularies[0].end == len(tiny.vocabulary()) - 1


def test_text_encoder_gives_the_hidden_state_after_the_final_norm(from_file):
    [condition] = encode(["a red apple"], from_file)
    expected = tiny.random_net(lambda: tiny.CLIPTextModel(tiny.CLIPTextConfig(**tiny.text_config(49408))), 3)
    tokens = torch.tensor([[49406, 320, 736, 3055] + [49407] * 73])
    torch.testing.assert_close(condition.context, expected(tokens).last_hidden_state, atol=1e-5, rtol=1e-5)
    assert condition.pooled is None


def test_names_of_older_files_are_understood(checkpoint, folder, from_file, tmp_path):
    tensors = load_file(checkpoint)
    old = {k.replace("transformer.text_model.", "transformer."): v for k, v in tensors.items()}
    save_file(old, tmp_path / "old.safetensors")
    loaded = load_base(tmp_path / "old.safetensors", CPU).text_encoders[0].state_dict()
    assert all(torch.equal(v, loaded[k]) for k, v in from_file.text_encoders[0].state_dict().items())
    names = [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")]
    vae = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    for new, former in names:
        vae = {k.replace(new, former): v for k, v in vae.items()}
    copy = tiny.write_folder(tmp_path / "copy")
    save_file(vae, copy / "vae" / "diffusion_pytorch_model.safetensors")
    loaded = load_base(copy, CPU).vae.state_dict()
    assert all(torch.equal(v, loaded[k]) for k, v in from_file.vae.state_dict().items())


def widen(key: str, dimension: int, size: int) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    def change(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        shape = list(tensors[key].shape)
        shape[dimension] = size
        return tensors | {key: torch.zeros(shape)}

    return change


def without(part: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: {key: value for key, value in tensors.items() if part not in key}


@pytest.mark.parametrize(("change", "words"), [
    (widen(UNET + "input_blocks.0.0.weight", 1, 9), ["inpainting", "9 input channels"]),
    (lambda t: t | {UNET + "label_emb.0.0.weight": torch.zeros(2, 2)}, ["SDXL"]),
    (lambda t: {k: v[:, :, 0, 0] if k.endswith(".1.proj_in.weight") else v for k, v in t.items()}, ["Diffusion 2"]),
    (without("cond_stage_model."), ["without its text encoder"]),
    (without("first_stage_model."), ["without its VAE"]),
    (without("input_blocks.2.1."), ["distilled", "15 transformer blocks"]),
    (without("output_blocks.4.0.in_layers.2.bias"), ["lacks 1 tensors", "up_blocks.1.resnets.1.conv1.bias"]),
    (lambda t: {"lora_unet_down_blocks_0.lora_down.weight": torch.zeros(2, 2)}, ["a LoRA"]),
    (lambda t: {"something": torch.zeros(2)}, ["unknown kind"]),
], ids=["inpainting", "sdxl", "sd2", "no text", "no vae", "distilled", "incomplete", "lora", "unknown"])
def test_other_checkpoints_are_refused_by_what_they_are(change, words, checkpoint, tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({k: v.contiguous() for k, v in change(load_file(checkpoint)).items()}, path)
    refused(lambda: load_base(path, CPU), ErrorCode.BAD_CHECKPOINT, "other.safetensors", *words)


def test_weights_that_are_not_numbers_are_named(checkpoint, tmp_path):
    tensors = load_file(checkpoint)
    tensors[FIRST_CONTEXT_KEY][0, 0] = float("nan")
    save_file(tensors, tmp_path / "nan.safetensors")
    path = tmp_path / "nan.safetensors"
    refused(lambda: load_base(path, CPU), ErrorCode.NOT_FINITE, "nan.safetensors", FIRST_CONTEXT_KEY)


def test_values_beyond_the_device_precision_are_not_finite(checkpoint, tmp_path):
    tensors = load_file(checkpoint)
    tensors[FIRST_CONTEXT_KEY][0, 0] = 1e6
    save_file(tensors, tmp_path / "huge.safetensors")
    half = Device(torch.device("cpu"), torch.float16, torch.float32, torch.float32)
    refused(lambda: load_base(tmp_path / "huge.safetensors", half), ErrorCode.NOT_FINITE, "huge.safetensors")


def damaged(kind: str, content: bytes) -> bytes:
    length = struct.unpack("<Q", content[:8])[0]
    return {
        "truncated": content[:-1000],
        "truncated in the header": content[:200],
        "empty": b"",
        "longer": content + b"\0",
        "no json": content[:8] + b"x" * length + content[8 + length:],
        "huge header": struct.pack("<Q", 1 << 60) + content[8:],
        "offsets": content.replace(b'"data_offsets":[0,', b'"data_offsets":[4,', 1),
        "a list": struct.pack("<Q", 2) + b"[]",
        "html": b"<!DOCTYPE html><html>Sign in to download</html>",
    }[kind]


@pytest.mark.parametrize("kind", [
    "truncated", "truncated in the header", "empty", "longer", "no json", "huge header", "offsets", "a list", "html",
])
def test_damaged_files_are_refused(kind, checkpoint, tmp_path):
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damaged(kind, checkpoint.read_bytes()))
    refused(lambda: load_base(path, CPU), ErrorCode.BAD_CHECKPOINT, "damaged.safetensors")
    refused(lambda: load_decoder(path, CPU.place, torch.float32), ErrorCode.BAD_CHECKPOINT, "damaged.safetensors")


class Trap:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.safetensors"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_are_refused_and_never_opened(name, zipped, tmp_path):
    path, sign = tmp_path / name, tmp_path / "opened"
    if zipped:
        torch.save(Trap(sign), path)
    else:
        path.write_bytes(pickle.dumps(Trap(sign)))
    refused(lambda: load_base(path, CPU), ErrorCode.BAD_CHECKPOINT, name, "pickled")
    assert not sign.exists()


def test_folders_of_other_models_or_with_missing_parts_are_refused(tmp_path):
    folder = tiny.write_folder(tmp_path / "model")
    config = folder / "unet" / "config.json"
    original = config.read_text()
    for change, word in [
        ({"in_channels": 9}, "inpainting"), ({"use_linear_projection": True}, "Diffusion 2"),
        ({"addition_embed_type": "text_time"}, "different families"), ({"cross_attention_dim": 32}, "does not hold"),
    ]:
        config.write_text(json.dumps(json.loads(original) | change))
        refused(lambda: load_base(folder, CPU), ErrorCode.BAD_CHECKPOINT, "model", word)
    config.write_text("{")
    refused(lambda: load_base(folder, CPU), ErrorCode.BAD_CHECKPOINT, "config.json")
    config.write_text(original)
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    refused(lambda: load_base(folder, CPU), ErrorCode.BAD_CHECKPOINT, "pickled")
    weights.with_suffix(".bin").unlink()
    refused(lambda: load_base(folder, CPU), ErrorCode.MISSING_FILE, "vae/diffusion_pytorch_model.safetensors")


def split(weights: Path) -> Path:
    """Split a folder's weights in two, as diffusers does with large ones; return their index."""
    tensors = load_file(weights)
    weights.unlink()
    names = [f"{weights.stem}-0000{part}-of-00002.safetensors" for part in (1, 2)]
    places = {key: names[index % 2] for index, key in enumerate(tensors)}
    for name in names:
        save_file({key: value for key, value in tensors.items() if places[key] == name}, weights.with_name(name))
    index = weights.with_name(weights.name + ".index.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index


def test_weights_in_several_files_are_read_together(from_file, tmp_path):
    folder = tiny.write_folder(tmp_path / "model")
    index = split(folder / "unet" / "diffusion_pytorch_model.safetensors")
    loaded = load_base(folder, CPU).unet.state_dict()
    assert all(torch.equal(v, loaded[k]) for k, v in from_file.unet.state_dict().items())
    assert [path.parent.name for path in base_files(folder)] == ["unet", "unet", "vae", "text_encoder"]
    last = sorted(index.parent.glob("*.safetensors"))[-1]
    last.rename(tmp_path / last.name)
    refused(lambda: load_base(folder, CPU), ErrorCode.MISSING_FILE, last.name)
    index.write_text(index.read_text().replace(last.name, f"../../{last.name}"))
    refused(lambda: load_base(folder, CPU), ErrorCode.BAD_CHECKPOINT, "index.json", f"../../{last.name}")


def test_a_missing_file_is_missing(tmp_path):
    refused(lambda: load_base(tmp_path / "gone.safetensors", CPU), ErrorCode.MISSING_FILE, "gone.safetensors")


def test_layer_files_in_each_others_place_are_refused(from_file, tmp_path):
    tiny.write_layers(tmp_path)
    layers, decoder, encoder = (tmp_path / name for name in (tiny.LAYER_FILE, tiny.DECODER_FILE, tiny.ENCODER_FILE))
    refused(
        lambda: load_layers(decoder, from_file.unet), ErrorCode.BAD_CHECKPOINT,
        "is a transparent decoder", "expected an SD1.5 layer file",
    )
    refused(lambda: load_decoder(layers, CPU.place, torch.float32), ErrorCode.BAD_CHECKPOINT, "is an SD1.5 layer file")
    refused(
        lambda: load_encoder(decoder, CPU.place, torch.float32), ErrorCode.BAD_CHECKPOINT, "is a transparent decoder",
        "expected a transparent encoder",
    )
    refused(lambda: load_decoder(encoder, CPU.place, torch.float32), ErrorCode.BAD_CHECKPOINT, "a transparent encoder")
    config: dict[str, Any] = tiny.UNET | {"cross_attention_dim": 32}
    narrow = tiny.random_net(lambda: tiny.UNet2DConditionModel(**config), 1)
    refused(
        lambda: load_layers(layers, narrow), ErrorCode.BAD_CHECKPOINT, layers.name, "attention module has"
    )


def test_the_encoder_has_the_tensors_of_its_file(tmp_path):
    tiny.write_layers(tmp_path)
    encoder = load_encoder(tmp_path / tiny.ENCODER_FILE, CPU.place, torch.float32)
    state, tensors = encoder.state_dict(), load_file(tmp_path / tiny.ENCODER_FILE)
    assert state.keys() == tensors.keys() and all(torch.equal(value, state[key]) for key, value in tensors.items())
    assert not encoder.training


@pytest.mark.parametrize(("mode", "frames"), [("transparent_attn", 1), ("joint", 3), ("fg2bg", 2), ("bg2fg", 2)])
def test_the_layer_file_of_every_mode_is_loaded(mode, frames, from_file, tmp_path):
    save_file(tiny.sharing_state_dict(mode), tmp_path / tiny.LAYER_FILES[mode])
    layers = load_layers(tmp_path / tiny.LAYER_FILES[mode], from_file.unet, frames)
    assert layers.frames == frames and (layers.kwargs_encoder is not None) == (frames == 2)


def test_a_layer_file_of_another_mode_is_refused(from_file, tmp_path):
    joint = tiny.random_net(lambda: SharingLayers.for_unet(from_file.unet, 2, frames=3), 1)
    save_file(joint.state_dict(), tmp_path / "joint.safetensors")
    refused(
        lambda: load_layers(tmp_path / "joint.safetensors", from_file.unet), ErrorCode.BAD_CHECKPOINT,
        "joint.safetensors", "3 pictures at once",
    )


def as_type(dtype: torch.dtype, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.to(dtype) for key, value in tensors.items()}


@pytest.mark.parametrize(("dtype", "said"), [(torch.int8, "I8"), (torch.int64, "I64"), (torch.complex64, "C64")])
def test_values_that_are_no_floating_point_numbers_are_refused_by_their_type(dtype, said, from_file, tmp_path):
    tiny.write_layers(tmp_path)
    path, device = tmp_path / "numbers.safetensors", torch.device("cpu")
    for name, load in (
        (tiny.LAYER_FILE, lambda: load_layers(path, from_file.unet)),
        (tiny.DECODER_FILE, lambda: load_decoder(path, device, torch.float32)),
        (tiny.ENCODER_FILE, lambda: load_encoder(path, device, torch.float32)),
    ):
        save_file(as_type(dtype, load_file(tmp_path / name)), path)
        refused(load, ErrorCode.BAD_CHECKPOINT, path.name, f"type {said}", "expected F16, BF16, F32, F64")


def test_eight_bits_are_read_where_they_are_widened_at_once(from_file, tmp_path):
    tiny.write_layers(tmp_path)
    path = tmp_path / "small.safetensors"
    save_file(as_type(torch.float8_e4m3fn, load_file(tmp_path / tiny.ENCODER_FILE)), path)
    encoder = load_encoder(path, torch.device("cpu"), torch.float32)
    assert all(value.dtype is torch.float32 for value in encoder.parameters())
    save_file(as_type(torch.float8_e4m3fn, load_file(tmp_path / tiny.LAYER_FILE)), path)
    refused(lambda: load_layers(path, from_file.unet), ErrorCode.BAD_CHECKPOINT, path.name, "type F8_E4M3")


def test_a_tensor_that_the_layers_are_read_from_is_named_when_it_is_missing(tmp_path):
    tiny.write_layers(tmp_path)
    weights = load_file(tmp_path / tiny.ENCODER_FILE)
    del weights["blocks.4.weight"]
    save_file(weights, tmp_path / "cut.safetensors")
    refused(
        lambda: load_encoder(tmp_path / "cut.safetensors", torch.device("cpu"), torch.float32),
        ErrorCode.BAD_CHECKPOINT, "cut.safetensors", "lacks 'blocks.4.weight'",
    )


@pytest.mark.parametrize("error", [
    OSError("The paging file is too small for this operation to complete. (os error 1455)"),
    OSError(12, "Cannot allocate memory"), RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"),
])
def test_a_file_for_which_memory_is_short_is_not_called_wrong(error, checkpoint, monkeypatch):
    def explode(*_: Any) -> None:
        raise error

    monkeypatch.setattr(checkpoints, "safe_open", explode)
    with pytest.raises(LayerDiffusionError) as raised, memory_errors("loading"):
        load_base(checkpoint, CPU)
    assert raised.value.code == ErrorCode.OUT_OF_MEMORY


def test_a_layer_file_lacking_a_tensor_is_refused(from_file, tmp_path):
    weights = tiny.sharing_state_dict()
    del weights["hookers.layers.7.temporal_n.bias"]
    save_file(weights, tmp_path / "cut.safetensors")
    refused(
        lambda: load_layers(tmp_path / "cut.safetensors", from_file.unet), ErrorCode.BAD_CHECKPOINT,
        "cut.safetensors", "layers.7.temporal_n.bias",
    )
