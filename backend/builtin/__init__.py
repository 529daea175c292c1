"""The small model that ships inside the project, and everything that makes it."""

from protocol.request import Decoding

CFG = 3.0
"""The guidance scale that suits it: with more, blends are unlike the layers beside them; with less, things lose shape.

The docker's style for it has the same."""
DECODING = Decoding.FAST
"""How its alpha is found: eight passes take a tenth of an object's time more and measure the same.

The docker's style for it has the same."""
