"""What a request uses of a model's files, found before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from protocol.errors import ErrorCode, fail
from protocol.request import Request, Source

from .installed import ModelFiles
from .modes import stages


def needed(request: Request, files: ModelFiles) -> tuple[Path, ...]:
    """The files of LayerDiffuse that a request uses, those of its modes first.

    Raises `LayerDiffusionError`: ``unsupported_operation``; ``missing_file`` naming the first one that is missing.
    """
    given = [picture.source for picture in request.inputs]
    modes = stages(files.info.family, request.operation, request.injection, given)
    if not modes:
        fail(ErrorCode.UNSUPPORTED_OPERATION, f"{files.info.name} cannot do {request.operation.value!r}.")
    used = [files.layer(mode.name) for mode in modes if not mode.alone]
    if any(mode.transparent for mode in modes):
        used.append(files.transparent_decoder())
        if Source.INIT in given:
            used.append(files.transparent_encoder())
    return tuple(used)
