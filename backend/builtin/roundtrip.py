"""Numbers of the codec: what a picture with alpha loses on its way through encoder and decoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from backend.builtin import DECODING
from backend.builtin.codec import Codec
from backend.builtin.export import DECODER, ENCODER
from backend.engine import transparency
from backend.engine.checkpoints import load_decoder, load_encoder

BACKDROPS = {
    "black": (0.0, 0.0, 0.0),
    "white": (1.0, 1.0, 1.0),
    "grey": (0.5, 0.5, 0.5),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "cyan": (0.0, 1.0, 1.0),
    "magenta": (1.0, 0.0, 1.0),
}
HALO = 2
"""Pixels on either side of an outline in which a halo is looked for."""


def shipped(folder: Path) -> Codec:
    """The codec as it lies in a folder of weights, in float32."""
    codec = Codec()
    vae = folder / "model" / "vae"
    codec.vae = AutoencoderKL.from_pretrained(
        vae, torch_dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
    )
    place = torch.device("cpu")
    codec.decoder = load_decoder(folder / DECODER, place, torch.float32)
    codec.offset = load_encoder(folder / ENCODER, place, torch.float32)
    return codec.eval()


@dataclass(frozen=True)
class RoundTrip:
    """What a set of pictures loses.

    Attributes:
        alpha: mean absolute error of alpha.
        psnr: dB of the mean squared error of composites, by backdrop.
        residue: mean alpha where nothing should be.
        halo: mean absolute error of composites over black and white within `HALO` pixels of an outline.
    """

    alpha: float
    psnr: dict[str, float]
    residue: float
    halo: float

    @property
    def mean_psnr(self) -> float:
        """dB of the mean squared error over all backdrops."""
        mse = torch.tensor([10 ** (-value / 10) for value in self.psnr.values()]).mean()
        return -10 * mse.log10().item()


@torch.inference_mode()
def round_trip(codec: Codec, rgba: Tensor) -> RoundTrip:
    """Encode and decode padded straight RGBA ``[N, 4, H, W]`` in [0, 1] as the backend does."""
    decoded = torch.cat([_through(codec, one) for one in rgba.split(1)])
    got, wanted = decoded[:, :1], rgba[:, 3:]
    errors = {
        name: _over(decoded[:, 1:], got, colour) - _over(rgba[:, :3], wanted, colour)
        for name, colour in BACKDROPS.items()
    }
    near = _outline(wanted).expand(-1, 3, -1, -1)
    halo = torch.stack([errors[name][near].abs().mean() for name in ("black", "white")]).mean()
    empty = got[wanted == 0]
    return RoundTrip(
        (got - wanted).abs().mean().item(),
        {name: -10 * error.square().mean().log10().item() for name, error in errors.items()},
        empty.mean().item() if len(empty) else 0.0,
        halo.item(),
    )


@torch.inference_mode()
def opaque_psnr(codec: Codec, pictures: Tensor) -> float:
    """dB of scenes ``[N, 3, H, W]`` in [0, 1] through the VAE alone."""
    back = [((codec.picture(codec.encode_picture(2 * one - 1)) + 1) / 2).clamp(0, 1) for one in pictures.split(8)]
    return -10 * F.mse_loss(torch.cat(back), pictures).log10().item()


def _through(codec: Codec, rgba: Tensor) -> Tensor:
    latent = codec.encode(rgba)
    picture = ((codec.picture(latent) + 1) / 2).clamp(0, 1)
    return transparency.decode(codec.decoder, picture, latent, decoding=DECODING)


def _over(rgb: Tensor, alpha: Tensor, colour: tuple[float, ...]) -> Tensor:
    return rgb * alpha + torch.tensor(colour).view(1, 3, 1, 1) * (1 - alpha)


def _outline(alpha: Tensor) -> Tensor:
    """Mask of the pixels near the border of what is visible."""
    size = 2 * HALO + 1
    visible = (alpha > 0.5).float()
    spread = F.max_pool2d(visible, size, 1, HALO)
    return (spread + F.max_pool2d(-visible, size, 1, HALO)) > 0
