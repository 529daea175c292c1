"""One request → one layer set, with tiny models in the real file formats."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.engine import generate as engine
from backend.engine import prompts, sharing, stage
from backend.engine.cache import Cache
from backend.engine.device import Device
from backend.engine.device import choose as real_choose
from backend.engine.generate import Cancelled, generate, layer_name
from backend.models import ModelFiles
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.job import LayerSet, Phase, Progress
from protocol.request import Operation, Request, Role
from tests.engine import tiny

PHASES = [phase for phase in Phase if phase is not Phase.ENCODING]
REQUEST = Request(Operation.OBJECT, "tiny", "a red apple", "ugly", 64, 64, 3, 5.0, 7, 1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return tiny.write_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def cache() -> Cache:
    return Cache()


def run(files: ModelFiles, cache: Cache | None = None, **changes: Any) -> LayerSet:
    return generate(dataclasses.replace(REQUEST, **changes), (), files, lambda _: None, lambda: False, cache)


def pixels(layer_set: LayerSet, index: int = 0) -> np.ndarray:
    layer = layer_set.layers[index]
    return np.frombuffer(layer.pixels, np.uint8).reshape(layer.box.height, layer.box.width, 4)


def expect(code: ErrorCode, files: ModelFiles, **changes: Any) -> LayerDiffusionError:
    with pytest.raises(LayerDiffusionError) as error:
        run(files, **changes)
    assert error.value.code == code
    assert error.value.message and error.value.hint
    return error.value


def test_a_request_becomes_a_named_layer_over_the_whole_box(files, cache):
    result = run(files, cache)
    [layer] = result.layers
    assert (layer.role, layer.name, layer.seed) == (Role.FOREGROUND, "Foreground: a red apple", 7)
    assert (layer.box.x, layer.box.y, layer.box.width, layer.box.height) == (0, 0, 64, 64)
    assert pixels(result).std() > 0
    assert layer.verdict is not None and layer.verdict.transparent + layer.verdict.soft + layer.verdict.opaque == 1
    assert result.made_with["torch"] == torch.__version__
    assert len(result.made_with["layer_sd15_transparent_attn_sha256"]) == 64


def test_the_same_request_gives_the_same_pixels_and_another_seed_others(files, cache):
    first, again, other = run(files, cache), run(files, Cache()), run(files, cache, seed=8)
    assert first.layers == again.layers
    assert not np.array_equal(pixels(first), pixels(other))


def test_a_batch_equals_its_images_made_alone(files, cache, monkeypatch):
    batch = run(files, cache, batch=3, seed=2**32 - 2)
    assert [layer.seed for layer in batch.layers] == [2**32 - 2, 2**32 - 1, 0]
    assert [layer.name for layer in batch.layers] == [f"Foreground: a red apple {number}" for number in (1, 2, 3)]
    for index, layer in enumerate(batch.layers):
        alone = pixels(run(files, cache, seed=layer.seed)).astype(int)
        assert np.abs(alone - pixels(batch, index)).max() <= 1, "one step of rounding"
    monkeypatch.setattr(stage, "ROW_PIXELS", 1)
    assert np.abs(pixels(run(files, cache, batch=2), 1).astype(int) - pixels(run(files, cache, seed=8))).max() <= 1


@pytest.mark.parametrize(("width", "height"), [(64, 64), (65, 97), (200, 70), (64, 300)])
def test_any_size_is_delivered_exactly(files, cache, width, height):
    result = run(files, cache, width=width, height=height, steps=1)
    assert pixels(result).shape == (height, width, 4)


@pytest.mark.parametrize("change", [
    {"prompt": "a green pear"}, {"prompt": "a (red:1.9) apple"}, {"negative": "pretty"}, {"cfg": 2.0}, {"steps": 4},
    {"prompt": "a red apple, " * 40}, {"prompt": "red, " * 180, "negative": "blue, " * 60},
])
def test_every_setting_changes_the_picture(files, cache, change):
    assert not np.array_equal(pixels(run(files, cache)), pixels(run(files, cache, **change)))


def test_without_guidance_the_negative_prompt_has_no_effect(files, cache):
    plain = run(files, cache, cfg=1.0)
    assert np.array_equal(pixels(plain), pixels(run(files, cache, cfg=1.0, negative="something else")))
    near = pixels(run(files, cache, cfg=1.0001)).astype(int)
    assert np.abs(near - pixels(plain)).max() <= 2


def test_prompts_of_unequal_length_give_the_same_in_one_call_or_two(files, cache, monkeypatch):
    settings: dict[str, Any] = {"prompt": "red, " * 60, "negative": "blue"}
    together = pixels(run(files, cache, **settings)).astype(int)
    monkeypatch.setattr(prompts, "MAX_REPEATS", 0)
    assert np.abs(pixels(run(files, cache, **settings)) - together).max() <= 1


def test_half_precision_gives_nearly_the_same_picture(files, cache, monkeypatch):
    full = pixels(run(files, cache)).astype(int)
    half = Device(torch.device("cpu"), torch.float16, torch.float32, torch.float16)
    monkeypatch.setattr(engine, "choose", lambda *_: half)
    assert np.abs(pixels(run(files)) - full).mean() < 1.5


def test_the_layer_file_has_an_effect_and_leaves_the_model_as_it_was(files, cache, tmp_path):
    weights = {k: v * 0 if ".temporal_o." in k or ".up." in k else v for k, v in tiny.sharing_state_dict().items()}
    save_file(weights, tmp_path / tiny.LAYER_FILE)
    without = dataclasses.replace(files, layers={"transparent_attn": tmp_path / tiny.LAYER_FILE})
    first = run(files, cache)
    assert not np.array_equal(pixels(run(without)), pixels(first))
    assert run(files, cache).layers == first.layers


def test_progress_tells_every_phase_and_never_runs_backwards(files):
    seen: list[Progress] = []
    generate(dataclasses.replace(REQUEST, batch=2), (), files, seen.append, lambda: False)
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1
    assert list(dict.fromkeys(progress.phase for progress in seen)) == PHASES
    assert sum(progress.phase == Phase.DENOISING for progress in seen) == REQUEST.steps


@pytest.mark.parametrize("phase", PHASES)
def test_cancelling_stops_before_the_next_model_call_and_the_next_job_works(files, phase):
    cache, seen = Cache(), []
    before = run(files)

    def wanted() -> bool:
        return bool(seen) and seen[-1].phase == phase

    with pytest.raises(Cancelled):
        generate(REQUEST, (), files, seen.append, wanted, cache)
    assert [progress.phase for progress in seen].count(phase) == 1
    assert run(files, cache).layers == before.layers


def test_a_loaded_model_is_kept_until_its_file_changes(tmp_path, monkeypatch):
    own, cache, loads = tiny.write_model(tmp_path), Cache(), []
    from backend.engine import cache as module
    load = module.load_base
    monkeypatch.setattr(module, "load_base", lambda *a: loads.append(1) or load(*a))
    multiply = sharing.Merged
    products: list[int] = []
    monkeypatch.setattr(sharing, "Merged", lambda *a: products.append(1) or multiply(*a))
    first = run(own, cache)
    run(own, cache, seed=1)
    assert len(loads) == 1 and len(products) == 32
    run(own, cache, weight=0.5)
    assert len(products) == 64
    decoder = own.transparent_decoder()
    save_file({k: v * 1.5 for k, v in load_file(decoder).items()}, decoder)
    assert not np.array_equal(pixels(run(own, cache)), pixels(first))
    assert len(loads) == 1, "the base model is still the same"
    unet = own.base / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({k: v * 1.01 for k, v in load_file(unet).items()}, unet)
    run(own, cache)
    assert len(loads) == 2


def test_prompts_are_encoded_once(files, monkeypatch):
    from backend.engine import cache as module
    own, asked = Cache(), []
    encode = prompts.encode
    monkeypatch.setattr(module.prompts, "encode", lambda texts, *rest: asked.extend(texts) or encode(texts, *rest))
    first = run(files, own)
    again = run(files, own)
    run(files, own, prompt="a pear")
    assert asked == ["ugly", "a red apple", "a pear"] and again.layers == first.layers


def test_networks_take_turns_when_memory_is_short(files, cache, monkeypatch):
    """The processor plays the device: all that is looked at is what is asked to be on it, and sent home."""
    held: list[set[str]] = []
    resident: set[str] = set()

    @contextlib.contextmanager
    def holding(self: Device, *networks: Any) -> Iterator[None]:
        names = {type(network).__name__ for network in networks}
        resident.update(names)
        held.append(set(resident))
        yield
        resident.difference_update(names)

    expected = run(files, cache)
    monkeypatch.setattr(Device, "holding", holding)
    monkeypatch.setattr(engine, "choose", lambda *of: real_choose(*of).saving())
    result = run(files)
    assert np.abs(pixels(result).astype(int) - pixels(expected)).max() <= 1
    assert {frozenset(one) for one in held} >= {
        frozenset({name}) for name in ("CLIPTextModel", "UNet2DConditionModel", "AutoencoderKL", "TransparentDecoder")
    }
    assert all(len(one) == 1 for one in held)


def test_weights_that_are_not_numbers_are_named(files, tmp_path):
    weights = tiny.sharing_state_dict()
    weights["hookers.layers.5.temporal_v.bias"][0] = float("nan")
    save_file(weights, tmp_path / "broken.safetensors")
    broken = dataclasses.replace(files, layers={"transparent_attn": tmp_path / "broken.safetensors"})
    assert "broken.safetensors" in expect(ErrorCode.NOT_FINITE, broken).message


def test_a_model_that_computes_infinities_is_an_error_not_a_black_picture(files, tmp_path):
    weights = tiny.sharing_state_dict()
    weights = {k: v * 1e18 if "temporal" in k else v for k, v in weights.items()}
    save_file(weights, tmp_path / "wild.safetensors")
    wild = dataclasses.replace(files, layers={"transparent_attn": tmp_path / "wild.safetensors"})
    assert "denoising" in expect(ErrorCode.NOT_FINITE, wild).message


def test_running_out_of_memory_is_said_with_the_size(files, monkeypatch):
    def explode(*_: Any, **__: Any) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(stage, "sample", explode)
    assert "1 × 64 × 64 pixels" in expect(ErrorCode.OUT_OF_MEMORY, files).message


def test_when_memory_runs_out_the_job_is_done_once_more_with_less(files, cache, monkeypatch):
    expected, devices, solve = run(files, cache), [], stage.sample

    def once(*arguments: Any, **options: Any) -> Any:
        devices.append(1)
        if len(devices) == 1:
            raise MemoryError
        return solve(*arguments, **options)

    monkeypatch.setattr(stage, "sample", once)
    seen: list[Progress] = []
    result = generate(REQUEST, (), files, seen.append, lambda: False)
    assert len(devices) == 2
    assert np.abs(pixels(result).astype(int) - pixels(expected)).max() <= 1
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1


def test_other_errors_are_not_taken_for_lack_of_memory(files, monkeypatch):
    def explode(*_: Any, **__: Any) -> None:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(stage, "sample", explode)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        run(files)


def test_a_model_without_the_layer_file_says_which_one_is_missing(files):
    error = expect(ErrorCode.MISSING_FILE, dataclasses.replace(files, layers={}))
    assert "layer_sd15_transparent_attn.safetensors" in error.message


@pytest.mark.parametrize(("prompt", "own", "name"), [
    ("  a\n red\tapple ", "", "Foreground: a red apple"), ("", "", "Foreground"),
    ("apple", "pear", "Foreground: pear"), ("apple <lora:x:1>", "", "Foreground: apple"),
    ("x" * 4000, "", "Foreground: " + "x" * 80),
])
def test_layer_names_are_one_line_and_never_empty(prompt, own, name):
    request = dataclasses.replace(REQUEST, prompt=prompt, foreground_prompt=own)
    assert layer_name(request, Role.FOREGROUND, 0) == name
    assert layer_name(dataclasses.replace(request, batch=16), Role.FOREGROUND, 15) == name + " 16"
