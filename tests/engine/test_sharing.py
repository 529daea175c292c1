"""Attention sharing units against numbers recorded from the reference implementation (relative 1e-5, float32)."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file

from backend.engine import sharing
from backend.engine.sharing import SharingLayers, attach, attention_modules
from tests.engine.synth import UNET_CONFIG, sharing_weights, unet_weights

DATA = Path(__file__).parent / "data"
MODEL_TIME = 601
RECORDED = ("transparent_attn", "joint", "fg2bg")


@pytest.fixture(scope="module")
def recorded() -> dict[str, torch.Tensor]:
    return load_file(DATA / "attention_sharing.safetensors")


@pytest.fixture(scope="module")
def shapes() -> dict[str, dict[str, list[int]]]:
    return json.loads((DATA / "sd15_layer_keys.json").read_text())


@pytest.fixture(scope="module")
def unet() -> Any:
    model = UNet2DConditionModel(**UNET_CONFIG["sd15"])
    names = json.loads((DATA / "ldm_names_sd15.json").read_text())
    model.load_state_dict(unet_weights(names, {k: v.shape for k, v in model.state_dict().items()}))
    return model.eval().requires_grad_(False)


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def context_of(recorded: dict[str, torch.Tensor], mode: str) -> torch.Tensor:
    rows = len(recorded[f"{mode}.x"]) // 2
    return recorded[f"{mode}.context_uncond_cond"].repeat_interleave(rows, 0)


def attached(unet: Any, mode: str, shapes: Any, recorded: Any, merge: bool) -> Any:
    handle = attach(unet, sharing_weights(shapes[mode], mode), merge=merge)
    if mode in ("fg2bg", "bg2fg"):
        handle.set_control(recorded["control_image"])
    return handle


@pytest.mark.parametrize("merge", [True, False], ids=["merged", "unmerged"])
@pytest.mark.parametrize("mode", RECORDED)
def test_units_and_unet_equal_the_reference(mode, merge, unet, shapes, recorded):
    handle = attached(unet, mode, shapes, recorded, merge)
    context = context_of(recorded, mode)
    try:
        with torch.no_grad():
            for index in (0, 1):
                found = attention_modules(unet)[index](
                    recorded[f"{mode}.unit{index}.h"], encoder_hidden_states=context if index else None
                )
                assert relative(found, recorded[f"{mode}.unit{index}.out"]) < 1e-5
            eps = unet(recorded[f"{mode}.x"], MODEL_TIME, context).sample
            assert relative(eps, recorded[f"{mode}.eps"]) < 1e-5
            own = [recorded.get(f"{mode}.overwrite{frame}") for frame in range(handle.layers.frames)]
            handle.set_frame_prompts(own, unconditional_rows=len(context) // 2)
            eps = unet(recorded[f"{mode}.x"], MODEL_TIME, context).sample
            assert relative(eps, recorded[f"{mode}.eps_overwrite"]) < 1e-5
    finally:
        handle.remove()


def test_control_encoder_equals_the_reference(shapes, recorded):
    layers = SharingLayers.from_state_dict(sharing_weights(shapes["fg2bg"], "fg2bg"))
    assert layers.kwargs_encoder is not None
    with torch.no_grad():
        signals = layers.kwargs_encoder(recorded["control_image"] * 2 - 1)
    assert sorted(signals) == [6, 24, 96, 384]
    for tokens, found in signals.items():
        assert relative(found, recorded[f"fg2bg.signal{tokens}"].float()) < 1e-3, "recorded in float16"


def test_longer_frame_prompt_equals_the_same_prompt_repeated(unet, shapes, recorded):
    mode = "transparent_attn"
    handle = attached(unet, mode, shapes, recorded, merge=True)
    own, context = recorded[f"{mode}.overwrite0"], context_of(recorded, mode)
    try:
        with torch.no_grad():
            handle.set_frame_prompts([own.repeat(1, 2, 1)], unconditional_rows=len(context) // 2)
            eps = unet(recorded[f"{mode}.x"], MODEL_TIME, context).sample
    finally:
        handle.remove()
    assert relative(eps, recorded[f"{mode}.eps_overwrite"]) < 1e-5


@pytest.mark.parametrize("mode", ["transparent_attn", "joint", "fg2bg", "bg2fg"])
def test_state_dict_has_exactly_the_keys_of_the_released_file(mode, shapes):
    layers = SharingLayers.from_shapes({k: tuple(v) for k, v in shapes[mode].items()})
    assert {k: list(v.shape) for k, v in layers.state_dict().items()} == shapes[mode]


def test_removal_restores_the_base_model_bit_exactly(unet, shapes, recorded):
    before = copy.deepcopy(unet.state_dict())
    x, context = recorded["joint.x"][:2], recorded["joint.context_uncond_cond"]
    with torch.no_grad():
        expected = unet(x, MODEL_TIME, context).sample
        handle = attach(unet, sharing_weights(shapes["transparent_attn"], "transparent_attn"))
        assert not torch.equal(unet(x, MODEL_TIME, context).sample, expected)
        handle.remove()
        assert torch.equal(unet(x, MODEL_TIME, context).sample, expected)
    assert all(torch.equal(before[k], v) for k, v in unet.state_dict().items())


def test_new_units_are_the_identity_and_learn_while_the_base_stays(unet, recorded):
    layers = SharingLayers.for_unet(unet, rank=4)
    x, context = recorded["joint.x"][:2], recorded["joint.context_uncond_cond"]
    with torch.no_grad():
        expected = unet(x, MODEL_TIME, context).sample
    handle = attach(unet, layers)
    try:
        eps = unet(x, MODEL_TIME, context).sample
        assert relative(eps.detach(), expected) < 1e-5
        eps.square().mean().backward()
    finally:
        handle.remove()
    with_gradient = {k for k, p in layers.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {f"hookers.layers.{i}.to_v_lora.0.up.weight" for i in range(32)} <= with_gradient
    assert {f"hookers.layers.{i}.temporal_o.bias" for i in range(32)} <= with_gradient
    assert all(p.grad is None for p in unet.parameters())


def test_units_of_another_model_are_refused(unet, shapes):
    weights = sharing_weights(shapes["transparent_attn"], "transparent_attn")
    config: dict[str, Any] = UNET_CONFIG["sd15"] | {"cross_attention_dim": 32}
    narrow = UNet2DConditionModel(**config)
    with pytest.raises(ValueError, match="sharing unit 1 has widths"):
        attach(narrow, weights)
    with pytest.raises(ValueError, match="30 sharing units for 32"):
        attach(unet, {k: v for k, v in weights.items() if int(k.split(".")[2]) < 30})


@pytest.mark.parametrize("learning", [False, True], ids=["fused", "written out"])
def test_attention_over_tokens(learning):
    q, k, v = (torch.randn(2, tokens, 12, dtype=torch.float64, requires_grad=learning) for tokens in (5, 7, 7))
    expected = []
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        scores = torch.softmax(torch.einsum("bnc,bmc->bnm", q[..., part], k[..., part]) / 2, -1)
        expected.append(torch.einsum("bnm,bmc->bnc", scores, v[..., part]))
    torch.testing.assert_close(sharing.attend(q, k, v, heads=3), torch.cat(expected, -1))


def test_frames_attend_to_each_other_at_their_own_position():
    q, k, v = (torch.randn(2, 3, 5, 8, dtype=torch.float64) for _ in range(3))
    found = sharing.attend_frames(q, k, v, heads=2)
    for position in range(5):
        alone = sharing.attend(*(x[:, :, position] for x in (q, k, v)), heads=2)
        torch.testing.assert_close(found[:, :, position], alone)
