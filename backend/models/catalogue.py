"""The files of LayerDiffuse that were released, and those converted for diffusers: where they come from, what they are.

Sizes and SHA-256 sums are those that the repositories publish; what is not published there in full is None.
"""

from __future__ import annotations

from dataclasses import dataclass

DECODER = "decoder"
ENCODER = "encoder"
"""What stands in the place of a mode for the two parts of the transparent VAE."""
RELEASED = "LayerDiffusion/layerdiffusion-v1"
DIFFUSERS = "rootonchair/diffuser_layerdiffuse"
MERGED = "lllyasviel/LayerDiffuse_Diffusers"


@dataclass(frozen=True)
class Entry:
    """One file of a repository on Hugging Face.

    Attributes:
        family: of the base models that it belongs to, ``"sd15"`` or ``"sdxl"``.
        mode: a mode as in `modes`, `DECODER` or `ENCODER`.
        name: of the file.
        repository: on Hugging Face.
        size: bytes.
        sha256: hexadecimal.
    """

    family: str
    mode: str
    name: str
    repository: str = RELEASED
    size: int | None = None
    sha256: str | None = None


CATALOGUE = (
    Entry("sd15", "transparent_attn", "layer_sd15_transparent_attn.safetensors", RELEASED, 350_266_608,
          "cc9ee87452bf1ccdd419035bf9618f6bdcaac1a2d3e23694d62e5a9c721da295"),
    Entry("sd15", "joint", "layer_sd15_joint.safetensors", RELEASED, 554_404_208,
          "2cc81c33c1a786bdc376c6d1bfb43dbdffda2f610f7c6b4ebd776505a29712bd"),
    Entry("sd15", "fg2bg", "layer_sd15_fg2bg.safetensors", RELEASED, 562_982_312,
          "5bade856ec3e55d6ceb0e35bbc97cea7fa4953f7776c8032f2fe52ba740ed580"),
    Entry("sd15", "bg2fg", "layer_sd15_bg2fg.safetensors", RELEASED, 562_982_312,
          "8367f976da1cc4275e513c7fb40f977ca312e79e720d7db7ae94978a9359fb62"),
    Entry("sd15", DECODER, "layer_sd15_vae_transparent_decoder.safetensors", RELEASED, 208_266_320,
          "6df4712dfbb3783231b22f869a5da5cbfea782ebb05f782bd9e8744bfb0cdf03"),
    Entry("sd15", ENCODER, "layer_sd15_vae_transparent_encoder.safetensors", RELEASED, None,
          "4c6bd4fa714bcdc83ee73fac9092f0723c5cafc60befccf490c697c0a378725a"),
    Entry("sdxl", "transparent_attn", "layer_xl_transparent_attn.safetensors", RELEASED, 743_352_688,
          "b7919c5b4837fb64f24c97a7abdf1a9c6e8d60de080a5dae089dde098266df95"),
    Entry("sdxl", "transparent_conv", "layer_xl_transparent_conv.safetensors", RELEASED, 3_619_745_776,
          "5ee958d80dcd515fa7ac915274c536fadd3db5d919adeb5ff45107b6169aacc7"),
    Entry("sdxl", "fg2ble", "layer_xl_fg2ble.safetensors", RELEASED, 701_981_624,
          "50a29851ad56308f14d6c9ed375be17df6921efeca240b31f567f6b8c76d1e70"),
    Entry("sdxl", "bg2ble", "layer_xl_bg2ble.safetensors", RELEASED, 701_981_624,
          "2901d1353cc4ca763c8bedc48453b36e88680605f417c7f7ec730a7c36845d7c"),
    Entry("sdxl", "fgble2bg", "layer_xl_fgble2bg.safetensors", RELEASED, 702_004_664,
          "179a61fdcdb149af1897b2840f24ba09466ab6265b2c792b0e99df557f0439be"),
    Entry("sdxl", "bgble2fg", "layer_xl_bgble2fg.safetensors", RELEASED, 3_619_791_856,
          "1688f0c17447f74662686fadd431f24d26a1ba8ffea322c6f56c8b5ed581b78d"),
    Entry("sdxl", DECODER, "vae_transparent_decoder.safetensors", RELEASED, 208_266_320,
          "59dc8feefe40d26b6cb7186aed7af70c60d94ac4f9db8ebe7f121a01ba27a2fc"),
    Entry("sdxl", ENCODER, "vae_transparent_encoder.safetensors", RELEASED, None,
          "47d048bd7c6f873b55d123ff424c0b584bbfb8a666f20aa634336e922f5c821c"),
    Entry("sdxl", "transparent_attn", "diffuser_layer_xl_transparent_attn.safetensors", DIFFUSERS, 743_345_968),
    Entry("sdxl", "transparent_conv", "diffuser_layer_xl_transparent_conv.safetensors", DIFFUSERS, 3_619_723_136),
    Entry("sdxl", "fg2ble", "diffuser_layer_xl_fg2ble.safetensors", DIFFUSERS),
    Entry("sdxl", "bg2ble", "diffuser_layer_xl_bg2ble.safetensors", DIFFUSERS),
    Entry("sdxl", "fgble2bg", "diffuser_layer_xl_fgble2bg.safetensors", DIFFUSERS, 701_999_680),
    Entry("sdxl", "bgble2fg", "diffuser_layer_xl_bgble2fg.safetensors", DIFFUSERS, 3_619_769_216),
    Entry("sdxl", "transparent_attn", "ld_diffusers_sdxl_attn.safetensors", MERGED, 1_910_453_328),
    Entry("sdxl", "transparent_conv", "ld_diffusers_sdxl_conv.safetensors", MERGED, 3_619_723_136,
          "429ab3cccfd920042f2dd2e423475ba43a1dacce387576061fd5fa28b896dc87"),
    Entry("sdxl", DECODER, "ld_diffusers_sdxl_vae_transparent_decoder.safetensors", MERGED, 208_266_320,
          "59dc8feefe40d26b6cb7186aed7af70c60d94ac4f9db8ebe7f121a01ba27a2fc"),
    Entry("sdxl", ENCODER, "ld_diffusers_sdxl_vae_transparent_encoder.safetensors", MERGED, None,
          "47d048bd7c6f873b55d123ff424c0b584bbfb8a666f20aa634336e922f5c821c"),
)
"""Every file; of one family and mode the one to install comes first."""

BY_NAME = {entry.name: entry for entry in CATALOGUE}


def entry(family: str, mode: str) -> Entry:
    """The file to install for a mode, `DECODER` or `ENCODER` of a family. Raises ``KeyError``."""
    for candidate in CATALOGUE:
        if (candidate.family, candidate.mode) == (family, mode):
            return candidate
    raise KeyError((family, mode))
