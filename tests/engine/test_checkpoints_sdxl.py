"""SDXL: both formats end as the same networks, and texts are read as transformers and OpenCLIP read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from backend.engine import ldm
from backend.engine.checkpoints import BaseModel, load_base
from backend.engine.device import Device
from backend.engine.prompts import TextCondition, chunks, emphasize, encode
from backend.models.families import COMPONENTS
from protocol.errors import ErrorCode, LayerDiffusionError
from tests.engine import tiny, tiny_sdxl

CPU = Device(torch.device("cpu"), torch.float32, torch.float32, torch.float32)
SECOND = COMPONENTS["sdxl"]["text_encoder_2"]
TEXT = "a (red:1.3) apple on a [green] table BREAK high quality"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sdxl.write_checkpoint(tmp_path_factory.mktemp("file") / "tiny-xl.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The networks of `checkpoint` as a folder."""
    return tiny_sdxl.write_folder(tmp_path_factory.mktemp("folder") / "tiny-xl", own_vocabulary=False)


@pytest.fixture(scope="module")
def from_file(checkpoint: Path) -> BaseModel:
    return load_base(checkpoint, CPU)


def networks(model: BaseModel) -> dict[str, nn.Module]:
    return dict(zip(COMPONENTS["sdxl"], (model.unet, model.vae, *model.text_encoders), strict=True))


def pooled(condition: TextCondition) -> Tensor:
    assert condition.pooled is not None
    return condition.pooled


def test_unet_names_equal_the_recorded_ones():
    names = tiny_sdxl.unet_names()
    assert {key: ldm.unet_name(key) for key in names} == names


def test_file_and_folder_hold_the_same_networks(from_file, folder):
    other = load_base(folder, CPU)
    expected = tiny_sdxl.nets(tiny.VOCABULARY)
    for name, net in networks(from_file).items():
        states = [n.state_dict() for n in (net, networks(other)[name], expected[name])]
        assert states[0].keys() == states[1].keys() == states[2].keys()
        for key, value in states[0].items():
            assert torch.equal(value, states[1][key]) and torch.equal(value, states[2][key]), key
    for key in tiny_sdxl.UNET.keys() - {"sample_size"}:
        assert from_file.unet.config[key] == tiny_sdxl.UNET[key], key
    for found, wanted in zip(from_file.text_encoders, other.text_encoders, strict=True):
        assert found.config.hidden_act == wanted.config.hidden_act
        assert found.config.num_attention_heads == wanted.config.num_attention_heads
    assert from_file.family == other.family == "sdxl"
    assert from_file.scaling_factor == other.scaling_factor == 0.13025


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_are_read_in_the_precision_of_the_device(dtype, from_file, tmp_path):
    path = tiny_sdxl.write_checkpoint(tmp_path / "half.safetensors", dtype)
    half = load_base(path, Device(torch.device("cpu"), dtype, torch.float32, torch.float32))
    for name, net in networks(half).items():
        wanted = torch.float32 if name == "vae" else dtype
        exact = networks(from_file)[name].state_dict()
        for key, value in net.state_dict().items():
            assert value.dtype == wanted and torch.equal(value, exact[key].to(dtype).to(wanted)), key


def test_a_folder_gives_its_own_vocabulary(tmp_path):
    model = load_base(tiny_sdxl.write_folder(tmp_path / "own"), CPU)
    assert [vocabulary.end for vocabulary in model.vocabularies] == [len(tiny.vocabulary()) - 1] * 2
    assert [c.context.shape for c in encode(["an apple"], model)] == [(1, 77, sum(tiny_sdxl.TEXT_WIDTHS))]


def test_texts_are_read_as_by_transformers(from_file, folder):
    """Penultimate states without the final LayerNorm side by side; the first chunk's projected feature."""
    first = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    second = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2").eval()
    parts = chunks(TEXT, from_file.vocabularies[0])
    tokens = torch.tensor([chunk.tokens for chunk in parts])
    weights = torch.tensor([chunk.weights for chunk in parts])
    zeros = tokens.clone()
    for row in zeros:
        row[row.tolist().index(49407) + 1:] = 0
    with torch.no_grad():
        read = second(zeros, output_hidden_states=True)
        states = [first(tokens, output_hidden_states=True).hidden_states[-2], read.hidden_states[-2]]
        [found] = encode([TEXT], from_file)
    expected = torch.cat([emphasize(z, weights) for z in states], -1).reshape(1, 154, -1)
    torch.testing.assert_close(found.context, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pooled(found), read.text_embeds[:1], atol=1e-5, rtol=1e-5)


