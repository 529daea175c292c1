"""What clients on other machines are not told: where things lie on this one."""

from __future__ import annotations

import os
import re
from dataclasses import replace

from protocol.errors import LayerDiffusionError
from protocol.job import ModelInfo
from protocol.messages import Diagnostics, Failed, Files, FromServer, Installed, Models, Refused, Welcome
from protocol.private import without_places

from ..models.installed import folder


def discreet(message: FromServer) -> FromServer:
    """The message with the last name alone of each path in a text for people; the models' folder goes by that name."""
    match message:
        case Refused() | Failed() | Installed():
            return replace(message, error=_error(message.error))
        case Models() | Welcome():
            return replace(message, models=tuple(map(_model, message.models)))
        case Files():
            own = tuple(replace(model, place="", note=_text(model.note)) for model in message.models)
            return replace(message, models=own)
        case Diagnostics(report, errors, log):
            told = {name: _text(value) for name, value in report.items()}
            return Diagnostics(told, tuple(map(_text, errors)), tuple(map(_text, log)))
        case _:
            return message


def _error(error: LayerDiffusionError | None) -> LayerDiffusionError | None:
    return error and LayerDiffusionError(error.code, _text(error.message), _text(error.hint))


def _model(model: ModelInfo) -> ModelInfo:
    lacks = {operation: _text(reason) for operation, reason in model.lacks.items()}
    return replace(model, note=_text(model.note), lacks=lacks)


def _text(text: str) -> str:
    root = rf"(?<![\w.~-]){re.escape(os.path.abspath(folder()))}(?![\w-])([\\/]?)"
    return without_places(re.sub(root, lambda found: "" if found[1] else "the models' folder", text))
