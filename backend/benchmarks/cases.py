"""What is compared: networks of the real topology with random weights, narrow ones unless real sizes are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from backend.engine import conditions, prompts, tiles, transparency
from backend.engine.cache import Cache
from backend.engine.device import Device
from backend.engine.generate import generate
from backend.engine.sharing import SharingLayers, attach
from backend.engine.sizes import LATENT_CELL
from backend.engine.transparency_nets import TransparentDecoder
from backend.engine.way import Show
from backend.models import resolve
from backend.models.installed import BUILTIN
from protocol.job import Thumbnail
from protocol.messages import Preview, build
from protocol.request import Decoding, Operation, Request

from . import naive
from .measure import Comparison

IMAGES = 4
"""Images of a batch that start from one picture."""
TOKENS = 77


@dataclass(frozen=True)
class Sizes:
    """Widths of the networks, and sides in pixels of what they compute."""

    unet: tuple[int, ...]
    text: int
    rank: int
    control: tuple[int, ...]
    vae: tuple[int, ...]
    decoder: tuple[int, ...]
    attention_from: int
    side: int
    large: int


SMALL = Sizes(
    (64, 128, 192, 192), 96, 64, (16, 16, 32, 32, 48, 48, 64, 64), (32, 64, 64, 64), (16, 16, 32, 48, 64, 64, 64), 4,
    side=128, large=512,
)
FULL = Sizes(
    (320, 640, 1280, 1280), 768, 256, (32, 32, 64, 64, 128, 128, 256, 256), (128, 256, 512, 512),
    (32, 32, 64, 128, 256, 512, 512), 4, side=512, large=1024,
)
"""Of Stable Diffusion 1.5 and the released files."""


def comparisons(sizes: Sizes, device: Device) -> Iterator[Comparison]:
    """All comparisons; the networks of each are made when it is asked for."""
    for name, frames, control in (("joint", 3, False), ("foreground to background", 2, True)):
        yield sharing(f"SD1.5 {name}, one step", sizes, device, frames, control)
    yield from decoding(sizes, device)
    yield from prompt(device)
    yield from encoding(sizes, device)
    yield from large(sizes, device)
    yield previews()


def sharing(name: str, sizes: Sizes, device: Device, frames: int, control: bool) -> Comparison:
    """One model call with guidance: LoRAs added to the weights and condition convolved each time, or once."""
    config: dict[str, Any] = dict(
        in_channels=4, out_channels=4, block_out_channels=sizes.unet, layers_per_block=2, attention_head_dim=8,
        cross_attention_dim=sizes.text, down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    )
    plain, attached = (_net(lambda: UNet2DConditionModel(**config), device, device.denoiser) for _ in range(2))
    layers = _net(
        lambda: _lively(SharingLayers.for_unet(plain, sizes.rank, frames, sizes.control if control else None)), device,
        device.denoiser,
    )
    picture = _random(device, 1, 3, sizes.side, sizes.side).sigmoid()
    encoder = layers.kwargs_encoder
    signals = encoder((picture * 2 - 1).to(device.denoiser)) if encoder is not None else {}
    naive.share(plain, layers, signals)
    attach(attached, layers, merge=True).set_control(picture if control else None)
    cells = sizes.side // LATENT_CELL
    x = _random(device, 2 * frames, 4, cells, cells).to(device.denoiser)
    context = _random(device, 2 * frames, TOKENS, sizes.text).to(device.denoiser)
    return Comparison(name, lambda: plain(x, 500, context).sample, lambda: attached(x, 500, context).sample)


def decoding(sizes: Sizes, device: Device) -> Iterator[Comparison]:
    """The transparent decoder's ensemble, and its fast setting."""
    decoder = _net(lambda: TransparentDecoder(sizes.decoder, sizes.attention_from), device, device.decoder)
    pixels = _random(device, 1, 3, sizes.side, sizes.side).sigmoid().to(device.decoder)
    latent = _random(device, 1, 4, sizes.side // LATENT_CELL, sizes.side // LATENT_CELL).to(device.decoder)
    for chosen in Decoding:
        yield Comparison(
            f"transparent decode, {chosen.value}", lambda: naive.ensemble(decoder, pixels, latent),
            lambda chosen=chosen: transparency.decode(decoder, pixels, latent, decoding=chosen),
        )
    passes = [_random(device, 1, 4, sizes.large, sizes.large) for _ in range(8)]
    yield Comparison(
        f"median of eight, {sizes.large} × {sizes.large}", lambda: torch.stack(passes).median(0).values,
        lambda: transparency.lower_median(passes),
    )


def prompt(device: Device) -> Iterator[Comparison]:
    """Prompts of the built-in model, encoded or remembered."""
    files, texts = resolve(BUILTIN), ["a red apple", "bad, ugly"]
    model = Cache().model(files, device, lambda part: None)
    yield Comparison(
        "prompts of a second job", lambda: prompts.encode(texts, model.base)[0].context,
        lambda: model.encode(texts)[0].context,
    )


def encoding(sizes: Sizes, device: Device) -> Iterator[Comparison]:
    """A condition for a batch: once for each image, or once."""
    vae = _vae(sizes, device)
    picture = _random(device, 1, 3, sizes.side, sizes.side).sigmoid()

    def once() -> Tensor:
        return conditions.encode(vae, picture, 1.0)

    yield Comparison(
        f"condition of {IMAGES} images", lambda: torch.cat([once() for _ in range(IMAGES)]),
        lambda: once().expand(IMAGES, -1, -1, -1),
    )


def large(sizes: Sizes, device: Device) -> Iterator[Comparison]:
    """Whole, or in bands of rows."""
    side, cells = sizes.large, sizes.large // LATENT_CELL
    vae, latent = _vae(sizes, device), _random(device, 1, 4, cells, cells)
    banded = tiles.vae(vae, frugal=True)
    coded, pixels = latent.to(device.vae), _random(device, 1, 3, side, side).to(device.vae)
    yield Comparison(
        f"VAE decode in bands, {side} × {side}", lambda: vae.decode(coded).sample, lambda: banded.decode(coded).sample
    )
    yield Comparison(
        f"VAE encode in bands, {side} × {side}", lambda: vae.encode(pixels).latent_dist.mean,
        lambda: banded.encode(pixels).latent_dist.mean,
    )
    decoder = _net(lambda: TransparentDecoder(sizes.decoder, sizes.attention_from), device, device.decoder)
    shown = [x.to(device.decoder) for x in (pixels.float().sigmoid(), latent)]
    yield Comparison(
        f"one transparent pass in bands, {side} × {side}", lambda: decoder(*shown),
        lambda: tiles.transparent(decoder, frugal=True)(shown[0], shown[1]),
    )


def previews() -> Comparison:
    """A job of the built-in model, not watched or watched as the worker sends its previews."""
    files, cache = resolve(BUILTIN), Cache()
    request = Request(Operation.OBJECT, BUILTIN, "a red apple", "", 256, 256, 20, 5.0, 1, 1)

    def send(thumbnail: Thumbnail) -> None:
        build(Preview("job", thumbnail)).encode()

    def job(show: Show | None) -> Tensor:
        [layer] = generate(request, (), files, lambda progress: None, lambda: False, cache, show).layers
        return torch.frombuffer(bytearray(layer.pixels), dtype=torch.uint8)

    job(lambda thumbnail: None)  # from its result the previews of the others come
    return Comparison("20 steps without and with previews", lambda: job(None), lambda: job(send))


def _vae(sizes: Sizes, device: Device) -> Any:
    config: dict[str, Any] = dict(
        in_channels=3, out_channels=3, block_out_channels=sizes.vae, layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )
    return _net(lambda: AutoencoderKL(**config), device, device.vae)


def _net(make: Callable[[], Any], device: Device, dtype: torch.dtype) -> Any:
    """A network in evaluation mode whose random weights are the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Module.to(make(), device.place, dtype).eval().requires_grad_(False)


def _lively(layers: SharingLayers) -> SharingLayers:
    """Units that do something: new ones are the identity."""
    for parameter in layers.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    return layers


def _random(device: Device, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2)).to(device.place)