def open_clip_reading(tensors: dict[str, Tensor], tokens: Tensor) -> tuple[Tensor, Tensor]:
    """OpenCLIP's text tower written out: penultimate state ``[n, T, C]`` and projected feature ``[n, P]``.

    torch's own MultiheadAttention holds the fused matrix as the file does (Radford et al. 2021; ``ViT-bigG-14``).
    """
    x = tensors["token_embedding.weight"][tokens] + tensors["positional_embedding"]
    width = x.shape[-1]
    mask = torch.full((tokens.shape[1],) * 2, float("-inf")).triu(1)
    states = [x]
    for index in range(sum(key.endswith(".ln_1.weight") for key in tensors)):
        p = {k.split(".", 3)[3]: v for k, v in tensors.items() if k.startswith(f"transformer.resblocks.{index}.")}
        attention = nn.MultiheadAttention(width, 1, batch_first=True)
        attention.load_state_dict({k.removeprefix("attn."): v for k, v in p.items() if k.startswith("attn.")})
        y = F.layer_norm(x, (width,), p["ln_1.weight"], p["ln_1.bias"])
        x = x + attention(y, y, y, need_weights=False, attn_mask=mask)[0]
        y = F.layer_norm(x, (width,), p["ln_2.weight"], p["ln_2.bias"])
        y = F.gelu(F.linear(y, p["mlp.c_fc.weight"], p["mlp.c_fc.bias"]))
        x = x + F.linear(y, p["mlp.c_proj.weight"], p["mlp.c_proj.bias"])
        states.append(x)
    x = F.layer_norm(x, (width,), tensors["ln_final.weight"], tensors["ln_final.bias"])
    return states[-2], x[torch.arange(len(x)), tokens.argmax(1)] @ tensors["text_projection"]


def test_the_second_encoder_reads_as_open_clip_does(from_file, checkpoint):
    tensors = {k.removeprefix(SECOND): v for k, v in load_file(checkpoint).items() if k.startswith(SECOND)}
    tokens = torch.tensor([[49406, 320, 736, 3055, 49407] + [0] * 72])
    with torch.no_grad():
        state, feature = open_clip_reading(tensors, tokens)
        [found] = encode(["a red apple"], from_file)
    torch.testing.assert_close(found.context[..., tiny_sdxl.TEXT_WIDTHS[0]:], state, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pooled(found), feature, atol=1e-5, rtol=1e-5)


def test_texts_together_are_read_as_alone(from_file):
    texts = ["", TEXT, "a cat"]
    for together, text in zip(encode(texts, from_file), texts, strict=True):
        [alone] = encode([text], from_file)
        torch.testing.assert_close(together.context, alone.context, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(pooled(together), pooled(alone), atol=1e-5, rtol=1e-5)


def test_pooled_is_that_of_the_first_chunk_without_emphasis(from_file):
    weighed, plain, other = encode(["a (red:2) cat BREAK dog", "a red cat", "a red dog"], from_file)
    torch.testing.assert_close(pooled(weighed), pooled(plain), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(pooled(plain), pooled(other), atol=1e-3)


def test_a_full_chunk_ends_with_its_last_token(from_file):
    """75 tokens leave no room for padding; the end is then the 77th."""
    full, short = encode(["cat " * 75, "cat " * 74], from_file)
    assert full.context.shape == (1, 77, 64) and not torch.allclose(pooled(full), pooled(short), atol=1e-3)


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_negative_prompt_is_zeros(text, from_file):
    [negative] = encode([text], from_file, negative=True)
    assert negative.context.shape == (1, 77, sum(tiny_sdxl.TEXT_WIDTHS)) and not negative.context.any()
    assert pooled(negative).shape == (1, tiny_sdxl.POOLED_WIDTH) and not pooled(negative).any()
    [positive] = encode([text], from_file)
    assert positive.context.any() and pooled(positive).any()
    [words] = encode(["ugly"], from_file, negative=True)
    assert words.context.any() and pooled(words).any()


def test_parts_that_do_not_belong_together_are_refused(tmp_path):
    folder = tiny_sdxl.write_folder(tmp_path / "mixed")
    config = folder / "unet" / "config.json"
    tensors = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    original = config.read_text()

    def refused(word: str) -> None:
        with pytest.raises(LayerDiffusionError, match=word) as error:
            load_base(folder, CPU)
        assert error.value.code == ErrorCode.BAD_CHECKPOINT and "mixed" in error.value.message

    key = "add_embedding.linear_1.weight"
    save_file(tensors | {key: torch.zeros(128, 50)}, folder / "unet" / "diffusion_pytorch_model.safetensors")
    config.write_text(json.dumps(json.loads(original) | {"projection_class_embeddings_input_dim": 50}))
    refused("pooled texts of width 26, the text encoder writes 24")
    config.write_text(original)
    save_file(tensors, folder / "unet" / "diffusion_pytorch_model.safetensors")
    ids = tiny.vocabulary()
    ids["!"], ids["#"] = ids["#"], ids["!"]
    (folder / "tokenizer_2" / "vocab.json").write_text(json.dumps(ids))
    refused("split texts differently")


def test_a_second_encoder_lacking_a_tensor_is_refused(checkpoint, tmp_path):
    tensors = load_file(checkpoint)
    del tensors[SECOND + "transformer.resblocks.1.attn.in_proj_bias"]
    save_file(tensors, tmp_path / "cut.safetensors")
    with pytest.raises(LayerDiffusionError, match="cut.safetensors lacks 3 tensors.*layers.1.self_attn.k_proj.bias"):
        load_base(tmp_path / "cut.safetensors", CPU)
