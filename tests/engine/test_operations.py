"""Every operation of both families, from request to layers, with tiny models in the released formats."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from backend.engine import conditions, stage
from backend.engine.cache import Cache
from backend.engine.generate import generate
from backend.engine.padding import grey_composite
from backend.models.modes import MODES, OPERATIONS
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.job import Layer, LayerSet, Progress
from protocol.request import Injection, Input, Operation, Request, Resize, Role, Sampler, Source

FAMILIES = ("sd15", "sdxl")
EVERY = [(family, operation) for family in FAMILIES for operation in OPERATIONS[family]]
REFINING = [(family, operation) for family, operation in EVERY if operation.refines]
ALONE = ("sd15", Operation.REBLEND)
"""What the base model draws alone, from the picture of both layers."""
F, B, M = Role.FOREGROUND, Role.BACKGROUND, Role.BLEND
MADE = {
    Operation.OBJECT: (F,), Operation.SCENE: (B, F, M), Operation.OBJECT_ON_BACKGROUND: (F, M),
    Operation.BACKGROUND_FOR_OBJECT: (B, M), Operation.BLEND: (M,), Operation.REBLEND: (M,),
    Operation.EXTRACT_FOREGROUND: (F,), Operation.EXTRACT_BACKGROUND: (B,),
}


def picture(source: Source, width: int = 64, height: int = 64) -> bytes:
    """A disc on a slope of its own colour for each source, soft at the edge where it has alpha."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot((x + 0.5) / width - 0.5, (y + 0.5) / height - 0.5)
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[..., list(Source).index(source) % 3] = 220
    rgba[..., (list(Source).index(source) + 1) % 3] = (distance * 250).clip(0, 255)
    rgba[..., 3] = 255 if source in (Source.BACKGROUND, Source.BLEND) else (255 * (1.5 - 4 * distance)).clip(0, 255)
    return rgba.tobytes()


def request(operation: Operation, extra: tuple[Source, ...] = (), **changes: Any) -> tuple[Request, list[bytes]]:
    sources = (*sorted(operation.needs[0]), *extra)
    settings: dict[str, Any] = dict(
        operation=operation, model="tiny", prompt="an apple", negative="ugly", width=64, height=64, steps=2, cfg=3.0,
        seed=11, batch=1, strength=0.5, inputs=tuple(Input(source, 64, 64) for source in sources),
    )
    return Request(**settings | changes), [picture(source) for source in sources]


def run(family: str, models: Any, caches: Any, operation: Operation, *extra: Source, **changes: Any) -> LayerSet:
    asked, images = request(operation, extra, **changes)
    return generate(asked, images, models[family], lambda _: None, lambda: False, caches[family])


def pixels(layer: Layer) -> np.ndarray:
    return np.frombuffer(layer.pixels, np.uint8).reshape(layer.box.height, layer.box.width, 4).astype(int)


def same(first: Layer, second: Layer, tolerance: int = 1) -> bool:
    return bool(np.abs(pixels(first) - pixels(second)).max() <= tolerance)


@pytest.mark.parametrize(("family", "operation"), EVERY)
def test_each_operation_gives_its_layers_bottom_first(family, operation, models, caches):
    result = run(family, models, caches, operation)
    assert tuple(layer.role for layer in result.layers) == MADE[operation]
    for layer in result.layers:
        assert layer.visible == (layer.role is not M or len(result.layers) == 1)
        assert (layer.verdict is not None) == (layer.role is F)
        opaque = (pixels(layer)[..., 3] == 255).all()
        assert opaque == (layer.role is not F)
        assert pixels(layer)[..., :3].std() > 0


@pytest.mark.parametrize(("family", "operation"), EVERY)
def test_a_batch_equals_its_images_made_alone(family, operation, models, caches, monkeypatch):
    monkeypatch.setattr(stage, "ROW_PIXELS", 2 * 64 * 64)
    batch = run(family, models, caches, operation, batch=3)
    each = len(MADE[operation])
    assert [layer.image for layer in batch.layers] == [image for image in range(3) for _ in range(each)]
    seeds = {layer.image: min(one.seed for one in batch.layers if one.image == layer.image) for layer in batch.layers}
    for image in range(3):
        start = batch.request.seed + image * frames(family, operation)
        assert seeds[image] == start
        alone = run(family, models, caches, operation, seed=start)
        for one, other in zip(batch.layers[image * each:(image + 1) * each], alone.layers, strict=True):
            assert (one.role, one.image, one.seed) == (other.role, image, other.seed)
            assert same(one, other, 2)


