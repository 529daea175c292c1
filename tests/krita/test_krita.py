"""The plugin in a real Krita."""

import pytest

pytestmark = pytest.mark.krita


def test_docker(krita, standin):
    krita("docker.py", standin)
