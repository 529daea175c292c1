"""Prompts: emphasis, chunks of 75 tokens, and the text encoder's reading of them.

The rules are those that people know from AUTOMATIC1111's and Forge's web interfaces ("Original" emphasis, comma
backtrack 20, clip skip 1), so that a prompt from there means the same here.

Stable Diffusion 1.5 reads CLIP-L's last hidden state, after the final LayerNorm. SDXL (Podell et al. 2023, section 2.1)
reads the last hidden state but one of CLIP-L and of OpenCLIP's bigG, without a LayerNorm, and bigG's projected feature
of the whole text beside it.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from torch import Tensor

from backend.models.families import read_config
from protocol.errors import ErrorCode, fail

if TYPE_CHECKING:
    from .checkpoints import BaseModel

CHUNK = 75
"""Tokens of a prompt that one pass of the text encoder reads, between begin and end."""
COMMA_BACKTRACK = 20
"""A chunk that is full is broken after its last comma, if that is among so many tokens at its end."""
EMPHASIS = 1.1
BREAK = -1.0
"""Weight of the word that starts a new chunk."""
MAX_REPEATS = 4
"""As in Forge."""
OPEN_CLIP_PAD = 0
"""What OpenCLIP fills up a text with after its end, where CLIP repeats the end."""
PENULTIMATE = -2
MAX_IDS = 2**24
"""More ids than any vocabulary has."""
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
WORDS = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
"""How CLIP splits text before the byte pairs (Radford et al. 2021, ``simple_tokenizer.py``)."""

_PARTS = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:\s*([+-]?[\d.]+)\s*\)|\)|\]|[^\\()\[\]:]+|:")
_BREAK = re.compile(r"\s*\bBREAK\b\s*")


@dataclass(frozen=True)
class Vocabulary:
    """A byte-pair tokenizer and the ids of its special tokens."""

    tokenizer: Tokenizer
    begin: int
    end: int
    comma: int | None

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return 1 + max(self.tokenizer.get_vocab().values())

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, without begin and end."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def equals(self, other: Vocabulary) -> bool:
        """Whether both have the same pieces with the same ids."""
        return self is other or self.tokenizer.get_vocab() == other.tokenizer.get_vocab()


@dataclass(frozen=True)
class Chunk:
    """What the text encoder reads at once: 77 token ids and the weight of each."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class TextCondition:
    """What the UNet is told of a text.

    Attributes:
        context: ``[1, 77·chunks, C]``, read by the cross-attention.
        pooled: ``[1, P]``, SDXL's view of the whole text; None in Stable Diffusion 1.5.
    """

    context: Tensor
    pooled: Tensor | None = None


def parse_emphasis(prompt: str) -> list[tuple[str, float]]:
    """Prompt → texts and their weights.

    ``(x)`` is times 1.1, ``[x]`` divided by 1.1, ``(x:1.3)`` times 1.3; nesting multiplies, ``\\(`` is a bracket
    itself, brackets left open close at the end. ``BREAK`` gives ``("BREAK", -1)``. Never empty.
    """
    parts: list[tuple[str, float]] = []
    open_round: list[int] = []
    open_square: list[int] = []

    def scale(start: int, factor: float) -> None:
        parts[start:] = [(text, weight * factor) for text, weight in parts[start:]]

    for match in _PARTS.finditer(prompt):
        text = match[0]
        if text.startswith("\\"):
            parts.append((text[1:], 1.0))
        elif text == "(":
            open_round.append(len(parts))
        elif text == "[":
            open_square.append(len(parts))
        elif match[1] is not None and open_round:
            scale(open_round.pop(), _number(match[1]))
        elif text == ")" and open_round:
            scale(open_round.pop(), EMPHASIS)
        elif text == "]" and open_square:
            scale(open_square.pop(), 1 / EMPHASIS)
        else:
            for index, piece in enumerate(_BREAK.split(text)):
                if index:
                    parts.append(("BREAK", BREAK))
                parts.append((piece, 1.0))
    for start in open_round:
        scale(start, EMPHASIS)
    for start in open_square:
        scale(start, 1 / EMPHASIS)
    merged: list[tuple[str, float]] = []
    for text, weight in parts or [("", 1.0)]:
        if merged and merged[-1][1] == weight:
            merged[-1] = (merged[-1][0] + text, weight)
        else:
            merged.append((text, weight))
    return merged


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        fail(ErrorCode.INVALID_REQUEST, f"{text!r:.40} in the prompt is not a weight.", "Write weights as (red:1.3).")


