"""What scenes and translucent things are drawn with: grids, fractal noise, gradients and masks with soft edges.

Pictures are float32 arrays ``[side, side, 3]`` in [0, 1], masks ``[side, side]``; x and y go from 0 to 1.
"""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.floating]
Colour = tuple[float, ...]


@lru_cache(maxsize=4)
def grid(side: int) -> tuple[Array, Array]:
    """x and y of every pixel's centre."""
    line = (np.arange(side, dtype=np.float32) + 0.5) / side
    x, y = np.meshgrid(line, line)
    return x, y


def noise(source: np.random.Generator, side: int, cells: tuple[int, int], octaves: int = 4) -> Array:
    """Fractal noise, mean about 0, standard deviation about 1; ``cells`` (down, across) of the first octave."""
    total = np.zeros((side, side), np.float32)
    weight, down, across = 1.0, *cells
    for _ in range(octaves):
        knots = source.standard_normal((min(down, side) + 1, min(across, side) + 1)).astype(np.float32)
        total += weight * np.asarray(Image.fromarray(knots).resize((side, side), Image.Resampling.BICUBIC))
        weight, down, across = weight / 2, down * 2, across * 2
    return total * np.float32(1.5 / 1.15)


def line_noise(source: np.random.Generator, side: int, cells: int, octaves: int = 4) -> Array:
    """Fractal noise along x, ``[side]``."""
    total = np.zeros(side, np.float32)
    weight = 1.0
    for _ in range(octaves):
        knots = source.standard_normal((1, min(cells, side) + 1)).astype(np.float32)
        total += weight * np.asarray(Image.fromarray(knots).resize((side, 1), Image.Resampling.BICUBIC))[0]
        weight, cells = weight / 2, cells * 2
    return total


def smooth(low: float, high: float, value: Array) -> Array:
    """0 below low, 1 above high, an S-curve between (reversed if low > high)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def inside(distance: Array, width: float) -> Array:
    """Mask of negative distances, softened over a width."""
    return np.clip(0.5 - distance / width, 0, 1)


def gradient(value: Array, *stops: tuple[float, Colour]) -> Array:
    """Colours interpolated over the value, ``[…, 3]``."""
    places = [place for place, _ in stops]
    return np.stack(
        [np.interp(value, places, [colour[channel] for _, colour in stops]) for channel in range(3)], -1
    ).astype(np.float32)


def mix(under: Array, over: Array | Colour, mask: Array) -> Array:
    """``over`` where the mask is 1."""
    mask = mask[..., None]
    return under + (np.asarray(over, np.float32) - under) * mask


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour of the given hue in degrees."""
    return colorsys.hsv_to_rgb(hue % 360 / 360, min(max(saturation, 0), 1), min(max(value, 0), 1))


def vary(source: np.random.Generator, colour: Colour, amount: float = 0.06) -> Colour:
    """A colour near another."""
    red, green, blue = np.clip(np.asarray(colour) + source.normal(0, amount, 3), 0, 1)
    return float(red), float(green), float(blue)


class Brush:
    """A source of chance, a size, and what several scenes have in common."""

    def __init__(self, seed: int, side: int):
        self.source = np.random.default_rng(seed)
        self.side = side
        self.x, self.y = grid(side)

    def between(self, low: float, high: float) -> float:
        """A number drawn evenly."""
        return float(self.source.uniform(low, high))

    def noise(self, down: int, across: int, octaves: int = 4) -> Array:
        """Fractal noise, see `brushes.noise`."""
        return noise(self.source, self.side, (down, across), octaves)

    def ridge(self, height: float, amplitude: float, cells: int, octaves: int = 4) -> Array:
        """A skyline ``[side]`` around a height."""
        return height + amplitude * line_noise(self.source, self.side, cells, octaves)

    def plain(self, colour: Colour) -> Array:
        """A picture of one colour."""
        return np.broadcast_to(np.asarray(colour, np.float32), (self.side, self.side, 3)).copy()

    def vary(self, colour: Colour, amount: float = 0.05) -> Colour:
        """A colour near another."""
        return vary(self.source, colour, amount)

    def inside(self, distance: Array, softness: float = 0.0) -> Array:
        """Mask of negative distances, softened over one pixel and ``softness`` more."""
        return inside(distance, 1 / self.side + softness)

    def below(self, ridge: Array | float, softness: float = 0.0) -> Array:
        """Mask of what lies below a skyline."""
        return self.inside(np.broadcast_to(np.asarray(ridge, np.float32), (self.side,))[None] - self.y, softness)

    def clouds(self, picture: Array, colour: Colour, amount: float, horizon: float = 1.0) -> Array:
        """Clouds over a sky, thinner and flatter towards the horizon."""
        cover = self.noise(5, 3, 5) - 0.9 + amount
        fade = smooth(horizon, horizon - 0.35, self.y)
        lit = gradient(self.noise(6, 4, 3), (-2, tuple(0.88 * c for c in colour)), (1.5, colour))
        return mix(picture, lit, smooth(-0.2, 1.3, cover) * fade)

    def glow(self, x: float, y: float, radius: float) -> Array:
        """1 at a point, falling off smoothly."""
        return np.exp(-((self.x - x) ** 2 + (self.y - y) ** 2) / radius**2)

    def stars(self, picture: Array, count: int, horizon: float) -> Array:
        """Little lights of different size above the horizon."""
        picture = picture.copy()
        for _ in range(count):
            row = int(self.between(0, horizon) * self.side)
            column = int(self.between(0, 1) * self.side)
            light = self.between(0.35, 1) ** 2
            picture[row, column] = np.maximum(picture[row, column], light)
            if light > 0.75:
                for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                    at = min(max(row + down, 0), self.side - 1), (column + right) % self.side
                    picture[at] = np.maximum(picture[at], 0.55 * light)
        return picture

    def disc(self, picture: Array, x: float, y: float, radius: float, colour: Colour) -> Array:
        """Draw a round body with a sharp edge into the picture."""
        reach = int(np.ceil(radius * self.side)) + 1
        row, column = int(y * self.side), int(x * self.side)
        window = (
            slice(max(row - reach, 0), max(row + reach + 1, 0)),
            slice(max(column - reach, 0), max(column + reach + 1, 0)),
        )
        mask = self.inside(np.hypot(self.x[window] - x, self.y[window] - y) - radius)
        picture[window] = mix(picture[window], colour, mask)
        return picture

    def grain(self, picture: Array, strength: float, down: int = 32, across: int = 32) -> Array:
        """Uneven lightness."""
        return picture * (1 + strength * self.noise(down, across, 2)[..., None])
