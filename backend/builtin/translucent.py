"""Procedural objects with soft alpha: glass, smoke, flame, hair. Icons have next to none of it.

A painter gets a `Brush` and draws on a `Sheet`, back to front; every seed gives another one of its kind.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from backend.builtin.brushes import Array, Brush, Colour, gradient, hsv, smooth
from backend.engine.padding import pad_rgb


class Sheet:
    """A transparent sheet: premultiplied colour and alpha, painted on back to front."""

    def __init__(self, side: int):
        self.colour = np.zeros((side, side, 3), np.float32)
        self.alpha = np.zeros((side, side), np.float32)

    def paint(self, colour: Array | Colour, mask: Array) -> None:
        """Lay a colour over what is there, as opaque as the mask says."""
        mask = np.clip(mask, 0, 1).astype(np.float32)
        self.colour = np.asarray(colour, np.float32) * mask[..., None] + self.colour * (1 - mask)[..., None]
        self.alpha = mask + self.alpha * (1 - mask)

    def rgba(self) -> NDArray[np.uint8]:
        """Straight ``[side, side, 4]``, colour padded under alpha 0."""
        alpha = np.where(self.alpha < 0.004, 0, self.alpha)[..., None]
        straight = np.where(alpha > 0, np.clip(self.colour / np.maximum(alpha, 1e-4), 0, 1), 0)
        drawn = (np.concatenate([straight, alpha], 2) * 255 + 0.5).astype(np.uint8)
        padded = np.clip(pad_rgb(drawn) * 255 + 0.5, 0, 255).astype(np.uint8)
        return np.concatenate([padded, drawn[..., 3:]], 2)


def _ellipse(b: Brush, x: float, y: float, width: float, height: float) -> Array:
    """Distance from the centre in radii."""
    return np.hypot((b.x - x) / width, (b.y - y) / height)


def _rim(radii: Array, sharpness: float) -> Array:
    """How opaque a thin glass shell is: little in the middle, most at the edge."""
    return np.clip(radii, 0, 1) ** sharpness


def soap_bubble(b: Brush, sheet: Sheet) -> None:
    x, y, radius = 0.5 + b.between(-0.04, 0.04), 0.5 + b.between(-0.04, 0.04), b.between(0.34, 0.42)
    r = _ellipse(b, x, y, radius, radius)
    body = b.inside((r - 1) * radius)
    angle = np.arctan2(b.y - y, b.x - x)
    film = 0.5 + 0.5 * np.cos(angle[..., None] * 2 + 7 * r[..., None] + np.asarray((0, 2.1, 4.2)) + b.between(0, 6))
    sheet.paint(0.55 + 0.45 * film, body * (0.07 + 0.6 * _rim(r, 5)))
    shine = np.exp(-(((r - 0.78) / 0.07) ** 2) - ((angle + b.between(2.1, 2.5)) / 0.4) ** 2)
    sheet.paint((1, 1, 1), 0.85 * body * shine)
    sheet.paint((1, 1, 1), 0.6 * b.glow(x + 0.45 * radius, y + 0.5 * radius, 0.05))


def glass_ball(b: Brush, sheet: Sheet) -> None:
    x, y, radius = 0.5, 0.5, b.between(0.34, 0.4)
    hue = b.between(0, 360)
    r = _ellipse(b, x, y, radius, radius)
    body = b.inside((r - 1) * radius)
    shade = np.clip(0.5 + (b.y - y + 0.4 * (b.x - x)) / radius / 2, 0, 1)
    sheet.paint(gradient(shade, (0, hsv(hue, 0.75, 0.6)), (1, hsv(hue, 0.35, 1))), body * (0.4 + 0.45 * _rim(r, 3)))
    sheet.paint(
        (1, 1, 1), 0.9 * b.inside((_ellipse(b, x - 0.38 * radius, y - 0.45 * radius, 0.09, 0.055) - 1) * 0.05, 0.02)
    )
    sheet.paint((1, 1, 1), 0.4 * body * smooth(0.6, 0.9, r) * smooth(0.6, 0.95, shade))


def _vessel(b: Brush, width: Array, top: float, bottom: float) -> tuple[Array, Array]:
    """A turned glass of half width ``[side, side]`` along y: its mask and the position across, -1 to 1."""
    across = (b.x - 0.5) / np.maximum(width, 1e-3)
    mask = b.inside((np.abs(across) - 1) * width) * b.inside(top - b.y) * b.inside(b.y - bottom)
    return mask, across


def wine_glass(b: Brush, sheet: Sheet) -> None:
    top, bowl, foot = 0.1, b.between(0.5, 0.56), 0.9
    radius = b.between(0.2, 0.25)
    t = np.clip((b.y - top) / (bowl - top), 0, 1)
    width = radius * np.sqrt(np.clip(1 - t**2.6, 0, 1)) * (0.82 + 0.18 * np.sin(np.pi * t))
    mask, across = _vessel(b, width + 1e-4, top, bowl)
    edge = np.abs(across).clip(0, 1)
    level = top + (bowl - top) * b.between(0.3, 0.5)
    wine = hsv(*((350, 0.85, 0.45) if b.between(0, 1) < 0.6 else (48, 0.5, 0.95)))
    stem = b.inside(np.abs(b.x - 0.5) - 0.014) * b.inside(bowl - 0.01 - b.y) * b.inside(b.y - foot + 0.02)
    sheet.paint((0.85, 0.9, 0.95), 0.75 * stem)
    sheet.paint((0.85, 0.9, 0.95), 0.7 * b.inside((_ellipse(b, 0.5, foot, 0.17, 0.028) - 1) * 0.05))
    inner = b.inside((np.abs(across) - 0.93) * width) * mask
    sheet.paint(wine, 0.85 * inner * b.inside(level - b.y))
    sheet.paint(
        tuple(0.6 + 0.4 * c for c in wine),
        0.6 * b.inside((_ellipse(b, 0.5, level, 0.9 * radius, 0.018) - 1) * 0.05) * mask,
    )
    sheet.paint((0.92, 0.96, 1), mask * (0.1 + 0.6 * edge**8))
    sheet.paint(
        (1, 1, 1), 0.8 * mask * np.exp(-(((across + 0.6) / 0.1) ** 2)) * smooth(0.05, 0.2, t) * smooth(0.8, 0.6, t)
    )


def glass_of_water(b: Brush, sheet: Sheet) -> None:
    top, bottom = 0.12, 0.88
    t = np.clip((b.y - top) / (bottom - top), 0, 1)
    width = b.between(0.25, 0.29) - 0.06 * t
    mask, across = _vessel(b, width, top, bottom)
    edge = np.abs(across).clip(0, 1)
    level = b.between(0.3, 0.45)
    hue = b.between(195, 210)
    water = b.inside((np.abs(across) - 0.9) * width) * b.inside(level - b.y) * b.inside(b.y - bottom + 0.04)
    sheet.paint(gradient(b.y, (level, hsv(hue, 0.25, 1)), (bottom, hsv(hue, 0.55, 0.85))), 0.5 * water * mask)
    sheet.paint((0.9, 0.97, 1), 0.75 * b.inside((_ellipse(b, 0.5, level, 0.23, 0.03) - 1) * 0.06) * mask)
    sheet.paint((0.88, 0.94, 1), mask * (0.1 + 0.65 * edge**9 + 0.5 * smooth(bottom - 0.06, bottom, b.y)))
    sheet.paint((0.95, 0.98, 1), 0.7 * b.inside(np.abs((_ellipse(b, 0.5, top, 0.27, 0.035) - 1) * 0.06) - 0.004))
    sheet.paint(
        (1, 1, 1), 0.7 * mask * np.exp(-(((across + 0.66) / 0.08) ** 2)) * smooth(0.08, 0.2, t) * smooth(0.9, 0.7, t)
    )


def smoke(b: Brush, sheet: Sheet) -> None:
    grey = b.between(0.45, 0.95)
    drift, wave = b.between(-0.15, 0.15), b.between(0, 6)
    rise = np.clip(1 - b.y, 0, 1)
    middle = 0.5 + drift * rise + 0.06 * np.sin(6 * rise + wave) * rise
    width = 0.06 + 0.3 * rise**0.9
    puffs = b.noise(4, 4, 4)
    body = np.exp(-(((b.x - middle) / width) ** 2) * 1.6) * smooth(0.95, 0.8, b.y) * smooth(0.05, 0.35, b.y)
    density = smooth(0.06, 0.75, body * (0.95 + 0.25 * puffs))
    frame = smooth(0.02, 0.12, np.minimum(b.x, 1 - b.x))
    sheet.paint(
        gradient(b.noise(5, 5, 3), (-2, (0.75 * grey,) * 3), (2, (min(1.1 * grey, 1),) * 3)), 0.85 * density * frame
    )


def candle_flame(b: Brush, sheet: Sheet) -> None:
    lean = b.between(-0.05, 0.05)
    bottom, height = b.between(0.82, 0.86), b.between(0.6, 0.7)
    t = np.clip((bottom - b.y) / height, 0, 1)
    width = b.between(0.15, 0.19) * np.sqrt(np.clip(t, 0, 1)) * (1 - t) ** 0.75 * 2.2
    middle = 0.5 + lean * t**2
    inner = np.abs(b.x - middle) / np.maximum(width, 1e-3)
    sheet.paint((1.0, 0.6, 0.15), 0.5 * b.glow(0.5 + 0.5 * lean, bottom - 0.42 * height, 0.17))
    flame = smooth(1.08, 0.8, inner) * (b.y < bottom) * (t < 1)
    colour = gradient(
        t + 0.25 * inner,
        (0, (0.25, 0.35, 0.95)),
        (0.13, (0.95, 0.6, 0.3)),
        (0.35, (1, 0.93, 0.6)),
        (0.75, (1, 0.75, 0.2)),
        (1.1, (0.98, 0.4, 0.08)),
    )
    sheet.paint(colour, 0.95 * flame * smooth(0, 0.12, t) ** 0.6)
    sheet.paint((1, 1, 0.9), 0.8 * smooth(0.65, 0.2, inner) * smooth(0.08, 0.25, t) * smooth(0.7, 0.4, t))


def glowing_orb(b: Brush, sheet: Sheet) -> None:
    hue, radius = b.between(0, 360), b.between(0.1, 0.14)
    r = np.hypot(b.x - 0.5, b.y - 0.5)
    halo = np.clip(1 - r / 0.47, 0, 1) ** 2
    sheet.paint(hsv(hue, 0.75, 1), 0.85 * halo)
    sheet.paint(hsv(hue, 0.25, 1), np.exp(-((r / (1.5 * radius)) ** 2)))
    sheet.paint((1, 1, 1), b.inside(r - radius, 0.06))


def crystal(b: Brush, sheet: Sheet) -> None:
    hue = b.between(0, 360)
    for x, foot, height, width, lean in (
        (0.33, 0.86, 0.42, 0.10, -0.28),
        (0.68, 0.87, 0.5, 0.11, 0.25),
        (0.5, 0.9, 0.78, 0.15, b.between(-0.04, 0.04)),
    ):
        height *= b.between(0.9, 1.05)
        rise = (foot - b.y) / height
        across = (b.x - x - lean * (foot - b.y)) / width
        half = np.clip(np.minimum(0.75 + 0.5 * rise, (1 - rise) / 0.28), 0, 1)
        mask = b.inside((np.abs(across) - half) * width) * b.inside(b.y - foot) * (rise < 1)
        facets = np.select([across < -0.35 * half, across < 0.25 * half], [0.75, 1.0], 0.55)
        tip = rise > 0.72
        value = np.clip(facets + 0.15 * tip, 0, 1).astype(np.float32)
        colour = gradient(value, (0.5, hsv(hue, 0.75, 0.6)), (0.75, hsv(hue, 0.6, 0.85)), (1.1, hsv(hue - 8, 0.22, 1)))
        sheet.paint(colour, mask * (0.62 + 0.3 * (1 - rise)))
        sheet.paint((1, 1, 1), 0.55 * mask * smooth(0.06, 0.0, np.abs(across - 0.25 * half)))


def water_drop(b: Brush, sheet: Sheet) -> None:
    hue = b.between(195, 215)
    top, bottom, radius = 0.1, 0.9, b.between(0.25, 0.29)
    t = np.clip((b.y - top) / (bottom - top), 0, 1)
    centre = bottom - radius
    round_part = np.sqrt(np.clip(1 - ((b.y - centre) / radius) ** 2, 0, 1)) * radius
    width = np.where(b.y > centre, round_part, radius * np.clip(t / ((centre - top) / (bottom - top)), 0, 1) ** 1.35)
    across = (b.x - 0.5) / np.maximum(width, 1e-3)
    mask = b.inside((np.abs(across) - 1) * np.maximum(width, 1e-3)) * b.inside(top - b.y) * b.inside(b.y - bottom)
    edge = np.clip(np.maximum(np.abs(across), smooth(0.75, 1, t)), 0, 1)
    sheet.paint(gradient(t, (0, hsv(hue, 0.45, 1)), (1, hsv(hue, 0.85, 0.9))), mask * (0.4 + 0.5 * edge**3))
    sheet.paint(
        (1, 1, 1), 0.85 * b.inside((_ellipse(b, 0.5 - 0.45 * radius, centre - 0.02, 0.05, 0.1) - 1) * 0.06, 0.02)
    )
    sheet.paint((0.9, 1, 1), 0.45 * mask * np.exp(-((_ellipse(b, 0.53, bottom - 0.1, 0.16, 0.06)) ** 2)))


def _stroke(b: Brush, sheet: Sheet, points: Array, width: float, colour: Colour, opacity: float) -> None:
    """A hair along ``points [n, 2]`` (x, y), tapering to its end."""
    distance = np.full((b.side, b.side), 1e3, np.float32)
    for index, (start, end) in enumerate(zip(points, points[1:], strict=False)):
        dx, dy = end - start
        along = np.clip(((b.x - start[0]) * dx + (b.y - start[1]) * dy) / (dx * dx + dy * dy + 1e-9), 0, 1)
        taper = width * (1 - 0.9 * (index + along) / (len(points) - 1))
        distance = np.minimum(distance, np.hypot(b.x - start[0] - along * dx, b.y - start[1] - along * dy) - taper)
    sheet.paint(colour, opacity * b.inside(distance))


def hair(b: Brush, sheet: Sheet) -> None:
    hue, value = b.between(15, 48), b.between(0.25, 0.9)
    bend, phase = b.between(0.06, 0.14), b.between(0, 6)
    t = np.linspace(0, 1, 5, dtype=np.float32)
    for _ in range(34):
        start, spread = b.between(0.38, 0.62), b.between(-0.2, 0.2)
        x = start + spread * t + bend * np.sin(4.5 * t + phase) * t + b.between(-0.03, 0.03) * t
        y = 0.07 + b.between(0.72, 0.86) * t
        _stroke(
            b,
            sheet,
            np.stack([x, y], 1),
            b.between(0.008, 0.014),
            hsv(hue + b.between(-5, 5), 0.6, value * b.between(0.65, 1.1)),
            b.between(0.5, 0.95),
        )


def feather(b: Brush, sheet: Sheet) -> None:
    hue, value = b.between(0, 360), b.between(0.7, 1)
    bend = b.between(-0.12, 0.12)
    t = np.linspace(0, 1, 34, dtype=np.float32)
    quill = np.stack([0.5 + bend * np.sin(np.pi * t) + 0.18 * (0.5 - t), 0.93 - 0.85 * t], 1)
    for index in range(7, 33):
        reach = 0.2 * np.sin(np.pi * (0.1 + 0.88 * (index - 7) / 26)) ** 0.7
        for way in (-1, 1):
            end = quill[index] + np.asarray((way * reach, -0.55 * reach + b.between(-0.015, 0.015)), np.float32)
            middle = (quill[index] + end) / 2 + np.asarray((0, 0.02), np.float32)
            colour = hsv(hue + b.between(-8, 8), 0.45, value * b.between(0.8, 1))
            _stroke(b, sheet, np.stack([quill[index], middle, end]), 0.02, colour, b.between(0.55, 0.9))
    _stroke(b, sheet, quill[::3], 0.014, hsv(hue, 0.2, 0.95), 0.95)


def firework(b: Brush, sheet: Sheet) -> None:
    hue = b.between(0, 360)
    sheet.paint(hsv(hue, 0.5, 1), 0.45 * b.glow(0.5, 0.5, 0.2))
    for index in range(int(b.between(14, 20))):
        angle = index * 2.399 + b.between(-0.1, 0.1)
        reach = b.between(0.3, 0.43)
        way = np.asarray((np.cos(angle), np.sin(angle)), np.float32)
        points = np.stack(
            [0.5 + way * reach * s + np.asarray((0, 0.03 * s * s), np.float32) for s in (1.0, 0.65, 0.25)]
        )
        colour = hsv(hue + b.between(-25, 25), 0.6, 1)
        _stroke(b, sheet, points, 0.014, colour, 0.9)
        sheet.paint(hsv(hue, 0.15, 1), b.glow(points[0, 0], points[0, 1], 0.018))


TRANSLUCENT: dict[str, Callable[[Brush, Sheet], None]] = {
    "soap bubble": soap_bubble,
    "glass ball": glass_ball,
    "wine glass": wine_glass,
    "glass of water": glass_of_water,
    "smoke": smoke,
    "candle flame": candle_flame,
    "glowing orb": glowing_orb,
    "crystal": crystal,
    "water drop": water_drop,
    "lock of hair": hair,
    "feather": feather,
    "firework": firework,
}
"""The kinds by name, as in the list of objects."""


def draw(name: str, seed: int, side: int) -> NDArray[np.uint8]:
    """One of a kind: straight RGBA ``[side, side, 4]`` uint8, colour padded under alpha 0."""
    sheet = Sheet(side)
    TRANSLUCENT[name](Brush(seed, side), sheet)
    return sheet.rgba()
