"""Pictures that a result starts from: brought to the working size, and encoded as the UNet wants them.

The three resize modes and the order of steps are those of sd-forge-layerdiffuse.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from protocol.request import Resize

from . import transparency
from .padding import grey_composite
from .sizes import Working

Picture = NDArray[np.float32]


def condition(rgba: NDArray[np.uint8], working: Working, mode: Resize) -> Tensor:
    """What the model is shown of a foreground, background or blend.

    Args:
        rgba: straight ``[H, W, 4]`` of any size; composed over mid-grey.
        working: the picture is brought to its box, rounded to whole pixels. It goes on outwards where the working size
            is larger than the box, and is cut where it is smaller.

    Returns:
        RGB ``[1, 3, working.height, working.width]`` float32 in [0, 1]; enlarging may overshoot a little, as it does in
        the reference.
    """
    return _batch(_place(grey_composite(rgba), working, mode))


def encode(vae: Any, picture: Tensor, scaling_factor: float, noise: torch.Generator | None = None) -> Tensor:
    """A condition ``[1, 3, H, W]`` as its latent ``[1, C, H/8, W/8]`` float32, times the scaling factor.

    Args:
        vae: AutoencoderKL, on its device.
        noise: draws from the posterior as Forge does (see `posterior_noise`); without it the posterior's mean is taken.
    """
    mean, std = _posterior(vae, picture * 2 - 1)
    if noise is not None:
        mean = mean + std * torch.randn(mean.shape, generator=noise).to(mean)
    return mean * scaling_factor


def posterior_noise(seed: int) -> torch.Generator:
    """The generator that Forge's posterior samples come from, one draw for foreground, background and blend in turn.

    `seed` is that of the last image of the batch: drawing its noise seeds torch's global generator.
    """
    return torch.Generator().manual_seed((seed + 100_000) % 65_536)


def encode_transparent(
    vae: Any, offset_encoder: nn.Module, rgba: NDArray[np.uint8], working: Working, mode: Resize, scaling_factor: float
) -> Tensor:
    """A picture with alpha, straight ``[H, W, 4]`` of any size, as a transparent latent.

    Placed as in `condition`, its colours weighed by alpha. Returns ``[1, C, working.height/8, working.width/8]``
    float32, times the scaling factor.
    """
    placed = _place_rgba(rgba, working, mode)
    mean, std = _posterior(vae, transparency.vae_input(placed))
    return transparency.encode(offset_encoder, mean, std, placed) * scaling_factor


def resize(picture: Picture, width: int, height: int, mode: Resize) -> Picture:
    """``[H, W, channels]`` float32 to ``[height, width, channels]``.

    Crop and Resize fills the target and cuts evenly what is too much; Resize and Fill fits the picture inside, the rest
    is the median colour of its border. Area averages when it becomes smaller, else Lanczos, not clipped.
    """
    match mode:
        case Resize.JUST_RESIZE:
            return _resample(picture, width, height)
        case Resize.CROP_AND_RESIZE:
            return _crop(picture, width, height)
        case Resize.RESIZE_AND_FILL:
            return _fill(picture, width, height)


def _crop(picture: Picture, width: int, height: int) -> Picture:
    rows, columns = picture.shape[:2]
    if width * rows < height * columns:
        return np.swapaxes(_crop(np.swapaxes(picture, 0, 1), height, width), 0, 1)
    # The rows are too many. They are resampled and cut first: a strip would else become enormous in both directions.
    tall = max(height, round(rows * width / columns))
    top = (tall - height) // 2
    return _resample(_resample(picture, columns, tall)[top:top + height], width, height)


def _fill(picture: Picture, width: int, height: int) -> Picture:
    rows, columns = picture.shape[:2]
    scale = min(width / columns, height / rows)
    inner = _resample(picture, max(1, round(columns * scale)), max(1, round(rows * scale)))
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    filled = np.empty((height, width, picture.shape[2]), np.float32)
    filled[:] = np.median(border, 0)
    top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    filled[top:top + inner.shape[0], left:left + inner.shape[1]] = inner
    return filled


def _resample(picture: Picture, width: int, height: int) -> Picture:
    rows, columns, channels = picture.shape
    if (columns, rows) == (width, height):
        return picture
    method = cv2.INTER_AREA if width * height < columns * rows else cv2.INTER_LANCZOS4
    resized = cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=method)
    return np.asarray(resized, np.float32).reshape(height, width, channels)


def _place(picture: Picture, working: Working, mode: Resize) -> Picture:
    left, top, right, bottom = (round(side) for side in working.box)
    resized = resize(picture, max(1, right - left), max(1, bottom - top), mode)
    rows, columns = (
        (np.arange(size) - start).clip(0, last - 1)
        for size, start, last in zip((working.height, working.width), (top, left), resized.shape, strict=False)
    )
    return resized[rows[:, None], columns]


def _place_rgba(rgba: NDArray[np.uint8], working: Working, mode: Resize) -> NDArray[np.uint8]:
    if rgba.shape[:2] == (working.height, working.width) and working.box == (0, 0, working.width, working.height):
        return rgba
    pixels = np.asarray(rgba / np.float32(255), np.float32)
    pixels[..., :3] *= pixels[..., 3:]
    placed = _place(pixels, working, mode).clip(0, 1)
    placed[..., :3] /= np.maximum(placed[..., 3:], 1 / 255)
    return (placed.clip(0, 1) * 255).round().astype(np.uint8)


def _posterior(vae: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``[1, C, H/8, W/8]`` float32 of ``[1, 3, H, W]`` in [-1, 1]."""
    posterior = vae.encode(pixels.to(vae.device, vae.dtype).contiguous()).latent_dist
    return posterior.mean.float(), posterior.std.float()


def _batch(picture: Picture) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous()
