"""Layer Diffusion for Krita: a docker that turns a prompt into paint layers with true transparency."""

import sys
from importlib.util import find_spec

if sys.version_info < (3, 10):  # noqa: UP036 - Krita brings its own Python, and shows this in its plugin manager
    raise ImportError(
        "Layer Diffusion needs Python 3.10 or newer, and this Krita has an older one. Install Krita 5.2 or newer."
    )

# Krita registers dockers at import. Outside of Krita, where its module is missing, the parts can still be imported.
if find_spec("krita") is not None:
    from .registration import register

    register()
