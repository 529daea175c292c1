"""The authors' sanity checks as presets: known settings whose pictures everybody can compare."""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from protocol.errors import ErrorCode, fail
from protocol.job import LayerSet
from protocol.request import Decoding, Injection, Input, Operation, Request, Resize, Role, Sampler, Source

from ..pictures import Picture, of_role

RECIPES = Path(__file__).with_name("recipes.toml")
CHOICES: dict[str, Any] = {
    "operation": Operation,
    "sampler": Sampler,
    "injection": Injection,
    "resize": Resize,
    "decoding": Decoding,
}
"""Settings that are a choice."""

Generate = Callable[[str, Request, Sequence[bytes]], LayerSet]
"""(name of the preset or "", request, pixels of its inputs) → result."""


@dataclass(frozen=True)
class Preset:
    """One recipe.

    Attributes:
        name: as the command line says it.
        settings: fields of `Request` but for its inputs, choices as text.
        start: the presets whose layers it starts from, by what they are for.
        sha256: first digits of the checkpoint that the authors used.
        compare: for people, what the result must show.
    """

    name: str
    settings: Mapping[str, Any]
    start: Mapping[Source, str]
    sha256: str
    compare: str


@functools.cache
def presets() -> Mapping[str, Preset]:
    """All presets by name, those that others start from not necessarily first."""
    data = tomllib.loads(RECIPES.read_text("utf-8"))
    return MappingProxyType({name: _preset(name, recipe, data) for name, recipe in data["recipe"].items()})


def _preset(name: str, recipe: dict[str, Any], data: dict[str, Any]) -> Preset:
    start = {Source(source): other for source, other in recipe.pop("start", {}).items()}
    compare = recipe.pop("compare")
    return Preset(name, {**data["common"], **recipe}, start, data["sha256"][recipe["model"]], compare)


def find(name: str) -> Preset:
    """Return a preset. Raises `invalid_request` with near names."""
    if name not in presets():
        near = difflib.get_close_matches(name, presets()) or list(presets())
        fail(ErrorCode.INVALID_REQUEST, f"There is no preset {name!r}.", f"Choose for example {', '.join(near[:3])}.")
    return presets()[name]


def run(
    name: str,
    settings: Mapping[str, Any],
    start: Mapping[Source, str],
    given: Mapping[Source, Picture],
    changes: Mapping[str, Any],
    generate: Generate,
) -> LayerSet:
    """Generate what settings say, and before it what it starts from.

    Args:
        name: of the preset, "" for settings of one's own.
        settings: as `Preset.settings`.
        start: as `Preset.start`.
        given: pictures that are there, in place of those of `start`.
        changes: settings that are other ones in all presets that come before.
        generate: does one request.
    """
    results: dict[str, LayerSet] = {}

    def made(preset: Preset) -> LayerSet:
        if preset.name not in results:
            results[preset.name] = go(preset.name, {**preset.settings, **changes}, preset.start, {})
        return results[preset.name]

    def go(
        name: str, settings: Mapping[str, Any], start: Mapping[Source, str], given: Mapping[Source, Picture]
    ) -> LayerSet:
        earlier = {source: of_role(made(find(other)), Role(source)) for source, other in start.items()
                   if source not in given}
        pictures = {**earlier, **given}
        return generate(name, to_request(settings, pictures), [picture.pixels for picture in pictures.values()])

    return go(name, settings, start, given)


def to_request(settings: Mapping[str, Any], pictures: Mapping[Source, Picture]) -> Request:
    """The request that settings and pictures make. Raises `invalid_request`."""
    chosen = {name: CHOICES[name](value) if name in CHOICES else value for name, value in settings.items()}
    inputs = tuple(Input(source, picture.width, picture.height) for source, picture in pictures.items())
    return Request(**chosen, inputs=inputs)