def chunks(prompt: str, vocabulary: Vocabulary) -> list[Chunk]:
    """Prompt → one or more chunks of 77 tokens: begin, 75 tokens (filled up with end), end."""
    done: list[Chunk] = []
    tokens: list[int] = []
    weights: list[float] = []
    after_comma: int | None = None

    def close() -> None:
        nonlocal after_comma
        fill = CHUNK - len(tokens)
        done.append(Chunk(
            (vocabulary.begin, *tokens, *[vocabulary.end] * (fill + 1)), (1.0, *weights, *[1.0] * (fill + 1))
        ))
        tokens.clear()
        weights.clear()
        after_comma = None

    for text, weight in parse_emphasis(prompt):
        if text == "BREAK" and weight == BREAK:
            close()
            continue
        for token in vocabulary.ids(text):
            if token == vocabulary.comma:
                after_comma = len(tokens) + 1
            elif len(tokens) == CHUNK and after_comma is not None and CHUNK - after_comma < COMMA_BACKTRACK:
                moved = tokens[after_comma:], weights[after_comma:]
                del tokens[after_comma:], weights[after_comma:]
                close()
                tokens.extend(moved[0])
                weights.extend(moved[1])
            if len(tokens) == CHUNK:
                close()
            tokens.append(token)
            weights.append(weight)
    if tokens or not done:
        close()
    return done


def encode(texts: Sequence[str], base: BaseModel, negative: bool = False) -> list[TextCondition]:
    """Conditions of texts, in the text encoders' dtype and on their device; one call for all chunks.

    Args:
        base: the text encoders and vocabularies of a model.
        negative: the texts are negative prompts, of which SDXL reads an empty one as zeros.
    """
    split = [chunks(text, base.vocabularies[0]) for text in texts]
    every = [chunk for parts in split for chunk in parts]
    device = base.text_encoders[0].device
    tokens = torch.tensor([chunk.tokens for chunk in every], device=device)
    weights = torch.tensor([chunk.weights for chunk in every], device=device)
    counts = [len(parts) for parts in split]
    if base.family == "sd15":
        z = emphasize(base.text_encoders[0](tokens).last_hidden_state, weights)
        return [TextCondition(_joined(part)) for part in z.split(counts)]
    z, pooled = _read_twice(tokens, weights, base)
    found = [
        TextCondition(_joined(part), whole[:1])
        for part, whole in zip(z.split(counts), pooled.split(counts), strict=True)
    ]
    return [_zeros(c) if negative and not text.strip() else c for text, c in zip(texts, found, strict=True)]


def _read_twice(tokens: Tensor, weights: Tensor, base: BaseModel) -> tuple[Tensor, Tensor]:
    """SDXL's reading of chunks ``[n, 77]``: both encoders' states side by side ``[n, 77, C]``, pooled ``[n, P]``."""
    first, second = base.text_encoders
    ends = (tokens == base.vocabularies[1].end).int().argmax(1, keepdim=True)
    padded = tokens.masked_fill(torch.arange(tokens.shape[1], device=tokens.device) > ends, OPEN_CLIP_PAD)
    read = second(padded, output_hidden_states=True)
    states = first(tokens, output_hidden_states=True).hidden_states[PENULTIMATE], read.hidden_states[PENULTIMATE]
    whole = read.last_hidden_state.take_along_dim(ends.unsqueeze(-1), 1).squeeze(1)
    return torch.cat([emphasize(z, weights) for z in states], -1), second.text_projection(whole)


