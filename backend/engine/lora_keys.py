"""The names of low-rank tensors in files of several trainers → network, parameter and part.

kohya's scripts join everything with underscores, with the blocks of either naming
(``lora_unet_input_blocks_4_1_…``, ``lora_unet_down_blocks_1_attentions_0_…``, ``lora_te1_text_model_…``); diffusers and
PEFT keep the dots (``unet.down_blocks.1.….to_q.lora_A.weight``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import ldm

UNET = "unet"
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
PREFIXES = {
    "lora_unet_": UNET, "lora_te_": TEXT_ENCODERS[0], "lora_te1_": TEXT_ENCODERS[0], "lora_te2_": TEXT_ENCODERS[1],
    "unet.": UNET, "text_encoder.": TEXT_ENCODERS[0], "text_encoder_2.": TEXT_ENCODERS[1], "base_model.model.": UNET,
}
PARTS = {
    ".lora_up.weight": "up", ".lora_down.weight": "down", ".lora_mid.weight": "mid", ".alpha": "alpha",
    ".lora_B.weight": "up", ".lora_A.weight": "down", ".lora.up.weight": "up", ".lora.down.weight": "down",
    "_lora.up.weight": "up", "_lora.down.weight": "down",
    ".lora_linear_layer.up.weight": "up", ".lora_linear_layer.down.weight": "down",
}
"""End of a tensor's name → what it is. With ``_lora`` the layer's own name comes before, as in ``to_q_lora``."""
WORDS = (
    "input_blocks", "middle_block", "output_blocks", "down_blocks", "mid_block", "up_blocks", "transformer_blocks",
    "to_q", "to_k", "to_v", "to_out", "proj_in", "proj_out", "in_layers", "out_layers", "emb_layers",
    "skip_connection", "conv_in", "conv_out", "conv_shortcut", "time_emb_proj", "time_embed", "label_emb",
    "time_embedding", "add_embedding", "linear_1", "linear_2", "text_model", "self_attn", "q_proj", "k_proj", "v_proj",
    "out_proj", "text_projection",
)
"""Parts of module names that hold an underscore of their own."""
LDM_BLOCKS = ("input_blocks.", "middle_block.", "output_blocks.", "time_embed.", "label_emb.", "out.")
_WORD = re.compile(rf"(?<![^.])({'|'.join(word.replace('_', '[.]') for word in WORDS)})(?![^.])")


@dataclass(frozen=True)
class LoraKey:
    """What one tensor is.

    Attributes:
        net: `UNET` or one of `TEXT_ENCODERS`.
        parameter: name of the weight that it changes, in diffusers' and transformers' naming.
        part: ``"up"``, ``"down"``, ``"mid"`` or ``"alpha"``.
    """

    net: str
    parameter: str
    part: str


def parse(key: str) -> LoraKey | None:
    """What the tensor of this name is, or None when it is none of a LoRA."""
    end = next((end for end in PARTS if key.endswith(end)), None)
    if end is None:
        return None
    name = key.removesuffix(end)
    prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), "")
    module = name.removeprefix(prefix)
    if prefix.startswith("lora_"):
        module = _WORD.sub(lambda match: match[0].replace(".", "_"), module.replace("_", "."))
    module = re.sub(r"\.processor\.(to_\w+)$", r".\1", module)
    module = re.sub(r"\.to_out$", ".to_out.0", module)
    parameter = module + ".weight"
    if parameter.startswith(LDM_BLOCKS):
        parameter = ldm.unet_name(parameter)
    return LoraKey(PREFIXES.get(prefix, UNET), parameter, PARTS[end])
