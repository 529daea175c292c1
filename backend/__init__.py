"""The part of Layer Diffusion for Krita that generates: server, worker, engine and models."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    # Before anything else: the first import of a newer module would end in words that explain nothing.
    sys.exit(
        f"The backend needs Python 3.11 or newer and this is {sys.version_info[0]}.{sys.version_info[1]}. "
        "Use the Python that the installer's command `setup` prints."
    )

__version__ = "0.1.0"
