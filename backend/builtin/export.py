"""At the end: write the trained networks as the files that the backend loads, in float16.

    python -m backend.builtin.export --work FOLDER [--to backend/builtin/weights]

``model/`` is an ordinary diffusers folder; the layer files have the released key grammar and names.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTokenizer

from backend.builtin import scenes
from backend.builtin.codec import Codec
from backend.builtin.dataset import LIST_FILE, OBJECTS_FILE
from backend.builtin.loop import trained
from backend.builtin.material import FRAMES
from backend.builtin.unet import Painter

WEIGHTS = Path(__file__).with_name("weights")
LAYERS = {mode: f"layer_sd15_{mode}.safetensors" for mode in FRAMES}
DECODER = "layer_sd15_vae_transparent_decoder.safetensors"
ENCODER = "layer_sd15_vae_transparent_encoder.safetensors"
MEGABYTES_ALLOWED = 35


def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same state dict in float16; a value outside its range is an error."""
    out = {key: value.half().contiguous() for key, value in state.items()}
    wrong = [key for key, value in out.items() if not value.isfinite().all()]
    if wrong:
        raise RuntimeError(f"not finite in float16: {wrong[:3]}")
    return out


def known() -> Iterator[dict]:
    """What the model can be asked for, as the docker offers it: things, then places."""
    yield from json.loads(LIST_FILE.read_text("utf-8"))
    for scene in scenes.SCENES:
        name, *synonyms = scene.names
        yield {"name": name, "group": "place", "synonyms": synonyms}


def export(work: Path, target: Path) -> None:
    """Write ``polish.pt``, ``unet.pt`` and the modes' units of the work folder to the target folder."""
    codec = Codec()
    codec.load_state_dict(trained(work / "polish.pt"))
    codec.vae.register_to_config(scaling_factor=1.0)
    tokenizer = CLIPTokenizer.from_pretrained(str(work / "tokenizer"))
    painter = Painter(tokenizer)
    painter.load_state_dict(trained(work / "unet.pt"))
    model = target / "model"
    for part, module in (("vae", codec.vae), ("unet", painter.unet), ("text_encoder", painter.text)):
        half(module.state_dict())
        module.half().save_pretrained(model / part, safe_serialization=True)
    shutil.copytree(work / "tokenizer", model / "tokenizer", dirs_exist_ok=True)
    index = {
        "_class_name": "StableDiffusionPipeline",
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (model / "model_index.json").write_text(json.dumps(index, indent=1), "utf-8")
    for mode, name in LAYERS.items():
        save_file(half(trained(work / f"{mode}.pt")), target / name)
    save_file(half(codec.decoder.state_dict()), target / DECODER)
    save_file(half(codec.offset.state_dict()), target / ENCODER)
    if target == WEIGHTS:
        OBJECTS_FILE.write_text(json.dumps(list(known()), indent=0, ensure_ascii=False) + "\n", "utf-8")
    size = sum(file.stat().st_size for file in target.rglob("*.safetensors")) / 1e6
    print(f"{size:.1f} MB of weights in {target}")
    if size > MEGABYTES_ALLOWED:
        raise RuntimeError(f"more than the {MEGABYTES_ALLOWED} MB that the repository has room for")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--to", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    export(options.work, options.to)
