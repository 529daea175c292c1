"""What can be installed: the files of LayerDiffuse, and a few checkpoints and VAEs that they are known to work with.

Sizes, SHA-256 sums and commits are those that the repositories publish; of every file all three are known, so that
nothing depends on what the hub says on the day. The checkpoints include those of the authors' sanity checks.
"""

from __future__ import annotations

from dataclasses import dataclass

DECODER = "decoder"
ENCODER = "encoder"
"""What stands in the place of a mode for the two parts of the transparent VAE."""
BASE = "checkpoint"
VAE = "vae"
"""What stands in the place of a mode for files that are not of LayerDiffuse."""
FOLDERS = {BASE: "checkpoints", VAE: "vae"}
LAYERS = "layers"
"""Folders in the models' folder."""
PART = ".part"
"""Suffix of a file that has not come whole yet, beside the place where it will be."""
LOCKS = ".locks"
"""Folder beside the files, used while they come."""

RELEASED = "LayerDiffusion/layerdiffusion-v1"
DIFFUSERS = "rootonchair/diffuser_layerdiffuse"
MERGED = "lllyasviel/LayerDiffuse_Diffusers"
FAVOURITES = "lllyasviel/fav_models"
RAIL_M = "CreativeML Open RAIL-M"
LICENCES = {
    RELEASED: RAIL_M,
    DIFFUSERS: "MIT",
    MERGED: "OpenRAIL",
    "animaPencilXL_v100.safetensors": "Fair AI Public License 1.0-SD; see civitai.com/models/261336",
    "juggernautXL_version6Rundiffusion.safetensors": f"{RAIL_M}; not for services that sell generation",
    FAVOURITES: RAIL_M,
    "stabilityai/stable-diffusion-xl-base-1.0": "CreativeML Open RAIL++-M",
    "stable-diffusion-v1-5/stable-diffusion-v1-5": RAIL_M,
    "madebyollin/sdxl-vae-fp16-fix": "MIT",
    "stabilityai/sd-vae-ft-mse-original": "MIT",
}
"""File, or repository → licence of what is taken from it."""
PURPOSES = {
    ("sd15", "transparent_attn"): "transparent objects",
    ("sd15", "joint"): "scenes: object, background and blend at once",
    ("sd15", "fg2bg"): "a background for an object",
    ("sd15", "bg2fg"): "an object on a background",
    ("sdxl", "transparent_attn"): "transparent objects",
    ("sdxl", "transparent_conv"): "transparent objects, the other way",
    ("sdxl", "fg2ble"): "a scene around an object",
    ("sdxl", "bg2ble"): "an object painted into a background",
    ("sdxl", "fgble2bg"): "the background out of a scene",
    ("sdxl", "bgble2fg"): "the object out of a scene",
}
"""(family, mode) → what a layer file is for."""
PART_PURPOSES = {
    DECODER: "alpha from latents; every transparent layer needs it",
    ENCODER: "to start from a transparent layer (refine)",
    BASE: "base model",
    VAE: "for other programs only: here every checkpoint draws with the VAE that is in it",
}
MEMORY = {"sd15": 3_000_000_000, "sdxl": 6_000_000_000}
"""Family → bytes of a graphics card's memory that a job needs at least, reckoned: the UNet in half precision and the
values of one picture, while the other networks wait outside."""
RELEASE = "e337e9d7a0f2a6fee6c3580374327380f88d065b"
"""Commit of `RELEASED` that has the files of both families."""
MERGE = "e76ba7e9031888ee9c2595391f218a69a5cbfc20"
"""Commit of `MERGED` that has all four."""
FAVOURITE = "aec51dc8c93fac62e02d3320ac1187e2cef6f8c4"
"""Commit of `FAVOURITES` that has the three checkpoints."""


@dataclass(frozen=True)
class Entry:
    """One file of a repository on Hugging Face.

    Attributes:
        family: of the base models that it belongs to, ``"sd15"`` or ``"sdxl"``.
        mode: a mode as in `modes`, `DECODER`, `ENCODER`, `BASE` or `VAE`.
        name: of the file, here and there.
        repository: on Hugging Face.
        size: bytes.
        sha256: hexadecimal.
        place: folder in the repository, with a slash at its end; "" is the top.
        revision: a commit or branch of the repository.
    """

    family: str
    mode: str
    name: str
    repository: str
    size: int
    sha256: str
    place: str = ""
    revision: str = "main"

    @property
    def stem(self) -> str:
        """The name without its suffix; of a checkpoint, the model's id."""
        return self.name.removesuffix(".safetensors")

    @property
    def folder(self) -> str:
        """Where it belongs in the models' folder."""
        return FOLDERS.get(self.mode, LAYERS)

    @property
    def licence(self) -> str:
        """Name of the licence, or where to read it."""
        return LICENCES.get(self.name) or LICENCES.get(self.repository, f"see huggingface.co/{self.repository}")

    @property
    def purpose(self) -> str:
        """What it is for, in a few words."""
        return PURPOSES.get((self.family, self.mode)) or PART_PURPOSES[self.mode]

    @property
    def memory(self) -> int:
        """Bytes of a graphics card's memory that a job with it needs at least; 0 when no job uses it."""
        return 0 if self.mode == VAE else MEMORY[self.family]


