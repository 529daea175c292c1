"""Numbers of the shipped files for the model card: the round trip of all icons of the closed list.

python -m backend.builtin.measure --work FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import load_file

from backend.builtin.codec import Codec, report
from backend.builtin.dataset import REGISTRY, fetch, pictures, things
from backend.builtin.export import DECODER, ENCODER, WEIGHTS


def shipped() -> Codec:
    """The codec as it lies in the repository, in float32."""
    codec = Codec()
    folder = WEIGHTS / "model" / "vae"
    codec.vae = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True)
    codec.decoder.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS / DECODER).items()})
    codec.offset.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS / ENCODER).items()})
    return codec


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--registry", default=REGISTRY)
    options = parser.parse_args()
    archive = fetch(options.work, options.registry)
    print(report(shipped(), pictures(archive, [thing.code for thing in things()]).float() / 255))
