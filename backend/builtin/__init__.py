"""The small model that ships inside the project, and everything that makes it."""

CFG = 2.0
"""The guidance scale that suits it: more of it takes its blends away from the layers beside them."""