CATALOGUE = (
    Entry("sd15", "transparent_attn", "layer_sd15_transparent_attn.safetensors", RELEASED, 350_266_608,
          "cc9ee87452bf1ccdd419035bf9618f6bdcaac1a2d3e23694d62e5a9c721da295", revision=RELEASE),
    Entry("sd15", "joint", "layer_sd15_joint.safetensors", RELEASED, 554_404_208,
          "2cc81c33c1a786bdc376c6d1bfb43dbdffda2f610f7c6b4ebd776505a29712bd", revision=RELEASE),
    Entry("sd15", "fg2bg", "layer_sd15_fg2bg.safetensors", RELEASED, 562_982_312,
          "5bade856ec3e55d6ceb0e35bbc97cea7fa4953f7776c8032f2fe52ba740ed580", revision=RELEASE),
    Entry("sd15", "bg2fg", "layer_sd15_bg2fg.safetensors", RELEASED, 562_982_312,
          "8367f976da1cc4275e513c7fb40f977ca312e79e720d7db7ae94978a9359fb62", revision=RELEASE),
    Entry("sd15", DECODER, "layer_sd15_vae_transparent_decoder.safetensors", RELEASED, 208_266_320,
          "6df4712dfbb3783231b22f869a5da5cbfea782ebb05f782bd9e8744bfb0cdf03", revision=RELEASE),
    Entry("sd15", ENCODER, "layer_sd15_vae_transparent_encoder.safetensors", RELEASED, 2_365_008,
          "4c6bd4fa714bcdc83ee73fac9092f0723c5cafc60befccf490c697c0a378725a", revision=RELEASE),
    Entry("sdxl", "transparent_attn", "layer_xl_transparent_attn.safetensors", RELEASED, 743_352_688,
          "b7919c5b4837fb64f24c97a7abdf1a9c6e8d60de080a5dae089dde098266df95", revision=RELEASE),
    Entry("sdxl", "transparent_conv", "layer_xl_transparent_conv.safetensors", RELEASED, 3_619_745_776,
          "5ee958d80dcd515fa7ac915274c536fadd3db5d919adeb5ff45107b6169aacc7", revision=RELEASE),
    Entry("sdxl", "fg2ble", "layer_xl_fg2ble.safetensors", RELEASED, 701_981_624,
          "50a29851ad56308f14d6c9ed375be17df6921efeca240b31f567f6b8c76d1e70", revision=RELEASE),
    Entry("sdxl", "bg2ble", "layer_xl_bg2ble.safetensors", RELEASED, 701_981_624,
          "2901d1353cc4ca763c8bedc48453b36e88680605f417c7f7ec730a7c36845d7c", revision=RELEASE),
    Entry("sdxl", "fgble2bg", "layer_xl_fgble2bg.safetensors", RELEASED, 702_004_664,
          "179a61fdcdb149af1897b2840f24ba09466ab6265b2c792b0e99df557f0439be", revision=RELEASE),
    Entry("sdxl", "bgble2fg", "layer_xl_bgble2fg.safetensors", RELEASED, 3_619_791_856,
          "1688f0c17447f74662686fadd431f24d26a1ba8ffea322c6f56c8b5ed581b78d", revision=RELEASE),
    Entry("sdxl", DECODER, "vae_transparent_decoder.safetensors", RELEASED, 208_266_320,
          "59dc8feefe40d26b6cb7186aed7af70c60d94ac4f9db8ebe7f121a01ba27a2fc", revision=RELEASE),
    Entry("sdxl", ENCODER, "vae_transparent_encoder.safetensors", RELEASED, 2_365_008,
          "47d048bd7c6f873b55d123ff424c0b584bbfb8a666f20aa634336e922f5c821c", revision=RELEASE),
    Entry("sdxl", "transparent_attn", "diffuser_layer_xl_transparent_attn.safetensors", DIFFUSERS, 743_345_968,
          "2626f9aa142f260c12336af754e6003661fbd75c467ecb3906f94783cc2b1b42",
          revision="80d550107b623f72feb93fc2786151d645b59242"),
    Entry("sdxl", "transparent_conv", "diffuser_layer_xl_transparent_conv.safetensors", DIFFUSERS, 3_619_723_136,
          "02ecf860e9052414f400459a6022b0a725e1990d62e2937b3d35bf262fd42e48",
          revision="80d550107b623f72feb93fc2786151d645b59242"),
    Entry("sdxl", "fgble2bg", "diffuser_layer_xl_fgble2bg.safetensors", DIFFUSERS, 701_999_680,
          "0d6ac96e26b4bd26be70d30bebba08e0923b9b824b8114d71af918c394e93fe8",
          revision="ef54801525d473ae80e2cf3eb25d3d34b8c647af"),
    Entry("sdxl", "bgble2fg", "diffuser_layer_xl_bgble2fg.safetensors", DIFFUSERS, 3_619_769_216,
          "e412e0f7bb5dddbf54d699b3b9d32cd91a6ce9ff2f83b99bc36d9fc8d6fdceb4",
          revision="be06e590986aed1c6fc5331e2b95517a86403459"),
    Entry("sdxl", "transparent_attn", "ld_diffusers_sdxl_attn.safetensors", MERGED, 1_910_453_328,
          "22edbe45583644952c1613c6a62eda33503e4c032a8798d0acf198b3ebef2f13", revision=MERGE),
    Entry("sdxl", "transparent_conv", "ld_diffusers_sdxl_conv.safetensors", MERGED, 3_619_723_136,
          "429ab3cccfd920042f2dd2e423475ba43a1dacce387576061fd5fa28b896dc87", revision=MERGE),
    Entry("sdxl", DECODER, "ld_diffusers_sdxl_vae_transparent_decoder.safetensors", MERGED, 208_266_320,
          "59dc8feefe40d26b6cb7186aed7af70c60d94ac4f9db8ebe7f121a01ba27a2fc", revision=MERGE),
    Entry("sdxl", ENCODER, "ld_diffusers_sdxl_vae_transparent_encoder.safetensors", MERGED, 2_365_008,
          "47d048bd7c6f873b55d123ff424c0b584bbfb8a666f20aa634336e922f5c821c", revision=MERGE),
)
"""Every file of LayerDiffuse; of one family and mode the one to install comes first."""

