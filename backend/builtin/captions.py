"""What a picture may be called: names and synonyms in templates, and the colour that most of it has."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from backend.builtin.dataset import TEMPLATES, Thing, fill

DOMINANT_SHARE = 0.55
"""A colour word is used only if at least this share of the opaque pixels has it."""
HUES = (
    ("red", 345, 15),
    ("orange", 15, 40),
    ("yellow", 40, 65),
    ("green", 65, 165),
    ("blue", 165, 250),
    ("purple", 250, 295),
    ("pink", 295, 345),
)


def colour_word(rgba: Tensor) -> str | None:
    """The colour name of most of an icon (uint8 ``[4, H, W]`` straight RGBA), or None."""
    pixels = rgba[:3, rgba[3] > 127].float() / 255
    high, low = pixels.max(0).values, pixels.min(0).values
    chroma = (high - low).clamp_min(1e-6)
    red, green, blue = pixels
    hue = (
        torch.where(
            high == red,
            (green - blue) / chroma % 6,
            torch.where(high == green, (blue - red) / chroma + 2, (red - green) / chroma + 4),
        )
        * 60
    )
    vivid = (chroma / high.clamp_min(1e-6) > 0.3) & (high > 0.25)
    shares = {"black": (high <= 0.3).float().mean(), "white": ((low > 0.75) & ~vivid).float().mean()}
    warm = ((hue < 45) | (hue >= 350)) & (high < 0.6)
    shares["brown"] = (vivid & warm).float().mean()
    for name, start, end in HUES:
        inside = (hue >= start) & (hue < end) if start < end else (hue >= start) | (hue < end)
        shares[name] = (vivid & inside & ~warm).float().mean()
    name = max(shares, key=lambda n: float(shares[n]))
    return name if shares[name] >= DOMINANT_SHARE else None


class Captions:
    """Draws a caption for an object: any of its names in any template, sometimes with its colour."""

    def __init__(self, things: list[Thing], pictures: Tensor):
        self.things = things
        self.colours = [colour_word(picture) for picture in pictures]

    def draw(self, index: int, source: random.Random) -> str:
        """One caption of object ``index``."""
        name = source.choice(self.things[index].names) if source.random() < 0.5 else self.things[index].names[0]
        colour = self.colours[index]
        if colour and colour not in name and source.random() < 0.3:
            name = f"{colour} {name}"
        return fill(source.choice(TEMPLATES), name)

    def all(self) -> list[str]:
        """Everything `draw` can give, for the vocabulary."""
        out = []
        for thing, colour in zip(self.things, self.colours, strict=True):
            out += thing.captions()
            if colour:
                out += [fill(t, f"{colour} {n}") for n in thing.names for t in TEMPLATES if colour not in n]
        return out
