"""From what the fields say to a request, without Qt."""

from __future__ import annotations

from .notices import Trouble
from .operations import BUILTIN, Task
from .protocol.request import Input, Request
from .settings import Settings
from .styles import Style
from .translation import tr


def request(
    settings: Settings, task: Task, style: Style, size: tuple[int, int], inputs: tuple[Input, ...]
) -> Request:
    """Return the request for a task at a size (width, height) in pixels, with these pictures, in a style's words.

    Raises `Trouble` when there is nothing to go by, `LayerDiffusionError` when a value is out of range.
    """
    prompts = {f"{role.value}_prompt": getattr(settings, f"{role.value}_prompt") for role in task.prompted}
    if not any(words.strip() for words in (settings.prompt, *prompts.values())) and not task.promptless:
        raise Trouble(tr("The prompt is empty."), tr("Type what should appear, for example: a red apple."))
    strength = settings.strength if task.refines else settings.reblend_strength if task.reblends else 1.0
    prompt, negative = style.prompts(settings.prompt, settings.negative)
    return Request(
        operation=task.operation,
        model=settings.model or BUILTIN,  # before the backend has said which ones it has
        prompt=prompt,
        negative=negative,
        width=size[0],
        height=size[1],
        steps=settings.steps,
        cfg=settings.cfg,
        seed=settings.seed,
        batch=settings.batch,
        sampler=settings.sampler,
        injection=settings.injection,
        weight=settings.weight,
        stop_at=settings.stop_at,
        strength=strength,
        decoding=settings.decoding,
        inputs=inputs,
        **prompts,
    )
