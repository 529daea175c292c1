"""The table of modes: what each layer file of LayerDiffuse makes from what, and which of them do an operation.

The names of modes are those in the released files' names: ``layer_sd15_joint`` is mode ``joint`` of family ``sd15``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protocol.request import Injection, Operation, Role, Sampler, Source


@dataclass(frozen=True)
class Mode:
    """What one layer file does.

    Attributes:
        family: of the base models that it fits.
        name: as in the file's name; "" of the base model alone, which has no file.
        frames: the pictures it makes at once for each image, in the order of the batch's rows. A foreground is a
            transparent picture, everything else an opaque one.
        conditions: the pictures it starts from; in SDXL their latents follow the noise in this order as further
            channels, in SD1.5 there is at most one, which the control encoder reads.
    """

    family: str
    name: str
    frames: tuple[Role, ...]
    conditions: tuple[Role, ...] = ()

    @property
    def alone(self) -> bool:
        """Whether the base model draws alone."""
        return not self.name

    @property
    def transparent(self) -> bool:
        """Whether one of its pictures has alpha."""
        return Role.FOREGROUND in self.frames


_F, _B, _M = Role.FOREGROUND, Role.BACKGROUND, Role.BLEND
MODES = {
    (mode.family, mode.name): mode
    for mode in (
        Mode("sd15", "transparent_attn", (_F,)),
        Mode("sd15", "joint", (_F, _B, _M)),
        Mode("sd15", "fg2bg", (_B, _M), (_F,)),
        Mode("sd15", "bg2fg", (_F, _M), (_B,)),
        Mode("sdxl", "transparent_attn", (_F,)),
        Mode("sdxl", "transparent_conv", (_F,)),
        Mode("sdxl", "fg2ble", (_M,), (_F,)),
        Mode("sdxl", "bg2ble", (_M,), (_B,)),
        Mode("sdxl", "fgble2bg", (_B,), (_F, _M)),
        Mode("sdxl", "bgble2fg", (_F,), (_B, _M)),
    )
}
"""(family, name) → mode, of all layer files."""
ALONE = Mode("sd15", "", (_M,))
"""What SD1.5 blends anew with: it has no layer file that makes a blend of two layers."""

_SD15: dict[Operation, tuple[str, ...]] = {
    Operation.OBJECT: ("transparent_attn",),
    Operation.SCENE: ("joint",),
    Operation.OBJECT_ON_BACKGROUND: ("bg2fg",),
    Operation.BACKGROUND_FOR_OBJECT: ("fg2bg",),
    Operation.REBLEND: ("",),
}
_SDXL: dict[Operation, tuple[str, ...]] = {
    Operation.OBJECT: ("transparent",),
    Operation.SCENE: ("transparent", "fg2ble", "fgble2bg"),
    Operation.OBJECT_ON_BACKGROUND: ("bg2ble", "bgble2fg"),
    Operation.BACKGROUND_FOR_OBJECT: ("fg2ble", "fgble2bg"),
    Operation.BLEND: ("blend",),
    Operation.REBLEND: ("blend",),
    Operation.EXTRACT_FOREGROUND: ("bgble2fg",),
    Operation.EXTRACT_BACKGROUND: ("fgble2bg",),
}
OPERATIONS = {"sd15": _SD15, "sdxl": _SDXL}
"""Family → operation → the modes that do it one after the other; ``transparent`` and ``blend`` stand for a choice."""

CHAINED = {("sdxl", "fgble2bg"): (Sampler.UNIPC, 0.5), ("sdxl", "bgble2fg"): (Sampler.UNIPC, 1.0)}
"""Sampler and stop-at of a mode that goes on from an earlier one of the same job, in place of the request's: the
authors' sanity checks take a picture apart with a sampler other than DPM++, the background with the base model alone in
the second half. As a job of its own the mode obeys the request."""


def stages(
    family: str, operation: Operation, injection: Injection = Injection.ATTENTION, sources: Iterable[Source] = ()
) -> tuple[Mode, ...]:
    """The modes that do an operation one after the other; empty when this family cannot.

    Args:
        family: of the base model.
        operation: what to make.
        injection: SDXL's way to transparency.
        sources: the pictures given, which choose SDXL's way to a blend.
    """
    chosen = {
        "transparent": "transparent_attn" if injection is Injection.ATTENTION else "transparent_conv",
        "blend": "fg2ble" if Source.FOREGROUND in sources else "bg2ble",
    }
    names = OPERATIONS[family].get(operation, ())
    return tuple(MODES[family, chosen.get(name, name)] if name else ALONE for name in names)