def _joined(z: Tensor) -> Tensor:
    return z.reshape(1, -1, z.shape[-1])


def _zeros(condition: TextCondition) -> TextCondition:
    pooled = condition.pooled
    return TextCondition(torch.zeros_like(condition.context), None if pooled is None else torch.zeros_like(pooled))


def time_ids(height: int, width: int) -> Tensor:
    """What SDXL is told of the size in pixels, ``[1, 6]`` float32: original size, crop's corner, target size."""
    return torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32)


def emphasize(z: Tensor, weights: Tensor) -> Tensor:
    """Weigh the tokens of every chunk and give the chunk its mean back: ``z [n, T, C]``, ``weights [n, T]``."""
    weighed = z.float() * weights.unsqueeze(-1)
    before, after = z.float().mean((1, 2), keepdim=True), weighed.mean((1, 2), keepdim=True)
    return torch.where(after == 0, weighed, weighed * (before / after)).to(z.dtype)


def same_length(contexts: Sequence[Tensor]) -> list[Tensor] | None:
    """Repeat contexts ``[1, T, C]`` to one length; attention over repeated tokens is unchanged, over padding it is not.

    None when that would take more than `MAX_REPEATS` repetitions of one.
    """
    length = math.lcm(*(context.shape[1] for context in contexts))
    if length > MAX_REPEATS * min(context.shape[1] for context in contexts):
        return None
    return [context.repeat(1, length // context.shape[1], 1) for context in contexts]


@cache
def clip_vocabulary() -> Vocabulary:
    """The vocabulary of OpenAI's CLIP, which every Stable Diffusion 1.5 checkpoint was trained with."""
    packed = Path(__file__).with_name("tokenizer").joinpath("merges.txt.gz").read_bytes()
    merges = [(a, b) for a, b in (line.split(" ") for line in gzip.decompress(packed).decode().splitlines())]
    letters = _letters()
    pieces = [*letters, *(letter + WORD_END for letter in letters), *(a + b for a, b in merges), BEGIN, END]
    return _vocabulary({piece: index for index, piece in enumerate(pieces)}, merges, BEGIN, END)


def folder_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary in a diffusers model's ``tokenizer`` folder (``vocab.json`` and ``merges.txt``).

    Raises ``missing_file``, or `ValueError`, `KeyError`, `TypeError`, `OSError` when the files hold something else.
    """
    if not (folder / "vocab.json").exists() and (folder / "tokenizer.json").exists():
        model = read_config(folder, "tokenizer.json").get("model", {})
        ids, merges = model["vocab"], [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
    else:
        ids = read_config(folder, "vocab.json")
        lines = (folder / "merges.txt").read_text("utf-8").splitlines()
        merges = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    settings = read_config(folder, "tokenizer_config.json") if (folder / "tokenizer_config.json").exists() else {}
    begin, end = (_content(settings.get(key, default)) for key, default in (("bos_token", BEGIN), ("eos_token", END)))
    # Checked here because the tokenizer itself aborts in a way that no handler of errors sees.
    if not isinstance(ids, dict) or not all(type(index) is int and 0 <= index < MAX_IDS for index in ids.values()):
        raise ValueError("the vocabulary does not give every piece a small whole number")
    for a, b in merges:
        if not {a, b, a + b} <= ids.keys():
            raise ValueError(f"the vocabulary does not know the parts or the whole of {a!r:.40} + {b!r:.40}")
    return _vocabulary(ids, [(a, b) for a, b in merges], begin, end)


def _content(token: Any) -> str:
    return token["content"] if isinstance(token, dict) else token


def _vocabulary(ids: dict[str, int], merges: list[tuple[str, str]], begin: str, end: str) -> Vocabulary:
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges, end_of_word_suffix=WORD_END, unk_token=end))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    return Vocabulary(tokenizer, ids[begin], ids[end], ids.get("," + WORD_END))


def _letters() -> list[str]:
    """The printable stand-ins of the 256 bytes in CLIP's order: printable bytes first, then the others."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(256 - len(printable))]