def frames(family: str, operation: Operation) -> int:
    """Pictures that SD1.5's files make at once; SDXL makes one."""
    return len(MADE[operation]) if family == "sd15" else 1


@pytest.mark.parametrize(("family", "operation"), EVERY)
def test_without_weight_the_base_model_draws_alone(family, operation, models, caches):
    without = run(family, models, caches, operation, weight=0.0)
    stopped = run(family, models, caches, operation, stop_at=0.0)
    last = MODES[family, OPERATIONS[family][operation][-1]] if len(OPERATIONS[family][operation]) > 1 else None
    for one, other in zip(without.layers, stopped.layers, strict=True):
        # The end of a chain has a stop of its own.
        if last is None or one.role not in last.frames:
            assert one.pixels == other.pixels, "bit by bit"


@pytest.mark.parametrize("change", [
    {"weight": 0.5}, {"weight": 1.6}, {"stop_at": 0.6}, {"sampler": Sampler.EULER_A}, {"sampler": Sampler.UNIPC},
    {"sampler": Sampler.DPMPP_2M_SDE_KARRAS}, {"prompt": "a pear"}, {"negative": "pretty"}, {"cfg": 6.0},
], ids=str)
@pytest.mark.parametrize(("family", "operation"), [
    ("sd15", Operation.SCENE), ("sd15", Operation.OBJECT_ON_BACKGROUND), ("sdxl", Operation.OBJECT),
    ("sdxl", Operation.EXTRACT_FOREGROUND),
])
def test_every_control_changes_the_picture_and_the_next_job_is_as_before(family, operation, change, models, caches):
    settings = {"steps": 4, "sampler": Sampler.DPMPP_2M_KARRAS}
    plain = run(family, models, caches, operation, **settings)
    other = run(family, models, caches, operation, **settings | change)
    assert any(not same(one, two, 0) for one, two in zip(plain.layers, other.layers, strict=True))
    again = run(family, models, caches, operation, **settings)
    assert again.layers == plain.layers


@pytest.mark.parametrize(("family", "operation"), [(f, o) for f, o in EVERY if o.needs[0]])
def test_each_condition_has_an_effect(family, operation, models, caches):
    asked, images = request(operation)
    before = run(family, models, caches, operation)
    for index in range(len(images)):
        changed = list(images)
        changed[index] = bytes(255 - value for value in images[index][:-1]) + images[index][-1:]
        after = generate(asked, changed, models[family], lambda _: None, lambda: False, caches[family])
        seen = (family, operation) != ALONE or asked.inputs[index].source is Source.INIT
        assert seen == any(not same(one, two, 0) for one, two in zip(before.layers, after.layers, strict=True))


def test_a_blend_can_start_from_either_layer(models, caches):
    results = []
    for source in (Source.FOREGROUND, Source.BACKGROUND):
        asked, _ = request(Operation.BLEND, inputs=(Input(source, 64, 64),))
        results.append(generate(
            asked, [picture(Source.BACKGROUND)], models["sdxl"], lambda _: None, lambda: False, caches["sdxl"]
        ))
    assert not same(results[0].layers[0], results[1].layers[0], 0)


def test_sdxl_has_two_ways_to_transparency(models, caches):
    attention, convolution = (
        run("sdxl", models, caches, Operation.OBJECT, injection=injection) for injection in Injection
    )
    assert not same(attention.layers[0], convolution.layers[0], 0)


def test_prompts_per_layer_stand_before_the_common_one_and_may_be_longer(models, caches):
    plain = run("sd15", models, caches, Operation.SCENE)
    own = run("sd15", models, caches, Operation.SCENE, background_prompt="a wide green meadow, " * 10)
    assert not same(plain.layers[0], own.layers[0], 0)
    assert own.layers[0].name.startswith("Background: a wide green meadow")
    alone = run("sdxl", models, caches, Operation.OBJECT, prompt="", foreground_prompt="an apple")
    assert alone.layers[0].pixels == run("sdxl", models, caches, Operation.OBJECT).layers[0].pixels


