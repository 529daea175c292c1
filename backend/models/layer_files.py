"""Which file of LayerDiffuse a safetensors file is, told from the names and shapes of its tensors.

The same weights go about in several spellings (`Spelling`). Of some modes the files are alike in everything but their
values: ``fg2ble`` and ``bg2ble``, SD1.5's ``fg2bg`` and ``bg2fg``, the decoders and encoders of both families. Which of
those a file is, `identity` tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from protocol.errors import ErrorCode, fail

from .catalogue import DECODER, ENCODER
from .header import TensorInfo, read_header

Header = dict[str, TensorInfo]


class Spelling(Enum):
    """How a file names its tensors.

    RELEASED: ``diffusion_model.<LDM name>::lora::0`` (up), ``::lora::1`` (down), ``::diff::0`` (to be added).
    DIFFUSERS: a diffusers parameter's name, to be added to it.
    KOHYA: ``lora_unet_<LDM module, dots as underscores>.lora_up.weight`` and ``.lora_down.weight``.
    MODULE: the state dict of a module: sharing units, decoder, encoder.
    """

    RELEASED = "released"
    DIFFUSERS = "diffusers"
    KOHYA = "kohya"
    MODULE = "module"


@dataclass(frozen=True)
class LayerFile:
    """What a file of LayerDiffuse is.

    Attributes:
        families: of the base models that it belongs to; two where its content does not tell.
        modes: as in `modes`, or `DECODER` or `ENCODER`; two where its content does not tell.
        spelling: how it names its tensors.
        frames: pictures made at once for each image.
        channels: input channels that the UNet has with it; 4 without conditions beside the noise.
    """

    families: tuple[str, ...]
    modes: tuple[str, ...]
    spelling: Spelling
    frames: int = 1
    channels: int = 4


SHARING_MODES = {
    (1, False): ("transparent_attn",), (3, False): ("joint",), (2, True): ("fg2bg", "bg2fg"),
}
"""(frames, has control) of sharing units → modes."""
DELTA_MODES = {
    (4, True): ("transparent_conv",), (8, False): ("fg2ble", "bg2ble"),
    (12, False): ("fgble2bg",), (12, True): ("bgble2fg",),
}
"""(input channels, changes the transformers too) of SDXL deltas → modes."""
CONV_IN = ("diffusion_model.input_blocks.0.0.weight::diff::0", "conv_in.weight")
ATTENTION = re.compile(r"\.attn[12]\.to_(q|k|v|out\.0)\.weight$")
KOHYA_ATTENTION = re.compile(
    r"lora_unet_(input_blocks|middle_block|output_blocks)_\w+_attn[12]_to_(q|k|v|out_0)\.lora_(up|down)\.weight$"
)
EXPECTED = "a layer file, transparent decoder or transparent encoder of LayerDiffuse"


def recognise(path: Path) -> LayerFile:
    """What a file is; reads its header only.

    Raises:
        LayerDiffusionError: ``missing_file``; ``bad_checkpoint`` when it is damaged or nothing of LayerDiffuse.
    """
    found = classify(read_header(path))
    if found is None:
        fail(
            ErrorCode.BAD_CHECKPOINT, f"{path.name} is no file of LayerDiffuse that is known, expected {EXPECTED}.",
            "Install the file again from its original source.",
        )
    return found


def classify(header: Header) -> LayerFile | None:
    """What a file with these tensors is, whatever its name; None when it is nothing of LayerDiffuse."""
    if any(key.startswith("hookers.layers.") for key in header):
        frames = 1 + max((int(m[1]) for key in header if (m := re.search(r"\.to_q_lora\.(\d+)\.", key))), default=-1)
        modes = SHARING_MODES.get((frames, any(".control_convs." in key for key in header)))
        return LayerFile(("sd15",), modes, Spelling.MODULE, frames) if modes else None
    if "latent_conv_in.weight" in header:
        return LayerFile(("sd15", "sdxl"), (DECODER,), Spelling.MODULE)
    if header and all(re.fullmatch(r"blocks\.\d+\.(weight|bias)", key) for key in header):
        return LayerFile(("sd15", "sdxl"), (ENCODER,), Spelling.MODULE)
    return _classify_patch(header)


def _classify_patch(header: Header) -> LayerFile | None:
    """The same for the files that change an SDXL UNet's weights."""
    spelling = _patch_spelling(header)
    if spelling is None:
        return None
    conv_in = next((header[key].shape for key in CONV_IN if key in header), None)
    if conv_in is None:
        modes, channels = ("transparent_attn",), 4
    else:
        channels = conv_in[1] if len(conv_in) == 4 else 0
        modes = DELTA_MODES.get((channels, any(".transformer_blocks." in key for key in header)))
    return LayerFile(("sdxl",), modes, spelling, channels=channels) if modes else None


def _patch_spelling(header: Header) -> Spelling | None:
    if any("::" in key for key in header):
        return Spelling.RELEASED
    if header and all(KOHYA_ATTENTION.match(key) for key in header):
        return Spelling.KOHYA
    # A whole UNet has the same names, but also embeds the time.
    parts = ("conv_in.", "down_blocks.", "mid_block.", "up_blocks.", "conv_norm_out.", "conv_out.")
    if header and all(key.startswith(parts) for key in header):
        if "conv_in.weight" in header or all(ATTENTION.search(key) for key in header):
            return Spelling.DIFFUSERS
    return None
