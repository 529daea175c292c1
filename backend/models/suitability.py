"""Notes on checkpoints with which LayerDiffuse is known to work badly: trained far from the base that it was made for.

Told from what the file's maker wrote into it, and from its name: such checkpoints have the tensors of any other of
their family. What is said of them are the reports of users: lllyasviel/LayerDiffuse issue 12 (Lightning),
lllyasviel/sd-forge-layerdiffuse issue 145 (Illustrious, NoobAI, Animagine).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from protocol.errors import LayerDiffusionError

from .families import SCHEDULER_CONFIG, read_config
from .header import read_metadata

SAYING = (
    "modelspec.title", "modelspec.merged_from", "modelspec.architecture", "ss_base_model_version", "ss_sd_model_name",
    "ss_output_name", "sd_merge_models",
)
"""Metadata in which the name of a checkpoint, or of what it was made from, stands; other keys hold texts and tags."""
PREDICTION = "modelspec.prediction_type"
"""Metadata that say what a checkpoint was trained to predict: ``epsilon``, or ``v`` for velocity."""
DISTILLED = re.compile(r"lightning|turbo|hyper[-_ ]?(sd|xl)|(?<![a-z])(lcm|dmd2)(?![a-z])", re.I)
"""Names of models made to draw in a few steps."""
FEW_STEPS = ("LCMScheduler", "TCDScheduler")
"""Schedulers that only such models come with, in a folder of diffusers."""
KINDS = (
    (DISTILLED,
     "Made for few steps (turbo or lightning): LayerDiffuse gives poor layers with it. Take the ordinary version of "
     "the checkpoint, if need be with a LoRA for few steps."),
    (re.compile(r"illustrious|noob[-_ ]?ai|noob[-_ ]?xl|animagine", re.I),
     "Of the Illustrious, NoobAI or Animagine family: with it LayerDiffuse often gives a tint and no transparency. It "
     "can work when the prompt asks for a plain grey background."),
    (re.compile(r"(?<![a-z])v[-_ ]?pred", re.I),
     "Made to predict velocity, which this program does not: pictures come out wrong. Take the ordinary version of the "
     "checkpoint."),
)
"""What a name says → what to expect."""


def suitability(path: Path) -> str:
    """A note for people on a base model file or folder, "" when nothing speaks against it."""
    if path.is_dir():
        return note({}, " ".join(_folder_names(path)))
    try:
        metadata = read_metadata(path)
    except LayerDiffusionError:
        metadata = {}
    return note(metadata, path.name)


def note(metadata: Mapping[str, str], name: str) -> str:
    """As `suitability`, for the metadata and the name of a file."""
    said = " ".join([name, *(metadata.get(key, "") for key in SAYING)])
    if metadata.get(PREDICTION, "").lower().startswith("v"):
        said += " v-pred"
    return " ".join(text for pattern, text in KINDS if pattern.search(said))


def _folder_names(folder: Path) -> Iterator[str]:
    """Names of a folder of diffusers, and of what it was made from."""
    folder = folder.absolute()
    # In the hub's cache, models--owner--name/snapshots/commit, its own name says nothing.
    yield folder.parts[-3].split("--")[-1] if folder.parent.name == "snapshots" else folder.name
    for place, name in ((folder, "model_index.json"), (folder / "unet", "config.json")):
        yield Path(str(_config(place, name).get("_name_or_path", ""))).name
    if _config(folder / "scheduler", SCHEDULER_CONFIG).get("_class_name") in FEW_STEPS:
        yield "lcm"


def _config(folder: Path, name: str) -> dict[str, Any]:
    try:
        return read_config(folder, name)
    except LayerDiffusionError:
        return {}
