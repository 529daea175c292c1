"""What the docker remembers from one start of Krita to the next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from enum import Enum

from .protocol.limits import MAX_BATCH, MAX_CFG, MAX_SEED, MAX_SIDE, MAX_STEPS, MAX_WEIGHT, MIN_SIDE
from .protocol.request import Decoding, Injection, Sampler


class SizeMode(str, Enum):
    """Which area of the document the result is made for; the selection's, or all where nothing is selected."""

    SELECTION = "selection"
    DOCUMENT = "document"
    OWN = "own"


@dataclass(frozen=True)
class Settings:
    """The docker's fields.

    Attributes:
        task: id of an entry of the operation selector.
        way: number of the set of layers it starts from, where it has several.
        foreground, background, blend, init: which layers the pickers name, as `Choice.text` of `sources`.
        style: name of the style that was chosen last.
        own_style: whether the person chose it, or that there is none, and not the plugin after the model.
        clip: whether the softness of a selection clips the results for it.
        place: where in the stack results go, as `canvas.Place` counts.
        seed: the one last used when `random_seed` is on.
        strength, reblend_strength: of refining and of re-blending, where more than a little leaves no likeness.
        advanced, layer_prompts: whether these parts are unfolded.
    """

    task: str = "object"
    way: int = 0
    foreground: str = ""
    background: str = ""
    blend: str = ""
    init: str = ""
    prompt: str = ""
    negative: str = ""
    foreground_prompt: str = ""
    background_prompt: str = ""
    blend_prompt: str = ""
    style: str = ""
    own_style: bool = False
    model: str = ""
    size_mode: SizeMode = SizeMode.SELECTION
    width: int = 512
    height: int = 512
    steps: int = 20
    cfg: float = 5.0
    seed: int = 0
    random_seed: bool = True
    batch: int = 1
    place: str = "top"
    clip: bool = False
    sampler: Sampler = Sampler.DPMPP_2M_KARRAS
    injection: Injection = Injection.ATTENTION
    weight: float = 1.0
    stop_at: float = 1.0
    strength: float = 0.6
    reblend_strength: float = 0.3
    decoding: Decoding = Decoding.FULL
    advanced: bool = False
    layer_prompts: bool = False

    def to_text(self) -> str:
        """Return the settings as text for `from_text`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Settings:
        """Read what `to_text` of this or another version wrote; whatever is unusable gets its default."""
        try:
            stored = json.loads(text)
        except ValueError:
            return cls()
        if not isinstance(stored, dict):
            return cls()
        usable = {}
        for field in fields(cls):
            value = _usable(field.name, field.default, stored.get(field.name))
            if value is not None:
                usable[field.name] = value
        return cls(**usable)


_RANGES = {
    "width": (MIN_SIDE, MAX_SIDE),
    "height": (MIN_SIDE, MAX_SIDE),
    "steps": (1, MAX_STEPS),
    "cfg": (0, MAX_CFG),
    "seed": (0, MAX_SEED),
    "batch": (1, MAX_BATCH),
    "weight": (0, MAX_WEIGHT),
    "stop_at": (0, 1),
    "strength": (0, 1),
    "reblend_strength": (0, 1),
    "way": (0, 1),
}


def _usable(name: str, default: object, value: object) -> object | None:
    if isinstance(default, Enum):
        kind = type(default)
        return kind(value) if value in [member.value for member in kind] else None
    if isinstance(default, str):
        return value if isinstance(value, str) else None
    if isinstance(default, bool) or isinstance(value, bool):
        return value if isinstance(default, bool) and isinstance(value, bool) else None
    if not isinstance(value, (int, float)) or (isinstance(default, int) and not isinstance(value, int)):
        return None
    low, high = _RANGES[name]
    return value if low <= value <= high else None


def prompts_text(prompts: Sequence[str]) -> str:
    """Return earlier prompts as text for `prompts_of`."""
    return json.dumps(list(prompts))


def prompts_of(text: str) -> list[str]:
    """Read what `prompts_text` wrote; none when that is unusable."""
    try:
        stored = json.loads(text)
    except ValueError:
        return []
    return [prompt for prompt in stored if isinstance(prompt, str)] if isinstance(stored, list) else []