@pytest.mark.parametrize("mode", list(Resize))
@pytest.mark.parametrize("family", FAMILIES)
def test_conditions_of_any_size_fit_any_request(family, mode, models, caches):
    asked, _ = request(
        Operation.BACKGROUND_FOR_OBJECT, width=100, height=70, resize=mode,
        inputs=(Input(Source.FOREGROUND, 33, 180),),
    )
    result = generate(
        asked, [picture(Source.FOREGROUND, 33, 180)], models[family], lambda _: None, lambda: False, caches[family]
    )
    for layer in result.layers:
        assert pixels(layer).shape == (70, 100, 4) and (pixels(layer)[..., 3] == 255).all()


@pytest.mark.parametrize(("family", "operation"), REFINING)
def test_refining_keeps_what_the_strength_leaves(family, operation, models, caches):
    def refined(strength: float) -> Layer:
        result = run(family, models, caches, operation, Source.INIT, strength=strength, steps=8)
        return next(layer for layer in result.layers if layer.role is F)

    weak, medium, strong = (refined(strength) for strength in (0.0, 0.4, 1.0))
    plain = run(family, models, caches, operation, steps=8)
    drawn = next(layer for layer in plain.layers if layer.role is F)
    distances = [np.abs(pixels(one) - pixels(weak)).mean() for one in (medium, strong, drawn)]
    assert 0 < distances[0] < distances[1]
    assert not same(strong, drawn, 0), "even then a trace of the picture is left in the first noise"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_blend_keeps_what_the_strength_leaves(family, models, caches):
    weak, medium, strong = (
        pixels(run(family, models, caches, Operation.REBLEND, strength=strength, steps=8).layers[0])
        for strength in (0.0, 0.4, 1.0)
    )
    assert 0 < np.abs(medium - weak).mean() < np.abs(strong - weak).mean()


def test_sd15_blends_anew_with_the_base_model_alone(models, caches):
    first = run("sd15", models, caches, Operation.REBLEND).layers[0]
    # With the units of another mode on the UNet, and without any file of LayerDiffuse.
    run("sd15", models, caches, Operation.SCENE)
    bare = {"sd15": dataclasses.replace(models["sd15"], layers={}, decoder=None, encoder=None)}
    for change in ({}, {"weight": 0.3}, {"stop_at": 0.5}, {"prompt": "", "blend_prompt": "an apple"}):
        again = run("sd15", bare, caches, Operation.REBLEND, **change)
        assert again.layers[0].pixels == first.pixels, change
        assert list(again.made_with)[-1] == "model_sha256", "no other file is named"
    assert run("sd15", bare, caches, Operation.REBLEND, prompt="").layers[0].name == "Blend"


def test_a_chain_equals_its_steps_done_one_by_one(models, caches):
    chain = run("sdxl", models, caches, Operation.SCENE)
    background, foreground, blend = chain.layers
    first = run("sdxl", models, caches, Operation.OBJECT)
    assert same(first.layers[0], foreground, 0)
    inputs = {Source.FOREGROUND: foreground.pixels}
    second = follow(Operation.BLEND, inputs, models, caches)
    assert same(second.layers[0], blend, 1)
    third = follow(
        Operation.EXTRACT_BACKGROUND, inputs | {Source.BLEND: blend.pixels}, models, caches,
        sampler=Sampler.UNIPC, stop_at=0.5,
    )
    assert same(third.layers[0], background, 1)


def follow(
    operation: Operation, inputs: Mapping[Source, bytes], models: Any, caches: Any, **changes: Any
) -> LayerSet:
    asked, _ = request(operation, inputs=tuple(Input(source, 64, 64) for source in inputs), **changes)
    return generate(asked, list(inputs.values()), models["sdxl"], lambda _: None, lambda: False, caches["sdxl"])


