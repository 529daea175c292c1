"""Every recipe of the authors' sanity checks, chains included, through the engine with tiny models."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from backend import presets
from backend.engine.cache import Cache
from backend.engine.generate import generate
from backend.models import ModelFiles
from protocol.job import LayerSet
from protocol.request import Request
from tests.cli.test_presets import FAMILIES
from tests.engine import tiny, tiny_sdxl


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[ModelFiles, Cache]]:
    return {
        "sd15": (tiny.write_model(tmp_path_factory.mktemp("sd15")), Cache()),
        "sdxl": (tiny_sdxl.write_model(tmp_path_factory.mktemp("sdxl")), Cache()),
    }


@pytest.mark.parametrize("name", list(presets.presets()))
def test_one_call_reproduces_each_recipe(name, models):
    preset = presets.find(name)
    made: dict[str, LayerSet] = {}

    def engine(name: str, request: Request, images: Sequence[bytes]) -> LayerSet:
        files, cache = models[FAMILIES[preset.settings["model"]]]
        made[name] = generate(request, images, files, lambda _: None, lambda: False, cache)
        return made[name]

    small = {"width": 64, "height": 80, "steps": 2}
    result = presets.run(name, {**preset.settings, **small}, preset.start, {}, small, engine)
    assert result is made[name] and len(made) >= 1 + bool(preset.start)
    assert [layer.role for layer in result.layers] == list(result.request.operation.makes)
