"""What the operation selector offers, in a person's words, and what each entry needs."""

from __future__ import annotations

from dataclasses import dataclass

from .protocol.job import ModelInfo
from .protocol.request import Operation, Role, Source
from .translation import mark, told, tr

BUILTIN = "builtin"
"""Id of the model that is there without a download."""


@dataclass(frozen=True)
class Task:
    """One entry of the selector.

    Attributes:
        id: as settings remember it.
        operation: what the backend is asked for.
        name, button, about: its name, what Generate says, and a sentence for the tooltip; marked for translation.
        refines: whether it starts from a layer that is drawn anew: `Source.INIT`.
    """

    id: str
    operation: Operation
    name: str
    button: str
    about: str
    refines: bool = False

    @property
    def reblends(self) -> bool:
        """Whether it starts from its layers as Krita shows them over each other: `Source.INIT` as well."""
        return self.operation is Operation.REBLEND

    @property
    def ways(self) -> tuple[tuple[Source, ...], ...]:
        """The sets of layers it can start from, each in the order of the pickers; one of them is to be chosen."""
        if self.reblends:
            return ((Source.FOREGROUND, Source.BACKGROUND),)
        init = (Source.INIT,) if self.refines else ()
        return tuple(tuple(source for source in Source if source in need) + init for need in self.operation.needs)

    @property
    def promptless(self) -> bool:
        """Whether everything it needs is in its pictures, so that it can do without a prompt."""
        return self.reblends or self.operation in (Operation.EXTRACT_FOREGROUND, Operation.EXTRACT_BACKGROUND)

    @property
    def prompted(self) -> tuple[Role, ...]:
        """The layers that take a prompt of their own, topmost first; none when there is only one layer."""
        makes = self.operation.makes
        return tuple(role for role in (Role.FOREGROUND, Role.BACKGROUND, Role.BLEND) if role in makes and makes[1:])


TASKS = (
    Task(
        "object", Operation.OBJECT, mark("Object"), mark("Generate object"),
        mark("A new layer with transparency, from the prompt alone."),
    ),
    Task(
        "object_on_background", Operation.OBJECT_ON_BACKGROUND, mark("Object on background"),
        mark("Generate object on background"), mark("A new layer with transparency that fits into a background."),
    ),
    Task(
        "background_for_object", Operation.BACKGROUND_FOR_OBJECT, mark("Background for object"),
        mark("Generate background"), mark("A background for a layer that has transparency."),
    ),
    Task(
        "scene", Operation.SCENE, mark("Scene"), mark("Generate scene"),
        mark("Foreground, background and how they look together, from the prompt alone."),
    ),
    Task(
        "blend", Operation.BLEND, mark("Blend"), mark("Generate blend"),
        mark("A picture of a foreground with a new background, or of a background with a new object."),
    ),
    Task(
        "extract_foreground", Operation.EXTRACT_FOREGROUND, mark("Extract foreground"), mark("Extract foreground"),
        mark("The object alone, with transparency, from a background and a picture of both."),
    ),
    Task(
        "extract_background", Operation.EXTRACT_BACKGROUND, mark("Extract background"), mark("Extract background"),
        mark("What is behind an object, from the object and a picture of both."),
    ),
    Task(
        "refine", Operation.OBJECT, mark("Refine"), mark("Refine layer"),
        mark("A layer with transparency drawn anew, as far as Strength says."), refines=True,
    ),
    Task(
        "reblend", Operation.REBLEND, mark("Re-blend"), mark("Re-blend"),
        mark("The layers as they lie over each other now, drawn together anew, as far as Strength says."),
    ),
)  # fmt: skip
BY_ID = {task.id: task for task in TASKS}

SOURCES = {
    Source.FOREGROUND: mark("Foreground"),
    Source.BACKGROUND: mark("Background"),
    Source.BLEND: mark("Blend"),
    Source.INIT: mark("Layer"),
}
"""What the pickers are called; of roles the layers' prompts."""


def task_for(operation: Operation) -> Task:
    """Return the entry that asks for an operation alone."""
    return next(task for task in TASKS if task.operation is operation)


def name_of(model: ModelInfo) -> str:
    """Return a model's name, in the person's language where it is not that of a file."""
    return told(model.name) if model.id == BUILTIN else model.name


def why_not(task: Task, model: ModelInfo | None) -> str:
    """Return why a model cannot do a task, in the person's language; "" when it can, or while no model is known."""
    if model is None or task.operation in model.operations:
        return ""
    lack = model.lacks.get(task.operation.value)
    if lack is None:
        return tr("{model} cannot do this: models of its kind have no such mode.", model=name_of(model))
    return tr("{model} cannot do this.", model=name_of(model)) + " " + told(f"{lack}.")
