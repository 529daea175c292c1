"""Styles: named presets, one JSON file each, those that come with the plugin and the person's own."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from .protocol.job import ModelInfo
from .protocol.limits import MAX_CFG, MAX_STEPS
from .protocol.request import Decoding, Sampler

SHIPPED = Path(__file__).with_name("styles")
PROMPT = "{prompt}"
"""Where the person's prompt goes in a style's."""


@dataclass(frozen=True)
class Style:
    """A preset.

    Attributes:
        name: for people.
        family: of the models it is for, "" for all.
        model: id of its model, "" for any of the family.
        prompt: a template with `PROMPT` in it.
        negative: put before the person's negative prompt.
        sampler, decoding: as in `Request`.
        steps, cfg: 1 to `MAX_STEPS`, 0 to `MAX_CFG`.
        own: whether it is one of the person's, which can be changed and deleted.
    """

    name: str
    family: str = ""
    model: str = ""
    sampler: Sampler = Sampler.DPMPP_2M_KARRAS
    steps: int = 20
    cfg: float = 5.0
    decoding: Decoding = Decoding.FULL
    prompt: str = PROMPT
    negative: str = ""
    own: bool = False

    def model_of(self, models: Iterable[ModelInfo], preferred: str) -> str:
        """Return the id of the model to use with it, the preferred one if it fits; "" when none is installed.

        A model of a closed list of objects has other needs than its family, and is meant only by its id.
        """
        fitting = [
            model.id
            for model in models
            if (self.model == model.id if self.model else not self.family or self._is_of(model))
        ]
        return preferred if preferred in fitting else next(iter(fitting), "")

    def _is_of(self, model: ModelInfo) -> bool:
        return self.family == model.family and not model.objects

    def prompts(self, prompt: str, negative: str) -> tuple[str, str]:
        """Return the prompt and the negative prompt that go to the backend."""
        return self.prompt.replace(PROMPT, prompt), ", ".join(filter(None, (self.negative, negative)))


class Styles:
    """All styles; the person's own are files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[Style]:
        """Return the shipped ones, then the own ones, each in the order of their files; unusable files are left out.

        An own one of the name of a shipped one stands in its place.
        """
        own = [_read(path, own=True) for path in self._files()]
        read = [*_shipped(), *(style for style in own if style is not None)]
        return list({style.name: style for style in read}.values())

    def of(self, model: ModelInfo) -> Style:
        """Return the shipped style for a model, as the person may have changed it; without a name if there is none."""
        shipped = len(_shipped())
        fitting = (style for style in self.all()[:shipped] if style.model_of((model,), ""))
        return next(fitting, Style(""))

    def put(self, style: Style) -> None:
        """Write an own style, in place of the one of the same name; whole or not at all. Raises `OSError`."""
        path = self._path(style.name)
        part = path.with_suffix(".part")
        self._folder.mkdir(parents=True, exist_ok=True)
        values = {name: value for name, value in asdict(style).items() if name != "own"}
        try:
            part.write_text(json.dumps(values, indent=1, ensure_ascii=False), encoding="utf-8")
            os.replace(part, path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise

    def remove(self, name: str) -> None:
        """Delete an own style, if there is one of this name. Raises `OSError`."""
        self._path(name).unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))

    def _path(self, name: str) -> Path:
        """The file of an own style: the one that holds it, else a new one named after it."""
        for path in self._files():
            style = _read(path, own=True)
            if style is not None and style.name == name:
                return path
        stem = re.sub(r"\W+", "-", name).strip("-")[:60] or "style"
        taken = {path.stem for path in self._files()}
        number = next(n for n in range(1, len(taken) + 2) if (f"{stem}-{n}" if n > 1 else stem) not in taken)
        return self._folder / f"{stem}{f'-{number}' if number > 1 else ''}.json"


def _shipped() -> list[Style]:
    read = [_read(path, own=False) for path in sorted(SHIPPED.glob("*.json"))]
    return [style for style in read if style is not None]


def _read(path: Path, own: bool) -> Style | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(Style)} - {"own"}
        style = Style(**{name: value for name, value in values.items() if name in known}, own=own)
        texts = (style.name, style.family, style.model, style.prompt, style.negative)
        if not (all(isinstance(text, str) for text in texts) and style.name and PROMPT in style.prompt):
            return None
        if not (1 <= int(style.steps) <= MAX_STEPS and 0 <= float(style.cfg) <= MAX_CFG):
            return None
        return Style(**{**asdict(style), "sampler": Sampler(style.sampler), "decoding": Decoding(style.decoding)})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
