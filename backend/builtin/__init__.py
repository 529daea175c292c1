"""The small model that ships inside the project, and everything that makes it."""

CFG = 3.0
"""The guidance scale that suits it: with more its blends leave the layers beside them, with less its things lose their shape."""
