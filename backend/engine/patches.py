"""Changes of a network's weights: read from a file, merged for a while, taken back bit for bit.

An SDXL layer file of LayerDiffuse is such a patch of the UNet, and so is a LoRA. With W a weight and w what the user
gives the patch,

    W ← W + w·s·(U·D)          low rank, s = alpha / rank, or 1 in files without an alpha
    W ← W + w·Δ                difference

is computed in float32 and rounded once. A difference of the first convolution may have more input channels than the
base model: it grows by zeros, so that w scales the way of the conditions too (grammar and rule of the released files).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.models.layer_files import ATTENTION, Spelling, recognise
from protocol.errors import ErrorCode, fail

from . import ldm, lora_keys
from .checkpoints import WRONG_FILE, read_tensors, wrong_contents

GROWS = "conv_in.weight"
"""The only parameter whose shape a patch may change."""


@dataclass(frozen=True)
class LowRank:
    """A change U·D of a matrix or a convolution.

    Attributes:
        up: U, ``[out, rank]`` or ``[out, rank, 1, 1]``.
        down: D, ``[rank, in]`` or ``[rank, in, kh, kw]``; with `mid` ``[rank, in, 1, 1]``.
        scale: factor of the product.
        mid: ``[rank, rank, kh, kw]``, between U and D of a convolution (LyCORIS), or None.
    """

    up: Tensor
    down: Tensor
    scale: float = 1.0
    mid: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the change."""
        kernel = (self.down if self.mid is None else self.mid).shape[2:]
        return (self.up.shape[0], self.down.shape[1], *kernel)

    def expand(self, place: torch.device) -> Tensor:
        """The whole change, float32."""
        up, down = (x.to(place).float() for x in (self.up, self.down))
        if self.mid is None:
            product = up.flatten(1) @ down.flatten(1)
        else:
            mid = self.mid.to(place).float()
            product = torch.einsum("op,pqhw,qi->oihw", up.flatten(1), mid, down.flatten(1))
        return product.reshape(self.shape).mul_(self.scale)


@dataclass(frozen=True)
class Difference:
    """A change of the parameter's own shape, or a larger one for `GROWS`."""

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the change."""
        return tuple(self.tensor.shape)

    def expand(self, place: torch.device) -> Tensor:
        """The whole change, float32."""
        # Moved before it is widened: half the way from the host's memory.
        return self.tensor.to(place).float()


Delta = LowRank | Difference
Parts = dict[str, Tensor]
"""``up`` and ``down``, perhaps ``alpha`` and ``mid``; or ``diff``."""


@dataclass(frozen=True)
class Patch:
    """Changes of one network.

    Attributes:
        name: of the file, for errors.
        deltas: parameter → change.
        mode: of an SDXL layer file, which then must change all that its mode changes; "" for any other patch.
    """

    name: str
    deltas: Mapping[str, Delta]
    mode: str = ""


Weighted = Sequence[tuple[Patch, float]]
"""Patches of one network with their weights, in the order in which they are added."""


class Applied:
    """Networks with patches merged into them until `restore`; also usable in a ``with`` statement.

    Where several are applied one after the other they must be restored in the opposite order.
    """

    def __init__(self, keep: torch.device | None) -> None:
        self._keep = keep
        self._before: list[tuple[Any, str, Tensor]] = []

    def replace(self, net: Any, name: str, value: Tensor) -> None:
        """Give a parameter another value, remembering its own."""
        own = net.get_parameter(name).data
        self._before.append((net, name, own if self._keep is None else own.to(self._keep)))
        _set(net, name, value)

    def restore(self) -> None:
        """Give every parameter the value it had, bit for bit, where it is now; once only."""
        while self._before:
            net, name, value = self._before.pop()
            _set(net, name, value.to(net.get_parameter(name).device))

    def __enter__(self) -> Applied:
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()


def _set(net: Any, name: str, value: Tensor) -> None:
    net.get_parameter(name).data = value
    if name == GROWS:
        net.conv_in.in_channels = value.shape[1]


def read(path: Path, mode: str, place: torch.device) -> Patch:
    """Read an SDXL layer file in any spelling that `layer_files` knows; its tensors keep their precision.

    Raises:
        LayerDiffusionError: ``missing_file``; ``bad_checkpoint`` when it is no layer file, one of another family or
            mode, or holds something else than its kind should; ``not_finite``.
    """
    found = recognise(path)
    if "sdxl" not in found.families or mode not in found.modes:
        modes, families = " or ".join(found.modes), " or ".join(found.families)
        fail(
            ErrorCode.BAD_CHECKPOINT,
            f"{path.name} is LayerDiffuse's {modes} for {families}, expected {mode} for sdxl.", WRONG_FILE,
        )
    return Patch(path.name, deltas(read_tensors(path, lambda key: key, place, None), found.spelling, path.name), mode)


def deltas(tensors: Mapping[str, Tensor], spelling: Spelling, name: str) -> dict[str, Delta]:
    """Parameter → change, from the tensors of an SDXL layer file. Raises ``bad_checkpoint`` with the file's name."""
    spellings: dict[Spelling, Callable[[str], tuple[str, str] | None]] = {
        Spelling.RELEASED: _released_key, Spelling.KOHYA: _kohya_key, Spelling.DIFFUSERS: lambda key: (key, "diff"),
    }
    parts: dict[str, Parts] = {}
    for key, tensor in tensors.items():
        with wrong_contents(name):
            found = spellings[spelling](key)
        if found is None:
            fail(ErrorCode.BAD_CHECKPOINT, f"{name} holds {key!r:.200}, which no layer file has.", WRONG_FILE)
        parameter, part = found
        parts.setdefault(parameter, {})[part] = tensor
    return assemble(parts, name)


