from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness import Backend


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """A server that the tests of a module share; each uses clients of its own."""
    with Backend() as running:
        yield running


@pytest.fixture
def own_backend() -> Iterator[Backend]:
    """A server for one test."""
    with Backend() as running:
        yield running
