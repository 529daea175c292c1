"""Procedural backgrounds with captions, drawn in a few milliseconds: the scenes that the built-in model knows.

A painter gets a `Brush` and returns the picture and the height of its ground (0 top to 1 bottom), on which an object
may stand; None where nothing can stand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.builtin.brushes import Array, Brush, Colour, gradient, hsv, mix, smooth

Painted = tuple[Array, float | None]


def sky(b: Brush) -> Painted:
    hue = b.between(200, 218)
    picture = gradient(b.y, (0, hsv(hue, 0.7, b.between(0.8, 0.95))), (1, hsv(hue - 8, 0.25, 1.0)))
    picture = b.clouds(picture, (1, 1, 1), b.between(0.3, 1.2), 1.3)
    return picture, None


def sunset(b: Brush) -> Painted:
    horizon = b.between(0.62, 0.75)
    x, y = b.between(0.25, 0.75), horizon - b.between(0.03, 0.2)
    picture = gradient(
        b.y / horizon,
        (0, hsv(b.between(235, 275), 0.6, 0.45)),
        (0.45, hsv(b.between(330, 350), 0.55, 0.8)),
        (0.8, hsv(b.between(18, 30), 0.75, 0.98)),
        (1, hsv(45, 0.55, 1)),
    )
    picture = b.clouds(picture, hsv(b.between(345, 375), 0.5, 0.85), b.between(-0.2, 0.5), horizon)
    picture = mix(picture, (1.0, 0.85, 0.5), 0.7 * b.glow(x, y, 0.3))
    picture = b.disc(picture, x, y, b.between(0.06, 0.09), (1.0, 0.95, 0.72))
    land = gradient(b.y, (horizon, hsv(15, 0.6, 0.3)), (1, hsv(270, 0.5, 0.12)))
    return mix(picture, land, b.below(b.ridge(horizon, 0.025, 3))), horizon + 0.05


def night(b: Brush) -> Painted:
    horizon = b.between(0.78, 0.9)
    hue = b.between(220, 250)
    picture = gradient(b.y, (0, hsv(hue, 0.8, 0.12)), (horizon, hsv(hue - 10, 0.65, b.between(0.3, 0.45))))
    picture = mix(picture, hsv(hue + 40, 0.4, 0.5), 0.25 * smooth(0, 2.5, b.noise(3, 2)))
    picture = b.stars(picture, int(b.between(60, 130)), horizon)
    x, y, radius = b.between(0.15, 0.85), b.between(0.12, 0.35), b.between(0.06, 0.1)
    picture = mix(picture, (0.75, 0.8, 0.95), 0.5 * b.glow(x, y, 2.2 * radius))
    moon = b.inside(np.hypot(b.x - x, b.y - y) - radius)
    if b.between(0, 1) < 0.5:
        moon = moon * (1 - b.inside(np.hypot(b.x - x - 0.6 * radius, b.y - y + 0.25 * radius) - radius))
    picture = mix(picture, (0.98, 0.96, 0.86), moon)
    return mix(picture, hsv(hue, 0.6, 0.07), b.below(b.ridge(horizon, 0.03, 3))), horizon + 0.04


def _day(b: Brush, horizon: float) -> Array:
    hue = b.between(198, 215)
    picture = gradient(b.y / horizon, (0, hsv(hue, 0.62, 0.9)), (1, hsv(hue - 8, 0.2, 1.0)))
    return b.clouds(picture, (1, 1, 1), b.between(0, 0.9), horizon)


def meadow(b: Brush) -> Painted:
    horizon = b.between(0.42, 0.58)
    picture = _day(b, horizon)
    hue = b.between(85, 115)
    picture = mix(picture, hsv(hue + 25, 0.4, 0.6), b.below(b.ridge(horizon - 0.06, 0.035, 3)))
    depth = np.clip((b.y - horizon) / (1 - horizon), 0, 1)
    grass = gradient(depth, (0, hsv(hue - 5, 0.55, 0.75)), (1, hsv(hue, 0.75, 0.5)))
    grass = grass * (1 + 0.05 * b.noise(16, 32, 2) * (0.4 + depth))[..., None]
    picture = mix(picture, grass, b.below(b.ridge(horizon, 0.015, 3)))
    for _ in range(int(b.between(0, 40))):
        y = horizon + (1 - horizon) * b.between(0.1, 1)
        size = 0.004 + 0.010 * (y - horizon) / (1 - horizon)
        colour = ((1, 1, 1), (1, 0.85, 0.2), (0.95, 0.4, 0.5), (0.75, 0.5, 0.9))[int(b.between(0, 4))]
        picture = b.disc(picture, b.between(0, 1), y, size, colour)
    return picture, horizon


def beach(b: Brush) -> Painted:
    horizon, shore = b.between(0.36, 0.46), b.between(0.56, 0.66)
    picture = _day(b, horizon)
    water = gradient(b.y, (horizon, hsv(205, 0.7, 0.7)), (shore, hsv(b.between(172, 190), 0.5, 0.85)))
    water = water * (1 + 0.05 * b.noise(48, 6, 2))[..., None]
    picture = mix(picture, water, b.below(horizon))
    sand = gradient(b.y, (shore, hsv(38, 0.35, 0.82)), (1, hsv(b.between(34, 44), 0.38, 0.95)))
    sand = b.grain(sand, 0.015)
    line = b.ridge(shore, 0.02, 2, 3)
    picture = mix(picture, (1, 1, 1), 0.9 * b.below(line - 0.025, 0.02))
    return mix(picture, sand, b.below(line + 0.005, 0.01)), shore + 0.06


def sea(b: Brush) -> Painted:
    horizon = b.between(0.38, 0.5)
    picture = _day(b, horizon)
    hue = b.between(195, 218)
    depth = np.clip((b.y - horizon) / (1 - horizon), 0, 1)
    water = gradient(depth, (0, hsv(hue - 5, 0.5, 0.75)), (1, hsv(hue + 5, 0.85, 0.4)))
    waves = b.noise(40, 5, 2) * (1 - depth) + b.noise(14, 4, 3) * depth
    water = mix(water, (0.85, 0.95, 1), 0.45 * smooth(0.6, 2.2, waves)) * (1 + 0.06 * waves)[..., None]
    return mix(picture, water, b.below(horizon)), None


def snow(b: Brush) -> Painted:
    horizon = b.between(0.48, 0.62)
    hue = b.between(205, 225)
    picture = gradient(b.y / horizon, (0, hsv(hue, 0.35, b.between(0.75, 0.9))), (1, hsv(hue, 0.08, 0.97)))
    for _ in range(int(b.between(3, 9))):
        picture = _fir(b, picture, b.between(0, 1), horizon + 0.02, b.between(0.12, 0.3), hsv(165, 0.35, 0.38), 0.75)
    shade = b.noise(8, 3, 3)
    ground = gradient(shade + 3 * (b.y - 0.8), (-2, hsv(hue, 0.16, 0.86)), (1.2, hsv(hue, 0.02, 1)))
    picture = mix(picture, ground, b.below(b.ridge(horizon, 0.03, 2, 3)))
    for _ in range(int(b.between(0, 50))):
        picture = b.disc(picture, b.between(0, 1), b.between(0, 1), b.between(0.003, 0.009), (1, 1, 1))
    return picture, horizon + 0.06


def _fir(b: Brush, picture: Array, x: float, foot: float, height: float, colour: Colour, snow: float = 0.0) -> Array:
    """A fir of three tiers, standing at a foot."""
    rise = (foot - b.y) / height
    width = 0.30 * height * (1 - rise) * (0.55 + 0.45 * ((3 * (1 - rise)) % 1))
    mask = b.inside(np.abs(b.x - x) - width, 0.004) * (rise < 1) * (rise > 0.08)
    trunk = b.inside(np.abs(b.x - x) - 0.035 * height) * (rise >= 0) * (rise < 0.2)
    picture = mix(picture, (0.3, 0.2, 0.14), trunk)
    lit = np.asarray(colour, np.float32) * (0.85 + 0.5 * (b.x - x) / height)[..., None]
    if snow:
        lit = mix(lit, (0.95, 0.97, 1), snow * smooth(0.55, 0.9, (3 * (1 - rise)) % 1))
    return mix(picture, lit, mask)


def desert(b: Brush) -> Painted:
    horizon = b.between(0.42, 0.55)
    picture = gradient(b.y / horizon, (0, hsv(b.between(200, 212), 0.55, 0.9)), (1, hsv(42, 0.22, 1)))
    if b.between(0, 1) < 0.6:
        picture = b.disc(picture, b.between(0.1, 0.9), b.between(0.1, 0.25), 0.06, (1, 0.97, 0.8))
    hue = b.between(24, 38)
    for step in range(4):
        ridge = b.ridge(horizon + 0.13 * step, 0.05, 2, 2)
        distance = b.y - ridge[None]
        sand = gradient(distance, (0, hsv(hue + 4, 0.5, 0.98)), (0.22, hsv(hue, 0.62, 0.72 - 0.03 * step)))
        slope = np.gradient(ridge)[None] * b.side
        sand = b.grain(sand * (1 - 0.25 * np.clip(3 * slope, -0.6, 0.6))[..., None], 0.012, 40, 10)
        picture = mix(picture, sand, b.below(ridge))
    return picture, horizon + 0.2


def forest(b: Brush) -> Painted:
    hue = b.between(95, 140)
    ground = b.between(0.72, 0.8)
    picture = gradient(b.y, (0, hsv(hue - 35, 0.25, 0.95)), (ground, hsv(hue - 10, 0.35, 0.75)))
    for layer in range(3):
        near = layer / 2
        colour = hsv(hue + 10 * near, 0.35 + 0.3 * near, 0.62 - 0.34 * near)
        foot = ground + 0.02 + 0.05 * layer
        for _ in range(5):
            height = b.between(0.45, 0.65) + 0.14 * layer
            picture = _fir(b, picture, b.between(-0.05, 1.05), foot, height, b.vary(colour, 0.02))
        haze = 0.3 * (1 - near) * smooth(0.2, ground, b.y)
        picture = mix(picture, hsv(hue - 30, 0.18, 0.92), haze)
    floor = gradient(b.y, (ground, hsv(hue - 20, 0.45, 0.45)), (1, hsv(hue - 40, 0.5, 0.25)))
    return mix(picture, b.grain(floor, 0.06, 16, 16), b.below(b.ridge(ground, 0.012, 4), 0.02)), ground + 0.07


def mountains(b: Brush) -> Painted:
    horizon = b.between(0.7, 0.8)
    picture = _day(b, horizon)
    hue = b.between(210, 245)
    for layer in range(3):
        ridge = b.ridge(0.34 + 0.16 * layer, 0.1 - 0.02 * layer, 3 + layer, 5)
        depth = b.y - ridge[None]
        rock = gradient(depth, (0, hsv(hue, 0.22 + 0.1 * layer, 0.72 - 0.17 * layer)), (0.4, hsv(hue, 0.2, 0.82)))
        cliffs = b.noise(5, 9, 3)
        rock = rock * (1 + 0.09 * cliffs)[..., None]
        if layer < 2:
            rock = mix(rock, (0.97, 0.98, 1), smooth(0.13, 0.07, depth + 0.035 * cliffs))
        picture = mix(picture, rock, b.below(ridge))
    grass = gradient(b.y, (horizon, hsv(105, 0.4, 0.55)), (1, hsv(100, 0.6, 0.4)))
    return mix(picture, b.grain(grass, 0.04, 16, 24), b.below(b.ridge(horizon, 0.02, 3))), horizon + 0.04


def city(b: Brush) -> Painted:
    hue, street = b.between(225, 275), b.between(0.8, 0.88)
    picture = gradient(b.y, (0, hsv(hue, 0.75, 0.15)), (street, hsv(hue + 30, 0.55, 0.45)))
    picture = b.stars(picture, 25, 0.4)
    foot = int(street * b.side)
    for layer in range(2):
        column = -int(b.between(0, 0.1) * b.side)
        while column < b.side:
            width = int(b.between(0.09, 0.2) * b.side)
            top = int((b.between(0.12, 0.5) + 0.18 * layer) * b.side)
            _tower(b, picture, top, foot, column, column + width, hsv(hue, 0.5, 0.3 - 0.15 * layer))
            column += width + int(b.between(0, 0.03) * b.side)
    ground = gradient(b.y, (street, hsv(hue, 0.35, 0.22)), (1, hsv(hue, 0.3, 0.32)))
    return mix(picture, b.grain(ground, 0.04), b.below(street)), street


def _tower(b: Brush, picture: Array, top: int, foot: int, left: int, right: int, colour: Colour) -> None:
    """A building with some of its windows lit."""
    left, right = max(left, 0), min(right, b.side)
    if right - left < 4:
        return
    block = np.broadcast_to(np.asarray(colour, np.float32), (foot - top, right - left, 3)).copy()
    cell = max(b.side // 21, 3)
    rows, columns = (foot - top - cell // 2) // cell, (right - left - 1) // cell
    lit = b.source.random((max(rows, 0), max(columns, 0))) < b.between(0.3, 0.6)
    light = np.asarray(((1.0, 0.86, 0.45), (1.0, 0.94, 0.7), (0.65, 0.85, 1.0))[int(b.between(0, 3))], np.float32)
    for row, column in np.argwhere(lit):
        down, across = cell // 2 + row * cell, 1 + column * cell
        block[down : down + cell - 1, across : across + cell - 1] = light * b.between(0.6, 1)
    picture[top:foot, left:right] = block


def table(b: Brush) -> Painted:
    edge = b.between(0.48, 0.58)
    wall = hsv(b.between(0, 360), b.between(0.08, 0.35), b.between(0.55, 0.9))
    picture = mix(b.plain(wall), (1, 0.97, 0.9), 0.35 * b.glow(0.3, 0.1, 0.5))
    hue, value = b.between(18, 34), b.between(0.5, 0.8)
    depth = np.clip((b.y - edge) / (1 - edge), 0, 1)
    plank = np.floor(4 * depth**0.7 + 0.01)
    tint = b.source.normal(0, 0.07, 6)[plank.astype(int)]
    wood = gradient(
        b.noise(28, 3, 2) + 4 * tint, (-2, hsv(hue, 0.68, 0.7 * value)), (2, hsv(hue + 4, 0.5, 1.15 * value))
    )
    seam = np.abs(4 * depth**0.7 - np.round(4 * depth**0.7))
    wood = wood * (1 - 0.45 * smooth(0.06, 0.0, seam))[..., None] * (0.8 + 0.25 * depth)[..., None]
    picture = mix(picture, wood, b.below(edge))
    return mix(picture, hsv(hue, 0.7, 0.35 * value), b.below(edge - 0.01) * (b.y < edge + 0.008)), edge + 0.1


def bricks(b: Brush) -> Painted:
    rows = 2 * int(b.between(3, 6))
    columns = rows // 2
    hue = b.between(4, 22)
    row = np.floor(b.y * rows).astype(int)
    shifted = b.x * columns + 0.5 * (row % 2)
    column = np.floor(shifted).astype(int)
    value = b.between(0.5, 0.7) + b.source.normal(0, 0.06, (rows + 1, columns + 2))[row, column]
    brick = gradient(b.noise(16, 16, 2), (-2, hsv(hue, 0.66, 0.92)), (2, hsv(hue + 5, 0.6, 1.1))) * value[..., None]
    edge = np.minimum(np.abs(b.y * rows - np.round(b.y * rows)) / rows, np.abs(shifted - np.round(shifted)) / columns)
    mortar = hsv(30, 0.08, b.between(0.6, 0.85))
    picture = mix(brick, mortar, smooth(0.009, 0.004, edge)) * (1.05 - 0.25 * b.y)[..., None]
    if b.between(0, 1) < 0.4:
        return picture, None
    floor = gradient(b.y, (0.8, hsv(30, 0.06, 0.45)), (1, hsv(30, 0.08, 0.65)))
    return mix(picture, b.grain(floor, 0.03), b.below(0.82)), 0.84


def room(b: Brush) -> Painted:
    floor, wall = b.between(0.64, 0.74), hsv(b.between(0, 360), b.between(0.08, 0.3), b.between(0.75, 0.95))
    picture = b.plain(wall) * (1 - 0.18 * np.abs(b.x - 0.5))[..., None]
    left = b.between(0.08, 0.6)
    _window(b, picture, left, b.between(0.1, 0.16), 0.32, 0.34)
    depth = np.clip((b.y - floor) / (1 - floor), 0, 1)
    hue, value = b.between(18, 36), b.between(0.5, 0.8)
    across = (b.x - 0.5) / (0.5 + depth) * 9
    tint = b.source.normal(0, 0.08, 40)[(np.floor(across) + 20).astype(int) % 40]
    wood = np.asarray(hsv(hue, 0.5, value), np.float32) * (0.85 + 0.2 * depth + tint)[..., None]
    wood = wood * (1 - 0.35 * smooth(0.07, 0, np.abs(across - np.round(across))))[..., None]
    picture = mix(picture, wood, b.below(floor))
    return mix(picture, (0.97, 0.96, 0.94), b.below(floor - 0.035) * (b.y < floor)), floor + 0.08


def _window(b: Brush, picture: Array, left: float, top: float, width: float, height: float) -> None:
    """A window with four panes and the day behind it."""
    outer = np.maximum(np.abs(b.x - left - width / 2) - width / 2, np.abs(b.y - top - height / 2) - height / 2)
    u, v = (b.x - left) / width, (b.y - top) / height
    cross = np.minimum(np.abs(u - 0.5) * width, np.abs(v - 0.5) * height)
    day = gradient(
        v, (0, hsv(208, 0.5, 0.95)), (0.75, hsv(200, 0.15, 1)), (0.76, hsv(110, 0.4, 0.7)), (1, hsv(105, 0.5, 0.55))
    )
    picture[:] = mix(picture, (0.98, 0.97, 0.95), b.inside(outer - 0.025))
    picture[:] = mix(picture, day, b.inside(outer) * b.inside(0.012 - cross))


def stage(b: Brush) -> Painted:
    floor = b.between(0.72, 0.8)
    hue = (0.0, 350.0, 280.0, 225.0)[int(b.between(0, 4))]
    folds = np.sin(2 * np.pi * (b.between(9, 14) * b.x + 0.05 * b.noise(2, 3, 2)))
    picture = np.asarray(hsv(hue, 0.85, 0.55), np.float32) * (0.62 + 0.38 * folds)[..., None]
    boards = gradient(b.y, (floor, hsv(25, 0.55, 0.3)), (1, hsv(28, 0.5, 0.5)))
    across = (b.x - 0.5) / (b.y - floor + 0.35) * 5
    boards = boards * (1 - 0.3 * smooth(0.08, 0, np.abs(across - np.round(across))))[..., None]
    picture = mix(picture, boards, b.below(floor))
    middle = b.between(0.4, 0.6)
    cone = smooth(1, 0.7, np.abs(b.x - middle - 0.25 * (0.5 - middle) * b.y) / (0.06 + 0.32 * b.y))
    pool = smooth(1.05, 0.9, np.hypot((b.x - middle) / 0.36, (b.y - floor - 0.13) / 0.1))
    light = 0.35 + 0.55 * cone * (b.y < floor + 0.13) + 0.55 * pool
    return np.clip(
        picture * np.minimum(light, 1.15)[..., None] + 0.12 * (cone * (b.y < floor))[..., None], 0, 1
    ), floor + 0.08


def underwater(b: Brush) -> Painted:
    hue, sand = b.between(185, 210), b.between(0.78, 0.88)
    picture = gradient(b.y, (0, hsv(hue - 8, 0.45, 0.95)), (1, hsv(hue + 12, 0.9, 0.35)))
    rays = smooth(0.2, 1.6, np.sin(14 * (b.x + 0.35 * b.y) + b.between(0, 6)) + 0.5 * np.sin(37 * (b.x + 0.35 * b.y)))
    picture = mix(picture, (0.9, 1, 1), 0.35 * rays * (1 - b.y))
    floor = gradient(b.y, (sand, (0.5, 0.68, 0.66)), (1, (0.78, 0.76, 0.6)))
    picture = mix(picture, b.grain(floor, 0.05, 12, 20), b.below(b.ridge(sand, 0.02, 3), 0.01))
    for _ in range(int(b.between(4, 14))):
        x, y, radius = b.between(0, 1), b.between(0.05, 0.75), b.between(0.008, 0.025)
        ring = np.abs(np.hypot(b.x - x, b.y - y) - radius) - 0.003
        picture = mix(picture, (0.9, 1, 1), 0.7 * b.inside(ring))
    return picture, sand + 0.04


COLOURS: dict[str, Colour] = {
    "red": (0.85, 0.15, 0.15),
    "orange": (0.97, 0.55, 0.15),
    "yellow": (0.98, 0.85, 0.25),
    "green": (0.25, 0.65, 0.3),
    "blue": (0.2, 0.4, 0.85),
    "purple": (0.5, 0.28, 0.7),
    "pink": (0.97, 0.6, 0.75),
    "brown": (0.45, 0.29, 0.18),
    "black": (0.06, 0.06, 0.07),
    "grey": (0.55, 0.55, 0.56),
    "white": (0.96, 0.96, 0.96),
}


def plain(colour: Colour) -> Callable[[Brush], Painted]:
    """A painter of one even colour."""

    def paint(b: Brush) -> Painted:
        return b.plain(b.vary(colour, 0.015)), None

    return paint


def fade(colour: Colour) -> Callable[[Brush], Painted]:
    """A painter of a gradient from a lighter to a darker shade, straight or round, as in a photo studio."""

    def paint(b: Brush) -> Painted:
        own = np.asarray(b.vary(colour, 0.02), np.float32)
        light, dark = own + 0.55 * (1 - own), own * 0.45
        if b.between(0, 1) < 0.5:
            way = b.glow(b.between(0.35, 0.65), b.between(0.3, 0.6), b.between(0.45, 0.7))
        else:
            angle = b.between(0, 2 * np.pi)
            way = 0.5 + 0.7 * ((b.x - 0.5) * np.cos(angle) + (b.y - 0.5) * np.sin(angle))
        return gradient(way, (0, tuple(dark)), (0.5, tuple(own)), (1, tuple(light))), None

    return paint


@dataclass(frozen=True)
class Scene:
    """One background of the closed list.

    Attributes:
        names: the name, then its synonyms.
        place: how a blend's caption goes on after the object ("on a beach").
        paint: draws it.
    """

    names: tuple[str, ...]
    place: str
    paint: Callable[[Brush], Painted]


SCENES = (
    Scene(("blue sky", "sky with clouds", "sky"), "in the sky", sky),
    Scene(("sunset", "sunset sky", "evening sky"), "at sunset", sunset),
    Scene(("night sky", "night sky with stars", "starry night", "night"), "at night", night),
    Scene(("meadow", "green meadow", "field of grass", "grass"), "on a meadow", meadow),
    Scene(("beach", "sandy beach", "seaside"), "on a beach", beach),
    Scene(("sea", "ocean", "open sea"), "on the sea", sea),
    Scene(("snow", "snowy landscape", "winter landscape"), "in the snow", snow),
    Scene(("desert", "sand dunes", "sandy desert"), "in a desert", desert),
    Scene(("forest", "woods", "fir forest"), "in a forest", forest),
    Scene(("mountains", "mountain landscape", "snowy mountains"), "in the mountains", mountains),
    Scene(("city at night", "night city", "skyline at night"), "in a city at night", city),
    Scene(("wooden table", "table", "table top"), "on a wooden table", table),
    Scene(("brick wall", "wall of bricks", "red brick wall"), "in front of a brick wall", bricks),
    Scene(("room", "living room", "room with a window"), "in a room", room),
    Scene(("stage", "theatre stage", "stage with a spotlight"), "on a stage", stage),
    Scene(("underwater scene", "under water", "sea floor"), "under water", underwater),
    *(
        Scene((f"plain {n} background", f"{n} background"), f"on a plain {n} background", plain(c))
        for n, c in COLOURS.items()
    ),
    *(Scene((f"{n} gradient", f"{n} gradient background"), f"on a {n} gradient", fade(c)) for n, c in COLOURS.items()),
)
"""The closed list of backgrounds: 16 places, then 11 plain colours and 11 gradients."""

PLACES = 16


def draw(index: int, seed: int, side: int) -> tuple[NDArray[np.uint8], float | None]:
    """Scene ``index`` of the list → picture ``[side, side, 3]`` uint8 and the height of its ground, see above."""
    picture, ground = SCENES[index].paint(Brush(seed, side))
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8), ground
