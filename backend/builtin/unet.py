"""Third stage: text encoder and UNet of the SD1.5 topology, trained on the cached latents.

    torchrun --nproc-per-node 2 -m backend.builtin.unet --work FOLDER --minutes 80

Epsilon prediction on Stable Diffusion's noise schedule, the loss weighted by 1/sqrt(SNR) (Yu et al. 2023, "Debias the
training of diffusion models"), an exponential moving average of the weights, a tenth of the captions dropped for
classifier-free guidance. The weighting matters here: what an object looks like is decided at high noise, where the
plain epsilon loss hardly sees a wrong picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from backend.builtin import shapes
from backend.builtin.dataset import fetch
from backend.builtin.latents import prepare
from backend.builtin.loop import join, options, processes, quick, run, wait_for_all
from backend.builtin.material import Batch, Material

BATCH = 24
LEARNING_RATE = 2e-3
WEIGHT_RANGE = (0.1, 4.0)
NOISE_OFFSET = 0.1
"""Standard deviation of what each channel's noise is shifted by (Guttenberg 2023, "Diffusion with offset noise").

At the first steps the mean of so few latent cells tells as much as the picture would: without the shift the UNet
learns to read the colours from the noise instead of from the caption.
"""


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


def loss_of(
    painter: Painter, batch: Batch, alphas: Tensor, frames: int = 1, spread: float = 1.0, most: float = WEIGHT_RANGE[1]
) -> Tensor:
    """Weighted epsilon loss of one batch; the frames of a group share their time.

    Times are 1000 · u ** `spread` with uniform u, weights σ/α of the noise, from the least of `WEIGHT_RANGE` to `most`.
    """
    times = (1000 * torch.rand(len(batch.latents) // frames) ** spread).long().repeat_interleave(frames)
    alpha = alphas[times].view(-1, 1, 1, 1)
    noise = torch.randn_like(batch.latents) + NOISE_OFFSET * torch.randn(*batch.latents.shape[:2], 1, 1)
    with quick():
        guess = painter(alpha.sqrt() * batch.latents + (1 - alpha).sqrt() * noise, times, batch.tokens)
    snr = alpha.flatten() / (1 - alpha.flatten())
    weight = snr.rsqrt().clamp(WEIGHT_RANGE[0], most)
    return ((guess.float() - noise).square().mean((1, 2, 3)) * weight).mean()


def train(work: Path, minutes: float, registry: str) -> None:
    """Train for so many minutes in all (over any number of starts) and leave ``unet.pt`` in the work folder."""
    rank = join()
    prepare(work, fetch(work, registry), rank, processes())
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
        lambda source, _: loss_of(painter, material.base(source, BATCH), alphas),
        minutes,
        LEARNING_RATE,
    )


if __name__ == "__main__":
    chosen = options(__doc__, 80)
    train(chosen.work, chosen.minutes, chosen.registry)