def assemble(parts: Mapping[str, Parts], name: str) -> dict[str, Delta]:
    """Parameter → change, from parameter → part → tensor. Raises ``bad_checkpoint`` when parts lack or do not fit."""
    changes: dict[str, Delta] = {}
    for parameter, own in parts.items():
        if set(own) == {"diff"}:
            changes[parameter] = Difference(own["diff"])
            continue
        if not {"up", "down"} <= set(own) <= {"up", "down", "mid", "alpha"}:
            fail(
                ErrorCode.BAD_CHECKPOINT, f"{name} has {', '.join(sorted(own))} for {parameter:.200}, expected up and "
                "down matrices.", WRONG_FILE,
            )
        up, down, mid = own["up"], own["down"], own.get("mid")
        if not _multiply(up, down, mid) or ("alpha" in own and own["alpha"].numel() != 1):
            fail(
                ErrorCode.BAD_CHECKPOINT, f"{name} has matrices of shapes {tuple(up.shape)} and {tuple(down.shape)} "
                f"for {parameter:.200}, which cannot be multiplied.", WRONG_FILE,
            )
        changes[parameter] = LowRank(up, down, float(own["alpha"]) / len(down) if "alpha" in own else 1.0, mid)
    return changes


def _multiply(up: Tensor, down: Tensor, mid: Tensor | None) -> bool:
    """Whether the matrices have the shapes that `LowRank` says."""
    rank = down.shape[0] if down.ndim in (2, 4) else 0
    inner = (rank, 1, 1) if up.ndim == 4 else (rank,)
    if rank == 0 or tuple(up.shape[1:]) != inner:
        return False
    return mid is None or (mid.ndim == 4 and tuple(mid.shape[:2]) == (rank, rank) and tuple(down.shape[2:]) == (1, 1))


def apply(net: Any, patches: Weighted, keep: torch.device | None = None) -> Applied:
    """Merge patches into one network. Arguments, result and errors as of `apply_to_all`."""
    return apply_to_all([(net, patches)], keep)


