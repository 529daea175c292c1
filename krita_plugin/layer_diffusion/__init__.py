"""Layer Diffusion for Krita: a docker that turns a prompt into paint layers with true transparency."""

from importlib.util import find_spec

# Krita registers dockers at import. Outside of Krita, where its module is missing, the parts can still be imported.
if find_spec("krita") is not None:
    from .registration import register

    register()
