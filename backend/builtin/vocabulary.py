"""The built-in model's own small BPE vocabulary, in the file format of CLIP's tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
SIZE = 1700


def train_vocabulary(captions: list[str], folder: Path) -> CLIPTokenizer:
    """Learn byte-pair merges from the captions; write ``vocab.json``, ``merges.txt`` and configuration to the folder.

    Every byte stays representable, so an unknown word never fails: it only means little to the model.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(
                Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True
            ),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        initial_alphabet=sorted(alphabet),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocabulary: dict[str, int] = {}
    letters = sorted(alphabet)
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    for piece in [
        *letters,
        *(letter + "</w>" for letter in letters),
        *(m.replace(" ", "") for m in merges),
        BEGIN,
        END,
    ]:
        vocabulary.setdefault(piece, len(vocabulary))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", "utf-8")
    settings = dict(
        bos_token=BEGIN,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=77,
        tokenizer_class="CLIPTokenizer",
    )
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), "utf-8")
    return CLIPTokenizer.from_pretrained(str(folder))
