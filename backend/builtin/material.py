"""What the UNet and the units learn from: cached latents, and token ids of captions drawn for them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from backend.builtin.captions import Captions
from backend.builtin.dataset import fetch, portraits, things
from backend.builtin.vocabulary import train_vocabulary

PICTURES = ("foreground", "background", "blend")
FRAMES = {
    "transparent_attn": ("foreground",),
    "joint": PICTURES,
    "fg2bg": ("background", "blend"),
    "bg2fg": ("foreground", "blend"),
}
"""Pictures of a group by mode, in the order of the rows."""
CONDITIONS = {"fg2bg": "foreground", "bg2fg": "background"}
CAPTION_DROP = 0.1
SHARES = {"object": 0.52, "small": 0.08, "scene": 0.17, "blend": 0.23}
"""What the base model draws: objects that fill the picture or stand somewhere, both on transparency; scenes; objects in
scenes. The caption says which, but for "small": its captions are those of objects."""
SCENE_WORDS = {"transparent_attn": 0.25, "joint": 1.0, "fg2bg": 0.4, "bg2fg": 0.4}
"""How often the prompt that all frames share tells of the whole picture ("an apple on a beach") and not just of the
first one, by mode."""
ALIKE = 0.3
"""How often an object alone is drawn from those that others share a noun with: a red apple and a green one, hearts of
several colours. Their prompts differ in one word, which is minded too little where the noise is high."""
OWN_PROMPTS = 0.25
"""How often every frame of `joint` has a prompt of its own before the common one, as the backend joins them."""


@dataclass(frozen=True)
class Batch:
    """Rows for the UNet; row r is frame r % f of its group.

    Attributes:
        latents: ``[B, C, h, w]`` float32.
        tokens: ids ``[B, 77]``.
        condition: pictures ``[B / f, 3, H, W]`` in [0, 1], None in modes without.
    """

    latents: Tensor
    tokens: Tensor
    condition: Tensor | None = None


class Material:
    """Latents in memory; the folders of `latents.prepare` must be there."""

    def __init__(self, work: Path, registry: str):
        self.things = things()
        self.captions = Captions(self.things, portraits(fetch(work, registry), self.things))
        folder = work / "tokenizer"
        if not (folder / "merges.txt").exists():
            train_vocabulary(self.captions.all(), folder)
        self.tokenizer = CLIPTokenizer.from_pretrained(str(folder))
        self.objects: Tensor = torch.load(work / "latents.pt", weights_only=True)["latents"]
        parts = [torch.load(path, weights_only=True, mmap=True) for path in sorted((work / "triples").glob("*.pt"))]
        self.triples, self.thing, self.scene = (
            torch.cat([part[key] for part in parts]) for key in ("latents", "thing", "scene")
        )
        self._conditions = {key: [part[key] for part in parts] for key in ("foreground", "background")}
        self._ids: dict[str, list[int]] = {}
        nouns = [thing.names[0].split()[-1] for thing in self.things]
        self.alike = [row for row, noun in enumerate(nouns) if nouns.count(noun) > 1]

    def tokens(self, captions: list[str]) -> Tensor:
        """Token ids ``[B, 77]``, padded as the inference path does."""
        for caption in captions:
            if caption not in self._ids:
                self._ids[caption] = self.tokenizer(
                    caption, padding="max_length", max_length=77, truncation=True
                ).input_ids
        return torch.tensor([self._ids[caption] for caption in captions])

    def base(self, source: random.Random, count: int) -> Batch:
        """A batch for the base model."""
        kinds = source.choices(list(SHARES), list(SHARES.values()), k=count)
        drawn = [self._picture(kind, source) for kind in kinds]
        captions = ["" if source.random() < CAPTION_DROP else caption for _, caption in drawn]
        return Batch(torch.stack([latent for latent, _ in drawn]), self.tokens(captions))

    def _picture(self, kind: str, source: random.Random) -> tuple[Tensor, str]:
        if kind == "object":
            row = source.choice(self.alike) if source.random() < ALIKE else source.randrange(len(self.things))
            latent = self.objects[row, source.randrange(self.objects.shape[1])]
            return latent, self.captions.draw(row, source)
        row = source.randrange(len(self.triples))
        thing, scene = int(self.thing[row]), int(self.scene[row])
        frame = ("small", "scene", "blend").index(kind)
        captions = (
            self.captions.draw(thing, source),
            self.captions.scene(scene, source),
            self.captions.blend(thing, scene, source),
        )
        return self.triples[row, frame].float(), captions[frame]

    def mode(self, name: str, source: random.Random, groups: int) -> Batch:
        """A batch of groups for the units of a mode."""
        latents, captions, conditions = [], [], []
        for _ in range(groups):
            row = source.randrange(len(self.triples))
            thing, scene = int(self.thing[row]), int(self.scene[row])
            if name == "transparent_attn" and source.random() < ALIKE:
                thing = source.choice(self.alike)
            texts = {
                "foreground": self.captions.draw(thing, source),
                "background": self.captions.scene(scene, source),
                "blend": self.captions.blend(thing, scene, source),
            }
            frames = FRAMES[name]
            whole = source.random() < SCENE_WORDS[name]
            common = texts["blend" if whole else frames[0]]
            if name == "transparent_attn":
                latents.append(self.objects[thing, source.randrange(self.objects.shape[1])])
            else:
                latents += [self.triples[row, PICTURES.index(frame)].float() for frame in frames]
            own = name == "joint" and source.random() < OWN_PROMPTS
            drop = source.random() < CAPTION_DROP
            captions += ["" if drop else f"{texts[frame]}, {common}" if own else common for frame in frames]
            if name in CONDITIONS:
                conditions.append(self._condition(CONDITIONS[name], row))
        condition = torch.stack(conditions).float() / 255 if conditions else None
        return Batch(torch.stack(latents), self.tokens(captions), condition)

    def _condition(self, key: str, row: int) -> Tensor:
        for part in self._conditions[key]:
            if row < len(part):
                return part[row]
            row -= len(part)
        raise IndexError(row)
