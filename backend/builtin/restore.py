"""A work folder made from weights that were exported: to measure them, to draw from them, or to train them on.

    python -m backend.builtin.restore --work FOLDER [--weights backend/builtin/weights]

The clocks of its stages stand at zero and their optimizers are new; the stages that make latents and triples make
them again from the codec. The classifier is not part of the weights: its stage trains it in minutes.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from safetensors.torch import load_file
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from backend.builtin.export import LAYERS, WEIGHTS
from backend.builtin.loop import save_atomically
from backend.builtin.roundtrip import shipped
from backend.builtin.unet import Painter
from backend.engine.sharing_units import SharingLayers


def state_of(module: nn.Module) -> dict[str, object]:
    """What `loop.run` goes on from, in float32, before its first step."""
    weights = {key: value.detach().float() for key, value in module.state_dict().items()}
    return {"model": weights, "shadow": weights, "step": 0, "seconds": 0.0}


def restore(weights: Path, work: Path) -> None:
    """Write the states of all stages but the classifier's to the work folder, which must hold none yet."""
    if work.exists() and any(work.glob("*.pt")):
        raise FileExistsError(f"{work} holds training states already; choose another folder")
    work.mkdir(parents=True, exist_ok=True)
    shutil.copytree(weights / "model" / "tokenizer", work / "tokenizer", dirs_exist_ok=True)
    codec = shipped(weights)
    save_atomically(work / "codec_white.pt", codec=codec.state_dict())
    for stage in ("codec", "polish"):
        save_atomically(work / f"{stage}.pt", **state_of(codec))
    painter = Painter(CLIPTokenizer.from_pretrained(str(work / "tokenizer")))
    painter.unet.load_state_dict(load_file(weights / "model" / "unet" / "diffusion_pytorch_model.safetensors"))
    painter.text = CLIPTextModel.from_pretrained(weights / "model" / "text_encoder", local_files_only=True)
    save_atomically(work / "unet.pt", **state_of(painter))
    for mode, name in LAYERS.items():
        save_atomically(work / f"{mode}.pt", **state_of(SharingLayers.from_state_dict(load_file(weights / name))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    try:
        restore(options.weights, options.work)
    except OSError as error:
        parser.error(str(error))
