"""The built-in model asked through the engine, with objects and scenes that fit together: for numbers and sheets."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.builtin import CFG, DECODING, composite, scenes
from backend.builtin.classifier import HELD_OUT_SEED
from backend.builtin.dataset import SIDE, fill, portraits, things
from backend.engine.cache import Cache
from backend.engine.generate import generate
from backend.models import resolve_path
from protocol.job import LayerSet
from protocol.request import Input, Operation, Request, Role, Source

STEPS = 20

Pixels = NDArray[np.uint8]
Given = tuple[Source, Pixels]


class Model:
    """The weights of a folder."""

    def __init__(self, weights: Path):
        self.files, self.cache = resolve_path(weights / "model"), Cache()

    def draw(
        self,
        operation: Operation,
        prompt: str,
        seed: int,
        batch: int = 1,
        given: Sequence[Given] = (),
        side: int = SIDE,
        strength: float = 1.0,
    ) -> LayerSet:
        """What the engine makes of a prompt and the pictures given (straight RGBA ``[H, W, 4]``)."""
        inputs = tuple(Input(source, pixels.shape[1], pixels.shape[0]) for source, pixels in given)
        request = Request(
            operation, "builtin", prompt, "", side, side, STEPS, CFG, seed, batch, strength=strength, decoding=DECODING,
            inputs=inputs,
        )
        pixels = [np.ascontiguousarray(picture).tobytes() for _, picture in given]
        return generate(request, pixels, self.files, lambda _: None, lambda: False, self.cache)

    def layers(
        self, operation: Operation, prompt: str, seed: int, batch: int = 1, given: Sequence[Given] = ()
    ) -> list[dict[Role, Tensor]]:
        """The layers of every image by role, straight RGBA ``[4, SIDE, SIDE]`` in [0, 1]."""
        images: list[dict[Role, Tensor]] = [{} for _ in range(batch)]
        for layer in self.draw(operation, prompt, seed, batch, given).layers:
            rgba = torch.frombuffer(bytearray(layer.pixels), dtype=torch.uint8).view(SIDE, SIDE, 4)
            images[layer.image][layer.role] = rgba.permute(2, 0, 1).float() / 255
        return images


@dataclass(frozen=True)
class Pair:
    """An object and a place, drawn from a fixed seed.

    Attributes:
        thing, scene: indices in the closed lists.
        number: of the pair; says how object and scene look.
    """

    thing: int
    scene: int
    number: int

    @property
    def object_prompt(self) -> str:
        """The object alone."""
        return fill("{article} {}", things()[self.thing].names[0])

    @property
    def scene_prompt(self) -> str:
        """The place alone."""
        return scenes.SCENES[self.scene].names[0]

    @property
    def prompt(self) -> str:
        """The object in the place."""
        return f"{self.object_prompt} {scenes.SCENES[self.scene].place}"

    def background(self) -> Given:
        """The place, of a seed that no training has."""
        picture, _ = scenes.draw(self.scene, self._seed, SIDE)
        return Source.BACKGROUND, np.concatenate([picture, np.full_like(picture[..., :1], 255)], 2)

    def foreground(self, archive: Path) -> Given:
        """The object where it could stand in the place."""
        _, ground = scenes.draw(self.scene, self._seed, SIDE)
        image = portraits(archive, [things()[self.thing]], seed=HELD_OUT_SEED).float() / 255
        height = torch.tensor([float("nan") if ground is None else ground])
        standing = composite.stand(image, height, torch.Generator().manual_seed(self.number))[0]
        return Source.FOREGROUND, (standing.permute(1, 2, 0) * 255).round().byte().numpy()

    @property
    def _seed(self) -> int:
        return 2 * 10**6 + self.number


def pairs(count: int) -> Iterator[Pair]:
    """So many objects and places."""
    source = random.Random(HELD_OUT_SEED)
    for number in range(count):
        yield Pair(source.randrange(len(things())), source.randrange(scenes.PLACES), number)
