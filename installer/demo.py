"""The demonstration: what Krita's docker does, from a terminal. Runs in the environment, started by `installer demo`.

Starts the backend, asks it over the websocket for some objects, and writes them as OpenRaster, PNG and contact sheet.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from backend import outputs
from backend.builtin import CFG
from backend.client import Client, running_backend
from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.job import Box, Layer, LayerSet
from protocol.request import Operation, Request

MODEL = "builtin"
PROMPTS = (
    "a red apple",
    "a wine glass",
    "a butterfly",
    "a soap bubble",
    "an owl",
    "a rocket",
    "a crab",
    "a cactus",
    "a teapot",
    "a balloon",
    "a mushroom",
    "a tropical fish",
)
SIDE = 256
GRID = 2
"""The layers of the OpenRaster file stand in a square of this many rows and columns."""


def arrange(layer_sets: Sequence[LayerSet]) -> LayerSet:
    """Put the first layers of several results side by side, as one result; all requests have one size."""
    request = layer_sets[0].request
    layers: list[Layer] = []
    for index, layer_set in enumerate(layer_sets):
        x, y = index % GRID * request.width, index // GRID * request.height
        box = Box(x, y, request.width, request.height)
        layers.append(dataclasses.replace(layer_set.layers[0], name=layer_set.request.prompt, box=box))
    rows = -(-len(layers) // GRID)
    together = dataclasses.replace(request, width=GRID * request.width, height=rows * request.height)
    return LayerSet(together, tuple(layers), layer_sets[0].made_with)


def main(folder: Path) -> None:
    """Generate and write everything into `folder`. Raises `LayerDiffusionError`."""
    folder.mkdir(parents=True, exist_ok=True)
    print("Starting the backend …", flush=True)
    results = []
    with running_backend() as address, Client(address) as client:
        model = next((model for model in client.models if model.id == MODEL), None)
        if model is None:
            fail(ErrorCode.UNKNOWN_MODEL, "The built-in model is missing.", "Get the project again, complete.")
        for number, prompt in enumerate(PROMPTS, 1):
            print(f"{number:3} / {len(PROMPTS)}  {prompt}", flush=True)
            request = Request(Operation.OBJECT, model.id, prompt, "", SIDE, SIDE, 20, CFG, 2, 1)
            results.append(client.generate(request))
    outputs.write_openraster(arrange(results[: GRID * GRID]), folder / "layers.ora")
    outputs.write_png(results[0].layers[0], folder / "apple.png")
    outputs.contact_sheet(results, folder / "contact-sheet.png")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except LayerDiffusionError as error:
        sys.exit(str(error))
