"""Numbers of the shipped files for the model card: the round trip of all icons of the closed list.

python -m backend.builtin.measure --work FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from backend.builtin.codec import Codec, report
from backend.builtin.dataset import REGISTRY, fetch, pictures, things
from backend.builtin.export import DECODER, ENCODER, WEIGHTS
from backend.engine.checkpoints import load_decoder, load_encoder


def shipped() -> Codec:
    """The codec as it lies in the repository, in float32."""
    codec = Codec()
    folder = WEIGHTS / "model" / "vae"
    codec.vae = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True)
    place = torch.device("cpu")
    codec.decoder = load_decoder(WEIGHTS / DECODER, place, torch.float32)
    codec.offset = load_encoder(WEIGHTS / ENCODER, place, torch.float32)
    return codec


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--registry", default=REGISTRY)
    options = parser.parse_args()
    archive = fetch(options.work, options.registry)
    print(report(shipped(), pictures(archive, [thing.code for thing in things()]).float() / 255))
