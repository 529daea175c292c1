"""Third stage: text encoder and UNet of the SD1.5 topology, trained on the cached latents.

    torchrun --nproc-per-node 2 -m backend.builtin.unet --work FOLDER --minutes 80

Epsilon prediction on Stable Diffusion's noise schedule, the loss weighted by 1/sqrt(SNR) (Yu et al. 2023, "Debias the
training of diffusion models"), an exponential moving average of the weights, a tenth of the captions dropped for
classifier-free guidance. The weighting matters here: what an object looks like is decided at high noise, where the
plain epsilon loss hardly sees a wrong picture.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import cast

import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from backend.builtin import shapes
from backend.builtin.captions import Captions
from backend.builtin.codec import Codec
from backend.builtin.dataset import fetch, pictures, things
from backend.builtin.latents import cache, whiten
from backend.builtin.loop import join, options, run, save_atomically, trained, wait_for_all
from backend.builtin.vocabulary import train_vocabulary

BATCH = 24
LEARNING_RATE = 2e-3
WEIGHT_RANGE = (0.1, 4.0)
CAPTION_DROP = 0.1


class Painter(nn.Module):
    """Text encoder and UNet."""

    def __init__(self, tokenizer: CLIPTokenizer):
        super().__init__()
        self.text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                bos_token_id=cast(int, tokenizer.bos_token_id),
                eos_token_id=cast(int, tokenizer.eos_token_id),
                pad_token_id=cast(int, tokenizer.eos_token_id),
                **shapes.TEXT,
            )
        )
        self.unet = UNet2DConditionModel(**shapes.UNET)
        self.unet.set_attn_processor(AttnProcessor())

    def forward(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        return self.unet(noisy, times, self.text(tokens).last_hidden_state).sample


def schedule() -> Tensor:
    """Cumulative alphas of Stable Diffusion's scaled-linear schedule, float32 ``[1000]``."""
    return torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0).float()


class Material:
    """Cached latents, and token ids of captions drawn for them."""

    def __init__(self, work: Path, registry: str):
        archive = fetch(work, registry)
        self.things = things()
        images = pictures(archive, [thing.code for thing in self.things])
        self.captions = Captions(self.things, images)
        folder = work / "tokenizer"
        if not (folder / "merges.txt").exists():
            train_vocabulary(self.captions.all(), folder)
        self.tokenizer = CLIPTokenizer.from_pretrained(str(folder))
        codec_file, latents_file = work / "codec_white.pt", work / "latents.pt"
        if not latents_file.exists():
            codec = Codec()
            codec.load_state_dict(trained(work / "codec.pt"))
            whiten(codec, images[::2].float() / 255)
            save_atomically(codec_file, codec=codec.state_dict())
            save_atomically(latents_file, latents=cache(codec, images, torch.Generator().manual_seed(7)))
        self.latents: Tensor = torch.load(latents_file, weights_only=True)["latents"]
        self._ids: dict[str, list[int]] = {}

    def tokens(self, captions: list[str]) -> Tensor:
        """Token ids ``[B, 77]``, padded as the inference path does."""
        for caption in captions:
            if caption not in self._ids:
                self._ids[caption] = self.tokenizer(
                    caption, padding="max_length", max_length=77, truncation=True
                ).input_ids
        return torch.tensor([self._ids[caption] for caption in captions])

    def batch(self, source: random.Random) -> tuple[Tensor, Tensor]:
        """Latents ``[B, 4, h, w]`` and token ids ``[B, 77]``."""
        rows = [source.randrange(len(self.things)) for _ in range(BATCH)]
        captions = ["" if source.random() < CAPTION_DROP else self.captions.draw(row, source) for row in rows]
        latents = torch.stack([self.latents[row, source.randrange(self.latents.shape[1])] for row in rows])
        return latents, self.tokens(captions)


def loss_of(painter: Painter, latents: Tensor, tokens: Tensor, alphas: Tensor) -> Tensor:
    """Weighted epsilon loss of one batch."""
    times = torch.randint(0, 1000, (len(latents),))
    alpha = alphas[times].view(-1, 1, 1, 1)
    noise = torch.randn_like(latents)
    with torch.autocast("cpu", torch.bfloat16):
        guess = painter(alpha.sqrt() * latents + (1 - alpha).sqrt() * noise, times, tokens)
    snr = alpha.flatten() / (1 - alpha.flatten())
    weight = snr.rsqrt().clamp(*WEIGHT_RANGE)
    return ((guess.float() - noise).square().mean((1, 2, 3)) * weight).mean()


def train(work: Path, minutes: float, registry: str) -> None:
    """Train for so many minutes in all (over any number of starts) and leave ``unet.pt`` in the work folder."""
    rank = join()
    if rank == 0:
        Material(work, registry)
    wait_for_all()
    material = Material(work, registry)
    torch.manual_seed(3)
    painter = Painter(material.tokenizer)
    alphas = schedule()
    run(
        work / "unet.pt",
        painter,
        lambda source, _: loss_of(painter, *material.batch(source), alphas),
        minutes,
        LEARNING_RATE,
    )


if __name__ == "__main__":
    chosen = options(__doc__, 80)
    train(chosen.work, chosen.minutes, chosen.registry)
