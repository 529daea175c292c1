"""One run of one mode: from prompts and condition pictures to the pictures that the mode makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.models import ModelFiles
from backend.models.modes import Mode
from protocol.errors import ErrorCode, fail
from protocol.job import Phase
from protocol.limits import MAX_SEED
from protocol.request import Decoding, Resize, Role, Sampler

from . import conditions, prompts, tiles, transparency
from .cache import Cache, Loaded
from .denoise import Denoiser, Guide, Limits
from .preview import Previewer, decode_small
from .sampling import Denoiser as Model
from .sampling import sample, stop_sigma
from .sizes import LATENT_CELL, Working
from .way import Way

ROW_PIXELS = 4 * 512 * 512
"""Images go through the UNet together up to so many pixels, counted before guidance doubles them."""

Picture = NDArray[np.float32]
"""Straight RGBA ``[H, W, 4]`` in [0, 1] of the working size."""


@dataclass(frozen=True)
class Texts:
    """Prompts of one stage: the negative one, the positive one, and what is put in its place for single frames."""

    negative: str
    positive: str
    frames: tuple[str | None, ...]


@dataclass(frozen=True)
class Stage:
    """What one run of a mode is told.

    Attributes:
        mode: what is run.
        sampler, steps, cfg, stop_at, weight, decoding: as in `Request`.
        texts: the prompts.
        seeds: of each image's first frame; the frames of an image count on from there.
        working: the size.
        shown: condition pictures of each role, as `conditions.condition` gives them: one for all images, or one for
            each.
        resize: how `init` is brought to the working size.
        init: what the result starts from, straight RGBA uint8 with its role: nothing, one picture for all rows, or one
            for each row. A foreground becomes a transparent latent, the others are drawn over grey.
        strength: as in `Request`.
    """

    mode: Mode
    sampler: Sampler
    steps: int
    cfg: float
    stop_at: float
    weight: float
    decoding: Decoding
    texts: Texts
    seeds: Sequence[int]
    working: Working
    shown: Mapping[Role, Sequence[Tensor]]
    resize: Resize
    init: Sequence[tuple[Role, NDArray[np.uint8]]] = ()
    strength: float = 1.0


def run(stage: Stage, loaded: Loaded, files: ModelFiles, cache: Cache, way: Way) -> list[dict[Role, Picture]]:
    """Run a mode: the pictures of each image by role, foregrounds with alpha, others opaque.

    Raises:
        LayerDiffusionError: ``missing_file``, ``bad_checkpoint``, ``not_finite``, ``out_of_memory``.
        Cancelled: the job is to stop.
    """
    channels, control, init = _encode(stage, loaded, files, cache, way)
    guide = _guide(stage, loaded, channels)
    with loaded.device.holding(loaded.base.unet):
        way.check()
        if stage.mode.alone:
            loaded.release()
        else:
            loaded.use_mode(stage.mode, files.layer(stage.mode.name), stage.weight)
        try:
            latents = _denoise(stage, loaded, files, cache, guide, control, init, way)
        finally:
            if loaded.attached is not None:
                loaded.attached.set_control(None)
            if loaded.device.offload:
                loaded.release()
    return _decode(stage, latents, loaded, files, cache, way)


def _encode(
    stage: Stage, loaded: Loaded, files: ModelFiles, cache: Cache, way: Way
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Latents of the conditions ``[1 or B, n·C, h, w]``, the control picture ``[1, 3, H, W]``, the initial
    latents ``[1 or B·f, C, h, w]``."""
    roles = stage.mode.conditions if stage.weight else ()
    count = max((len(stage.shown[role]) for role in roles), default=1)
    total = count * len(roles) + len(stage.init)
    pictures = [stage.shown[role] for role in roles]
    if stage.mode.family == "sd15" and not stage.init:
        return None, pictures[0][0] if pictures else None, None
    base, done = loaded.base, 0
    with loaded.device.holding(base.vae):
        vae = tiles.vae(base.vae, loaded.device.frugal)
        latents: list[list[Tensor]] = []
        for shown in pictures if stage.mode.family == "sdxl" else ():
            latents.append([])
            for picture in shown:
                way.at(Phase.ENCODING, done, total)
                latents[-1].append(conditions.encode(vae, picture, base.scaling_factor))
                done += 1
        inits = []
        for role, given in stage.init:
            way.at(Phase.ENCODING, done, total)
            done += 1
            if role is Role.FOREGROUND:
                encoder = cache.encoder(files.transparent_encoder(), loaded.device)
                with loaded.device.holding(encoder):
                    inits.append(conditions.encode_transparent(
                        vae, encoder, given, stage.working, stage.resize, base.scaling_factor
                    ))
            else:
                picture = conditions.condition(given, stage.working, stage.resize)
                inits.append(conditions.encode(vae, picture, base.scaling_factor))
    channels = None
    if latents:
        joined = [torch.cat(one).expand(count, -1, -1, -1) for one in latents]
        channels = finite(torch.cat(joined, 1), loaded, "reading the layers that the result starts from")
    control = pictures[0][0] if pictures and stage.mode.family == "sd15" else None
    return channels, control, torch.cat(inits) if inits else None


