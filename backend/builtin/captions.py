"""What a picture may be called: names and synonyms in templates, the colour that most of it has, where it stands."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from backend.builtin.dataset import TEMPLATES, Thing, fill
from backend.builtin.scenes import SCENES

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


SCENE_TEMPLATES = ("{}", "{article} {}", "{article} {}, high quality", "{}, high quality", "a picture of {article} {}")
BLEND_TEMPLATES = ("{}", "{}, high quality", "a picture of {}")


class Captions:
    """Draws captions: objects by any name in any template, sometimes with their colour; scenes; objects in scenes."""

    def __init__(self, things: list[Thing], pictures: Tensor):
        self.things = things
        self.colours = [colour_word(picture) for picture in pictures]

    def draw(self, index: int, source: random.Random) -> str:
        """One caption of object ``index``."""
        return fill(source.choice(TEMPLATES), self._name(index, source))

    def _name(self, index: int, source: random.Random) -> str:
        name = source.choice(self.things[index].names) if source.random() < 0.5 else self.things[index].names[0]
        colour = self.colours[index]
        return f"{colour} {name}" if colour and colour not in name and source.random() < 0.3 else name

    def scene(self, scene: int, source: random.Random) -> str:
        """One caption of a scene of `scenes.SCENES`."""
        return fill(source.choice(SCENE_TEMPLATES), source.choice(SCENES[scene].names))

    def blend(self, index: int, scene: int, source: random.Random) -> str:
        """One caption of object ``index`` in a scene: "an apple on a beach"."""
        place = SCENES[scene].place
        return source.choice(BLEND_TEMPLATES).format(fill("{article} {}", self._name(index, source)) + " " + place)

    def all(self) -> list[str]:
        """Everything that can be said of objects and scenes, for the vocabulary."""
        out = []
        for thing, colour in zip(self.things, self.colours, strict=True):
            out += thing.captions()
            if colour:
                out += [fill(t, f"{colour} {n}") for n in thing.names for t in TEMPLATES if colour not in n]
        for scene in SCENES:
            out += 4 * [fill(template, name) for name in scene.names for template in SCENE_TEMPLATES]
            out += 20 * [scene.place]
        return out