@torch.no_grad()
def apply_to_all(changes: Sequence[tuple[Any, Weighted]], keep: torch.device | None = None) -> Applied:
    """Merge patches into networks.

    Args:
        changes: UNet2DConditionModel or text encoder, whose parameters stay the same objects and get new values; and
            patches with their weights, any number. One of weight 0 changes nothing, but still grows the first
            convolution.
        keep: where the values that they replace wait for `Applied.restore`; None leaves them where they are.

    Raises:
        LayerDiffusionError: ``bad_checkpoint`` when a patch does not fit. The networks are then what they were before,
            as after any other exception.
    """
    for net, patches in changes:
        for patch, _ in patches:
            check(patch, net)
    applied = Applied(keep)
    try:
        for net, patches in changes:
            for name in dict.fromkeys(name for patch, _ in patches for name in patch.deltas):
                own = [(patch.deltas[name], weight) for patch, weight in patches if name in patch.deltas]
                if name == GROWS or any(weight for _, weight in own):
                    applied.replace(net, name, _merged(net.get_parameter(name), own))
    except BaseException:
        applied.restore()
        raise
    return applied


def _merged(value: Tensor, changes: Sequence[tuple[Delta, float]]) -> Tensor:
    """A parameter with its changes, in its own precision and as large as the largest of them."""
    total = value.to(torch.promote_types(value.dtype, torch.float32), copy=True)
    for delta, weight in changes:
        shape = _shape_for(delta, total.shape)
        if len(shape) > 1 and shape[1] > total.shape[1]:
            grown = total.new_zeros(shape)
            grown[:, :total.shape[1]] = total
            total = grown
        if weight:
            corner = total if len(shape) < 2 else total[:, :shape[1]]
            corner.add_(delta.expand(total.device).reshape(shape), alpha=weight)
    return total.to(value.dtype)


def _shape_for(delta: Delta, shape: Sequence[int]) -> tuple[int, ...]:
    """The change's shape, with the 1×1 kernel that the parameter has and some trainers leave out, or the converse."""
    own = delta.shape
    if len(shape) == 4 and len(own) == 2:
        return (*own, 1, 1)
    return own[:2] if len(shape) == 2 and own[2:] == (1, 1) else own


def check(patch: Patch, net: Any) -> None:
    """Raise ``bad_checkpoint`` unless the patch fits the network."""
    kind, parameters = type(net).__name__, dict(net.named_parameters())
    unknown = [name for name in patch.deltas if name not in parameters]
    missing = [name for name in parameters if _belongs(name, patch.mode) and name not in patch.deltas]
    for what, names in (("changes weights that are not there", unknown), ("lacks changes of weights", missing)):
        if names:
            fail(
                ErrorCode.BAD_CHECKPOINT, f"{patch.name} does not fit the {kind}: it {what}, {len(names)} in all, the "
                f"first is {names[0]:.200}.", WRONG_FILE,
            )
    for name, delta in patch.deltas.items():
        found, expected = _shape_for(delta, parameters[name].shape), tuple(parameters[name].shape)
        grows = name == GROWS and len(found) == 4 and (found[0], *found[2:]) == (expected[0], *expected[2:])
        if found != expected and not grows:
            fail(
                ErrorCode.BAD_CHECKPOINT, f"{patch.name} does not fit the {kind}: {name} has the shape {expected}, its "
                f"change {found}.", WRONG_FILE,
            )


def _belongs(name: str, mode: str) -> bool:
    """Whether a layer file of this mode changes a parameter of the SDXL UNet."""
    if mode in ("", "transparent_attn"):
        return bool(mode and ATTENTION.search(name))
    if name.startswith(("time_embedding.", "add_embedding.")) or name.endswith(
        (".to_q.weight", ".to_k.weight", ".to_v.weight")
    ):
        return False
    return mode in ("transparent_conv", "bgble2fg") or ".attentions." not in name


def _released_key(key: str) -> tuple[str, str] | None:
    """Parameter and part of ``diffusion_model.<LDM name>::<type>::<index>``."""
    name, _, kind = key.partition("::")
    part = {"lora::0": "up", "lora::1": "down", "diff::0": "diff"}.get(kind)
    prefix = "diffusion_model."
    return (ldm.unet_name(name.removeprefix(prefix)), part) if part and name.startswith(prefix) else None


def _kohya_key(key: str) -> tuple[str, str] | None:
    found = lora_keys.parse(key)
    return (found.parameter, found.part) if found else None
