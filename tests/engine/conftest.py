"""What more than one of the tests of the engine start from."""

from __future__ import annotations

import pytest

from backend.engine.cache import Cache
from backend.models import ModelFiles
from backend.models.modes import OPERATIONS
from tests.engine import tiny, tiny_sdxl


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFiles]:
    """A tiny model of each family."""
    return {
        "sd15": tiny.write_model(tmp_path_factory.mktemp("sd15")),
        "sdxl": tiny_sdxl.write_model(tmp_path_factory.mktemp("sdxl")),
    }


@pytest.fixture(scope="module")
def caches() -> dict[str, Cache]:
    """An empty cache for each family."""
    return {family: Cache() for family in OPERATIONS}
