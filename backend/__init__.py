"""The part of Layer Diffusion for Krita that generates: server, worker, engine and models."""

__version__ = "0.1.0"
