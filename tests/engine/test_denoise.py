"""The UNet in all ten modes against recorded numbers, and against the formulas written out where none were recorded."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from backend.engine import patches
from backend.engine.denoise import Denoiser, Guide, Limits
from backend.engine.prompts import TextCondition
from backend.engine.sharing import attach, attention_modules
from backend.models.modes import MODES
from tests.engine.synth import RANK, UNET_CONFIG, sdxl_layer_file, sharing_weights, synth, unet_weights

DATA = Path(__file__).parent / "data"
TIME = 772
CPU = torch.device("cpu")
SDXL = [mode for (family, _), mode in MODES.items() if family == "sdxl"]
RECORDED = ("transparent_attn", "fg2ble", "fgble2bg")


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return load_file(DATA / "sdxl_patches.safetensors")


@pytest.fixture(scope="module")
def names() -> dict[str, str]:
    """LDM name → diffusers name."""
    return json.loads((DATA / "ldm_names_sdxl.json").read_text())


@pytest.fixture
def sdxl(names: dict[str, str]) -> Any:
    model = UNet2DConditionModel(**UNET_CONFIG["sdxl"])
    model.load_state_dict(unet_weights(names, {k: v.shape for k, v in model.state_dict().items()}))
    return model.eval().requires_grad_(False)


@pytest.fixture
def layer_file(tmp_path: Path, names: dict[str, str], sdxl: Any) -> Any:
    shapes = {"diffusion_model." + ldm: sdxl.state_dict()[name].shape for ldm, name in names.items()}

    def write(mode: str) -> Path:
        path = tmp_path / f"layer_xl_{mode}.safetensors"
        save_file(sdxl_layer_file(mode, shapes), path)
        return path

    return write


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def guide(recorded: dict[str, Tensor], channels: int, cfg: float = 1.0) -> Guide:
    """The recorded prompts, with so many of the recorded condition latents."""
    latents = [recorded["cond1"], recorded["cond2"]][:channels]
    return Guide(
        TextCondition(recorded["uncond"], recorded["upooled"]), TextCondition(recorded["context"], recorded["pooled"]),
        cfg, (), torch.cat(latents, 1) if latents else None, recorded["time_ids"],
    )


def nothing() -> None:
    pass


def denoised(unet: Any, recorded: dict[str, Tensor], guidance: Guide, **options: Any) -> Tensor:
    x = recorded["x_ve"].repeat(options.pop("rows", 1), 1, 1, 1)
    return Denoiser(unet, guidance, Limits(1), nothing, **options)(x, float(recorded["sigma"]), TIME)


@torch.no_grad()
def test_the_base_model_equals_the_reference(sdxl, recorded):
    assert relative(denoised(sdxl, recorded, guide(recorded, 0)), recorded["base.denoised"]) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("weight", [1.0, 0.6])
@pytest.mark.parametrize("mode", RECORDED)
def test_sdxl_modes_equal_the_reference(mode, weight, sdxl, layer_file, recorded):
    applied = patches.apply(sdxl, [(patches.read(layer_file(mode), mode, CPU), weight)])
    conditions = len(MODES["sdxl", mode].conditions)
    found = denoised(sdxl, recorded, guide(recorded, conditions))
    assert relative(found, recorded[f"{mode}.w{weight}.denoised"]) < 1e-5
    applied.restore()
    assert relative(denoised(sdxl, recorded, guide(recorded, 0)), recorded["base.denoised"]) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("weight", [1.0, 0.6])
@pytest.mark.parametrize("mode", [mode.name for mode in SDXL])
def test_sdxl_modes_equal_the_formulas(mode, weight, sdxl, layer_file, names, recorded):
    """Every weight computed here in float64 by the rules of the released key grammar, in a UNet built wide enough."""
    path = layer_file(mode)
    conditions = len(MODES["sdxl", mode].conditions)
    config: dict[str, Any] = UNET_CONFIG["sdxl"] | {"in_channels": 4 * (1 + conditions)}
    wide = UNet2DConditionModel(**config)
    tensors, weights = load_file(path), {}
    for ldm, name in names.items():
        key = "diffusion_model." + ldm
        value = sdxl.state_dict()[name].double()
        if key + "::lora::0" in tensors:
            value = value + weight * tensors[key + "::lora::0"].double() @ tensors[key + "::lora::1"].double()
        elif key + "::diff::0" in tensors:
            delta = tensors[key + "::diff::0"].double()
            if name == "conv_in.weight":
                value = F.pad(value, (0, 0, 0, 0, 0, delta.shape[1] - 4))
            value = value + weight * delta
        weights[name] = value.float()
    wide.load_state_dict(weights)
    expected = denoised(wide, recorded, guide(recorded, conditions))
    applied = patches.apply(sdxl, [(patches.read(path, mode, CPU), weight)])
    assert relative(denoised(sdxl, recorded, guide(recorded, conditions)), expected) < 1e-5
    applied.restore()
    assert relative(denoised(sdxl, recorded, guide(recorded, 0)), recorded["base.denoised"]) < 1e-5


@torch.no_grad()
def test_guidance_and_grouping_change_nothing_but_the_order_of_work(sdxl, layer_file, recorded):
    patches.apply(sdxl, [(patches.read(layer_file("bgble2fg"), "bgble2fg", CPU), 1.0)])
    own = guide(recorded, 2, cfg=4.5)
    x = torch.cat([recorded["x_ve"], recorded["noise"] * 2, recorded["x_ve"] * 0.5])
    sigma = float(recorded["sigma"])
    positive = denoised(sdxl, recorded, guide(recorded, 2))
    swapped = Guide(own.positive, own.negative, 1.0, (), own.channels, own.time_ids)
    negative = denoised(sdxl, recorded, swapped)
    expected = negative + 4.5 * (positive - negative)
    for limits in (Limits(1), Limits(2), Limits(3), Limits(1, both=False), Limits(3, both=False)):
        found = Denoiser(sdxl, own, limits, nothing)(x, sigma, TIME)
        assert relative(found[:1], expected) < 1e-5
        assert relative(found[1:], Denoiser(sdxl, own, Limits(1), nothing)(x[1:], sigma, TIME)) < 1e-5


@torch.no_grad()
def test_each_row_sees_its_own_condition(sdxl, layer_file, recorded):
    patches.apply(sdxl, [(patches.read(layer_file("fg2ble"), "fg2ble", CPU), 1.0)])
    first, second = (guide({**recorded, "cond1": recorded[c]}, 1) for c in ("cond1", "cond2"))
    assert first.channels is not None and second.channels is not None
    both = Guide(first.negative, first.positive, 1.0, (), torch.cat([first.channels, second.channels]), first.time_ids)
    for limits in (Limits(1), Limits(2)):
        found = Denoiser(sdxl, both, limits, nothing)(
            recorded["x_ve"].repeat(2, 1, 1, 1), float(recorded["sigma"]), TIME
        )
        assert relative(found[:1], denoised(sdxl, recorded, first)) < 1e-5
        assert relative(found[1:], denoised(sdxl, recorded, second)) < 1e-5


@torch.no_grad()
def test_below_the_stop_the_base_model_goes_on_alone_bit_by_bit(sdxl, layer_file, recorded):
    alone = denoised(sdxl, recorded, guide(recorded, 0, 3.0))
    applied = patches.apply(sdxl, [(patches.read(layer_file("fgble2bg"), "fgble2bg", CPU), 1.0)])
    released = []

    def release() -> None:
        released.append(1)
        applied.restore()

    sigma = float(recorded["sigma"])
    denoise = Denoiser(sdxl, guide(recorded, 2, 3.0), Limits(1), nothing, stop_sigma=sigma, release=release)
    with_mode = denoise(recorded["x_ve"], sigma, TIME)
    assert not released and relative(with_mode, alone) > 1e-3
    denoise = Denoiser(
        sdxl, guide(recorded, 2, 3.0), Limits(1), nothing, stop_sigma=float("inf"), release=release,
    )
    assert all(torch.equal(denoise(recorded["x_ve"], sigma, TIME), alone) for _ in range(2))
    assert released == [1]


# SD1.5


@pytest.fixture(scope="module")
def sd15() -> Any:
    model = UNet2DConditionModel(**UNET_CONFIG["sd15"])
    names = json.loads((DATA / "ldm_names_sd15.json").read_text())
    model.load_state_dict(unet_weights(names, {k: v.shape for k, v in model.state_dict().items()}))
    return model.eval().requires_grad_(False)


@pytest.fixture
def plain(sd15: Any) -> Iterator[Any]:
    before = copy.deepcopy(sd15.state_dict())
    yield sd15
    assert all(torch.equal(before[key], value) for key, value in sd15.state_dict().items())


class NaiveUnit:
    """A sharing unit as its formula is written, in float64: ``x`` grows from ``h``, and ``x - h`` is returned."""

    def __init__(self, index: int, weights: dict[str, Tensor], frames: int, weight: float, control: Tensor | None):
        prefix = f"hookers.layers.{index}."
        self.p = {key[len(prefix):]: value.double() for key, value in weights.items() if key.startswith(prefix)}
        self.frames, self.weight, self.signals = frames, weight, self._signals(weights, control)

    @staticmethod
    def _signals(weights: dict[str, Tensor], control: Tensor | None) -> dict[int, Tensor]:
        if control is None:
            return {}
        x, found = control.double() * 2 - 1, {}
        for block in range(4):
            for layer in range(0, 16 if block == 0 else 4, 2):
                key = f"kwargs_encoder.blocks_{block}.{layer}."
                strided = layer in (4, 8, 12) if block == 0 else layer == 0
                w, b = (weights[key + part].double() for part in ("weight", "bias"))
                x = F.silu(F.conv2d(x, w, b, stride=2 if strided else 1, padding=1))
            found[x.shape[2] * x.shape[3]] = x
        return found

    def __call__(self, module: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any):
        h = hidden_states.double().unflatten(0, (-1, self.frames))
        x = h.clone()
        for j in range(self.frames):
            if self.signals:
                y = self._conv(f"control_convs.{j}.0", self.signals[h.shape[2]], 1)
                x[:, j] += self.weight * self._conv(f"control_convs.{j}.2", F.silu(y), 0).flatten(2).transpose(1, 2)
            text = encoder_hidden_states
            context = x[:, j] if text is None else text.double().unflatten(0, (-1, self.frames))[:, j]
            sources = {"q": x[:, j], "k": context, "v": context}
            q, k, v = (source @ self._matrix(module, name, j).T for name, source in sources.items())
            out = self._attend(q, k, v, module.heads) @ self._matrix(module, "out", j).T
            x[:, j] += out + module.to_out[0].bias.double()
        g = F.layer_norm(x, x.shape[-1:], self.p["temporal_n.weight"], self.p["temporal_n.bias"], 1e-6)
        g = self._linear("i", g).transpose(1, 2).flatten(0, 1)
        q, k, v = (self._linear(name, g) for name in "qkv")
        a = self._attend(q, k, v, module.heads)
        a = self._linear("o", a).unflatten(0, (len(x), -1)).transpose(1, 2)
        return (x + self.weight * a - h).flatten(0, 1).to(hidden_states)

    def _matrix(self, module: Any, name: str, frame: int) -> Tensor:
        base = module.to_out[0] if name == "out" else getattr(module, f"to_{name}")
        up, down = (self.p[f"to_{name}_lora.{frame}.{part}.weight"] for part in ("up", "down"))
        return base.weight.double() + self.weight * up @ down

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.p[f"temporal_{name}.weight"].T + self.p[f"temporal_{name}.bias"]

    def _conv(self, name: str, x: Tensor, padding: int) -> Tensor:
        return F.conv2d(x, self.p[name + ".weight"], self.p[name + ".bias"], padding=padding)

    @staticmethod
    def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        return ((q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)


@torch.no_grad()
@pytest.mark.parametrize("weight", [1.0, 0.6])
@pytest.mark.parametrize("mode", ["transparent_attn", "joint", "fg2bg", "bg2fg"])
def test_sd15_modes_equal_the_formulas(mode, weight, plain):
    shapes = json.loads((DATA / "sd15_layer_keys.json").read_text())[mode]
    weights, frames = sharing_weights(shapes, mode), len(MODES["sd15", mode].frames)
    x = synth("x", (2 * frames, 4, 16, 24), kind="raw")
    negative, positive = (TextCondition(synth(name, (1, 77, 64), kind="raw")) for name in ("negative", "positive"))
    own = Guide(negative, positive, 4.0)
    control = synth("control", (1, 3, 128, 192), kind="raw").sigmoid() if "2" in mode else None
    with attach(plain, weights, merge=True, weight=weight) as attached:
        attached.set_control(control)
        found = Denoiser(plain, own, Limits(frames), nothing, attached)(x, 5.0, TIME)
    processors = [module.processor for module in attention_modules(plain)]
    try:
        for index, module in enumerate(attention_modules(plain)):
            module.processor = NaiveUnit(index, weights, frames, weight, control)
        expected = Denoiser(plain, own, Limits(frames), nothing)(x, 5.0, TIME)
    finally:
        for module, processor in zip(attention_modules(plain), processors, strict=True):
            module.processor = processor
    assert relative(found, expected) < 1e-5
    assert RANK == weights["hookers.layers.0.to_q_lora.0.down.weight"].shape[0]


@torch.no_grad()
def test_prompts_per_frame_reach_the_positive_rows_of_their_frame_only(plain):
    shapes = json.loads((DATA / "sd15_layer_keys.json").read_text())["joint"]
    recorded = load_file(DATA / "attention_sharing.safetensors")
    uncond, cond = (TextCondition(part[None], None) for part in recorded["joint.context_uncond_cond"])
    own = [None, recorded["joint.overwrite1"], recorded["joint.overwrite2"]]
    x = recorded["joint.x"]
    with attach(plain, sharing_weights(shapes, "joint")) as attached:
        for limits in (Limits(6), Limits(3), Limits(3, both=False)):
            found = [
                Denoiser(plain, Guide(negative, positive, cfg, own), limits, nothing, attached)(x[:6], 5.0, 601)
                for negative, positive, cfg in ((uncond, cond, 1.0), (uncond, cond, 3.0))
            ]
            attached.set_frame_prompts((), 0)
            plain_rows = Denoiser(plain, Guide(cond, uncond, 1.0), limits, nothing, attached)(x[:6], 5.0, 601)
            assert relative(found[1], plain_rows + 3 * (found[0] - plain_rows)) < 1e-5