BASES = (
    Entry("sdxl", BASE, "juggernautXL_version6Rundiffusion.safetensors", FAVOURITES, 7_105_348_560,
          "1fe6c7ec54c786040cdabc7b4e89720069d97096922e20d01f13e7764412b47f", "fav/", FAVOURITE),
    Entry("sdxl", BASE, "animaPencilXL_v100.safetensors", FAVOURITES, 6_938_040_682,
          "7ed8da12d980f7ec628af7366ca1d9a85b519793e0cd5c66e05f3bc2a8417279", "fav/", FAVOURITE),
    Entry("sdxl", BASE, "sd_xl_base_1.0.safetensors", "stabilityai/stable-diffusion-xl-base-1.0", 6_938_078_334,
          "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b",
          revision="462165984030d82259a11f4367a4eed129e94a7b"),
    Entry("sd15", BASE, "realisticVisionV51_v51VAE.safetensors", FAVOURITES, 2_132_625_894,
          "15012c538f503ce2ebfc2c8547b268c75ccdaff7a281db55399940ff1d70e21d", "fav/", FAVOURITE),
    Entry("sd15", BASE, "v1-5-pruned-emaonly.safetensors", "stable-diffusion-v1-5/stable-diffusion-v1-5",
          4_265_146_304, "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa",
          revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14"),
    Entry("sdxl", VAE, "sdxl.vae.safetensors", "madebyollin/sdxl-vae-fp16-fix", 334_641_162,
          "235745af8d86bf4a4c1b5b4f529868b37019a10f7c0b2e79ad0abca3a22bc6e1",
          revision="207b116dae70ace3637169f1ddd2434b91b3a8cd"),
    Entry("sd15", VAE, "vae-ft-mse-840000-ema-pruned.safetensors", "stabilityai/sd-vae-ft-mse-original", 334_641_190,
          "735e4c3a447a3255760d7f86845f09f937809baa529c17370d83e4c3758f3c75",
          revision="629b3ad3030ce36e15e70c5db7d91df0d60c627f"),
)
"""Checkpoints and VAEs."""

NAMED = {entry.name: (entry.family, entry.mode) for entry in CATALOGUE} | {
    f"diffuser_layer_xl_{mode}.safetensors": ("sdxl", mode) for mode in ("fg2ble", "bg2ble")
}
"""Name of a layer file → family and mode; also of two that people convert themselves, whose sums nobody publishes."""


def entry(family: str, mode: str) -> Entry:
    """The file to install for a mode, `DECODER` or `ENCODER` of a family. Raises ``KeyError``."""
    for candidate in CATALOGUE:
        if (candidate.family, candidate.mode) == (family, mode):
            return candidate
    raise KeyError((family, mode))


def gigabytes(size: int) -> str:
    """A number of bytes for people, such as ``"3.62 GB"`` or ``"2.4 MB"`` (powers of ten)."""
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