def _guide(stage: Stage, loaded: Loaded, channels: Tensor | None) -> Guide:
    texts = stage.texts
    own = [text for text in texts.frames if text is not None]
    negative = loaded.encode([texts.negative], negative=True)[0]
    positive, *others = loaded.encode([texts.positive, *own])
    contexts = iter(others)
    return Guide(
        negative, positive, stage.cfg,
        [next(contexts).context if text is not None else None for text in texts.frames], channels,
        prompts.time_ids(stage.working.height, stage.working.width) if stage.mode.family == "sdxl" else None,
    )


def _denoise(
    stage: Stage, loaded: Loaded, files: ModelFiles, cache: Cache, guide: Guide, control: Tensor | None,
    init: Tensor | None, way: Way,
) -> Tensor:
    """Scaled latents ``[B·f, C, h, w]`` float32; every picture's noise comes from its own seed, so that a batch equals
    its images made alone."""
    unet, frames, working = loaded.base.unet, len(stage.mode.frames), stage.working
    attached = loaded.attached
    if attached is not None:
        attached.set_control(control.to(loaded.device.place) if control is not None else None)
    together = 1 if loaded.device.frugal else max(1, ROW_PIXELS // (working.width * working.height) // frames)
    denoise = Denoiser(
        unet, guide, Limits(together * frames, both=not loaded.device.frugal), way.check, attached,
        stop_sigma(stage.stop_at), loaded.release,
    )
    seeds = [(seed + frame) % (MAX_SEED + 1) for seed in stage.seeds for frame in range(frames)]
    latents = sample(
        stage.sampler, _shown(denoise, stage, loaded, files, cache, way), seeds,
        (loaded.base.vae.config.latent_channels, working.height // LATENT_CELL, working.width // LATENT_CELL),
        stage.steps, loaded.device.place, lambda step, total: way.at(Phase.DENOISING, step, total),
        init=init, strength=stage.strength,
    )
    return finite(latents, loaded, "denoising")


def _shown(denoise: Model, stage: Stage, loaded: Loaded, files: ModelFiles, cache: Cache, way: Way) -> Model:
    """The model, with previews of what it has denoised; none are decoded where networks wait in the host's memory."""
    if way.show is None:
        return denoise
    base, frames = loaded.base, stage.mode.frames
    role = Role.FOREGROUND if Role.FOREGROUND in frames else frames[0]
    row = frames.index(role)
    decode = None
    if not loaded.device.offload:
        decoder = cache.decoder(files.transparent_decoder(), loaded.device) if role is Role.FOREGROUND else None
        decode = partial(decode_small, base.vae, decoder)
    preview = Previewer(role, stage.steps, stage.working, decode, loaded.previews, way.show)

    def model(x: Tensor, sigma: float, time: int) -> Tensor:
        denoised = denoise(x, sigma, time)
        preview.after_step(denoised[row:row + 1] / base.scaling_factor)
        return denoised

    return model


def _decode(
    stage: Stage, latents: Tensor, loaded: Loaded, files: ModelFiles, cache: Cache, way: Way
) -> list[dict[Role, Picture]]:
    frames, base, device = stage.mode.frames, loaded.base, loaded.device
    passes = transparency.passes(stage.decoding) if stage.mode.transparent else 0
    each = len(frames) + passes
    total = len(stage.seeds) * each
    images: list[dict[Role, Picture]] = []
    for image, rows in enumerate(latents.split(len(frames))):
        images.append({})
        done = image * each
        for role, latent in zip(frames, rows, strict=True):
            latent = latent[None] / base.scaling_factor
            way.at(Phase.DECODING, done, total)
            with device.holding(base.vae):
                decoded = tiles.vae(base.vae, device.frugal).decode(latent.to(base.vae.dtype)).sample
            done += 1
            pixels = (finite(decoded, loaded, "decoding").float() / 2 + 0.5).clamp(0, 1)
            if role is Role.FOREGROUND:
                rgba = _transparent(pixels, latent, stage, loaded, files, cache, lambda step, start=done: way.at(
                    Phase.DECODING, start + step, total
                ))
                done += passes
            else:
                rgba = torch.cat([pixels[0], torch.ones_like(pixels[0, :1])])
                rgba = rgba.permute(1, 2, 0).cpu().numpy()
            images[-1][role] = rgba
            if way.show is not None:
                loaded.previews.learn(role, latent, rgba)
    return images


def _transparent(
    pixels: Tensor, latent: Tensor, stage: Stage, loaded: Loaded, files: ModelFiles, cache: Cache,
    before_pass: Callable[[int], None],
) -> Picture:
    device = loaded.device
    decoder = cache.decoder(files.transparent_decoder(), device)
    with device.holding(decoder):
        decoded = transparency.decode(decoder, pixels, latent, before_pass, stage.decoding, device.frugal, device.lanes)
    return transparency.to_rgba(finite(decoded, loaded, "decoding alpha")[0])


def finite(x: Tensor, loaded: Loaded, doing: str) -> Tensor:
    """The tensor, or ``not_finite`` naming what was being done and the likely cause."""
    if not x.isfinite().all():
        precision = str(loaded.device.denoiser).removeprefix("torch.")
        fail(
            ErrorCode.NOT_FINITE, f"The model computed values that are no numbers while {doing}.",
            "Try a lower CFG, fewer LoRAs or another seed; if it stays, the model file is damaged or does not work in "
            f"{precision}: use another file of the model.",
        )
    return x
