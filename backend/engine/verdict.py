"""What is to be said of a transparent layer: how much is empty, soft and solid, and what to do when that is wrong.

Transparency was taught to one base model and is carried over to its relatives. Some have drifted too far and paint a
background; the person learns here that it is so, and what has helped others.
"""

from __future__ import annotations

import re

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.models.suitability import DISTILLED
from protocol.job import ModelInfo, Verdict
from protocol.request import Decoding, Injection, Request

TRANSPARENT_BELOW = 13
"""Alpha of 255: below 5 % a pixel counts as empty."""
OPAQUE_FROM = 243
"""From 95 % it counts as solid."""
FAINT_BELOW = 64
"""Residue is looked for below this alpha, away from everything above it."""
REACH = 0.02
"""How far an edge reaches, as a share of the shorter side."""
NO_EMPTINESS = 0.01
"""With less than this share of empty pixels nothing was cut out."""
NOTHING = 0.999
"""From this share of empty pixels nothing is there."""
RESIDUE = 0.02
"""Mean alpha from which a haze is seen."""
HALO = 0.2
"""Clean objects with drawn details reach 0.06."""

DRIFTED = re.compile(r"pony|illustrious|noob|animagine", re.IGNORECASE)
"""Families of SDXL models that often give a solid or tinted background."""


def verdict(rgba: NDArray[np.uint8], request: Request, model: ModelInfo) -> Verdict:
    """Measure a transparent layer, straight ``[H, W, 4]``, and advise.

    Args:
        request: what it was made for.
        model: what made it; its name tells the families that are known to fail.
    """
    alpha = rgba[..., 3]
    transparent = float((alpha < TRANSPARENT_BELOW).mean())
    opaque = float((alpha >= OPAQUE_FROM).mean())
    soft = max(0.0, 1 - transparent - opaque)
    residue, halo = _residue(alpha), _halo(rgba)
    if transparent < NO_EMPTINESS:
        advice = _all_opaque(request, model)
    elif transparent >= NOTHING:
        advice = _all_empty(request, model)
    else:
        advice = _blemishes(residue, halo, request)
    return Verdict(transparent, soft, opaque, residue, halo, " ".join(advice))


def _residue(alpha: NDArray[np.uint8]) -> float:
    """Mean alpha, 0 to 1, out of an edge's reach of anything that is there."""
    empty = cv2.dilate((alpha >= FAINT_BELOW).astype(np.uint8), _neighbourhood(alpha)) == 0
    return float(alpha[empty].mean()) / 255 if empty.any() else 0.0


def _halo(rgba: NDArray[np.uint8]) -> float:
    """Mean difference in colour, 0 to 1, between soft pixels and the mean of the solid ones within reach."""
    alpha = rgba[..., 3]
    solid = (alpha >= OPAQUE_FROM).astype(np.float32)
    window = _neighbourhood(alpha).shape
    near = cv2.blur(solid, window)
    edge = (near > 0.5 / (window[0] * window[1])) & (solid == 0) & (alpha >= TRANSPARENT_BELOW)
    if not edge.any():
        return 0.0
    colour = rgba[..., :3].astype(np.float32) / 255
    inside = cv2.blur(colour * solid[..., None], window)[edge] / near[edge][:, None]
    return min(1.0, float(np.abs(colour[edge] - inside).mean()))


def _neighbourhood(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = 1 + 2 * max(2, round(REACH * min(alpha.shape)))
    return np.ones((side, side), np.uint8)


def _all_opaque(request: Request, model: ModelInfo) -> list[str]:
    advice = ["Nothing in this layer is empty: the model painted a background."]
    if request.weight < 1 or request.stop_at < 1:
        advice.append("Set weight and stop-at to 1: below, the base model takes over and fills the background.")
    advice += _families(model)
    advice.append(
        "Put \"simple mid-grey background\" into the prompt and leave words for quality and scenery out: they draw a "
        "background."
    )
    return [*advice, *_other_injection(request, model), "Or try another seed."]


def _all_empty(request: Request, model: ModelInfo) -> list[str]:
    advice = ["This layer is empty: the model made nothing, or only what is fully transparent."]
    if not request.negative.strip():
        advice.append("Give a negative prompt, such as \"bad, ugly\": without one some models draw nothing.")
    return [*advice, *_families(model), *_other_injection(request, model), "Or try another seed."]


def _families(model: ModelInfo) -> list[str]:
    name = f"{model.name} {model.id}"
    advice = []
    if DRIFTED.search(name):
        advice.append(
            "Models of the Pony, Illustrious, NoobAI and Animagine families are known to do this: they have moved far "
            "from the SDXL that transparency was trained on. Another SDXL model will do better."
        )
    if DISTILLED.search(name):
        advice.append(
            "Models for few steps (turbo, lightning, LCM) are known to do this: use a normal model, with an "
            "accelerating LoRA if it must be quick."
        )
    return advice


def _other_injection(request: Request, model: ModelInfo) -> list[str]:
    if model.family != "sdxl":
        return []
    other = next(injection for injection in Injection if injection is not request.injection)
    return [f"Try the other way of injection, by {other.value}."]


def _blemishes(residue: float, halo: float, request: Request) -> list[str]:
    advice = []
    if residue >= RESIDUE:
        advice.append("There is a faint haze where it should be empty.")
    if halo >= HALO:
        advice.append("The soft edge has another colour than what it borders.")
    if advice:
        is_full = request.decoding is Decoding.FULL
        advice.append("Try another seed." if is_full else "Decode fully, or try another seed.")
    return advice