def test_a_chain_hands_on_what_it_made_without_resampling(models, caches, monkeypatch):
    handed: list[bool] = []
    prepare = conditions.condition

    def condition(rgba: Any, *rest: Any) -> torch.Tensor:
        prepared = prepare(rgba, *rest)
        expected = torch.from_numpy(grey_composite(rgba)).permute(2, 0, 1)[None]
        handed.append(torch.equal(prepared, expected))
        return prepared

    monkeypatch.setattr(conditions, "condition", condition)
    run("sdxl", models, caches, Operation.SCENE, width=100, height=70)
    assert handed == [True] * 3
    run("sdxl", models, caches, Operation.OBJECT_ON_BACKGROUND, width=100, height=70)
    assert handed[3:] == [False, False, True], "a given picture is brought to the working size"


LORA = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"


@pytest.mark.parametrize(("family", "operation"), EVERY)
def test_a_lora_works_with_every_operation_and_leaves_no_trace(family, operation, models, caches, tmp_path):
    width = 64
    generator = torch.Generator().manual_seed(3)
    up, down = (torch.randn(shape, generator=generator) for shape in ((width, 2), (2, width)))
    save_file({f"{LORA}.lora_up.weight": up, f"{LORA}.lora_down.weight": down}, tmp_path / "ink.safetensors")
    own = {family: dataclasses.replace(models[family], loras={"ink": tmp_path / "ink.safetensors"})}
    before = run(family, own, caches, operation)
    with_lora = run(family, own, caches, operation, prompt="an apple<lora:ink:2>")
    assert any(not same(one, two, 0) for one, two in zip(before.layers, with_lora.layers, strict=True))
    alone = run(family, own, caches, operation, prompt="an apple<lora:ink:2>", weight=0.0)
    weighs = any(not same(one, two, 0) for one, two in zip(with_lora.layers, alone.layers, strict=True))
    assert weighs == ((family, operation) != ALONE)
    assert run(family, own, caches, operation).layers == before.layers


@pytest.mark.parametrize(("family", "operation"), EVERY)
def test_progress_never_runs_backwards_over_stages(family, operation, models, caches):
    seen: list[Progress] = []
    asked, images = request(operation, batch=2)
    generate(asked, images, models[family], seen.append, lambda: False, caches[family])
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert len(set(fractions)) > 4


def test_a_missing_file_of_a_later_stage_is_said_before_anything_is_made(models):
    files = models["sdxl"]
    lacking = dataclasses.replace(files, layers={k: v for k, v in files.layers.items() if k != "fgble2bg"})
    seen: list[Progress] = []
    asked, images = request(Operation.SCENE)
    with pytest.raises(LayerDiffusionError) as error:
        generate(asked, images, lacking, seen.append, lambda: False)
    assert error.value.code is ErrorCode.MISSING_FILE and "layer_xl_fgble2bg.safetensors" in error.value.message
    assert not seen


def test_a_lora_that_is_not_there_is_said_before_anything_is_loaded(models):
    seen: list[Progress] = []
    asked, images = request(Operation.OBJECT, foreground_prompt="<lora:inc:1>")
    own = dataclasses.replace(models["sd15"], loras={"ink": Path("ink.safetensors")})
    with pytest.raises(LayerDiffusionError) as error:
        generate(asked, images, own, seen.append, lambda: False)
    assert error.value.code is ErrorCode.MISSING_FILE and "ink" in error.value.hint
    assert not seen


@pytest.mark.parametrize("operation", [o for o in Operation if o not in OPERATIONS["sd15"]])
def test_what_a_family_cannot_do_is_refused(operation, models):
    asked, images = request(operation)
    with pytest.raises(LayerDiffusionError) as error:
        generate(asked, images, models["sd15"], lambda _: None, lambda: False)
    assert error.value.code is ErrorCode.UNSUPPORTED_OPERATION


@pytest.mark.parametrize("family", FAMILIES)
def test_the_base_model_is_bit_for_bit_the_same_after_every_operation(family, models):
    cache = Cache()
    run(family, models, {family: cache}, Operation.OBJECT)
    loaded = cache._loaded[1]  # type: ignore[index]
    loaded.release()
    before = {key: value.clone() for key, value in loaded.base.unet.state_dict().items()}
    for operation in OPERATIONS[family]:
        run(family, models, {family: cache}, operation, weight=1.3)
        loaded.release()
        after = loaded.base.unet.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert cache._loaded[1] is loaded, "one base model served all of them"  # type: ignore[index]
