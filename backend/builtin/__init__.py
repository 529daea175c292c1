"""The small model that ships inside the project, and everything that makes it."""

CFG = 3.0
"""The guidance scale that suits it: with more, blends are unlike the layers beside them; with less, things lose shape.

The docker's style for it has the same."""
