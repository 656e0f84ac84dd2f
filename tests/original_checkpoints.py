# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The golden checkpoints, in the original's format, with a word list and a tokenizer to convert them with."""

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

GOLDEN = Path(__file__).parent / "fixtures" / "golden"
# Codebook entries of layer 0; layers 1 and 2 have 96 and 80.
NUM_WORDS = {"tiny": 40, "tiny_dense": 48}

_WORDS = """able about above accept across action advice afraid after again agree animal answer apple arrive autumn away
baby balance ball bank basic beach bear beautiful because become before begin behind believe bell below best better
between bird bite black blood blue board boat body bone book brave bread""".split()


def make_tokenizer(vocab_size: int = 128) -> PreTrainedTokenizerFast:
    """A tokenizer of LLaMA's kind whose tokens are characters; words all have different ids in it."""
    pieces = ["<unk>", "<s>", "</s>", "▁", *map(chr, range(33, 127)), *map(chr, range(0xA1, 0x200))][:vocab_size]
    backend = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[], unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", left=1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>", add_bos_token=True
    )


def conversion_inputs(name: str, folder: Path) -> dict:
    """Arguments of `convert` for the golden checkpoint of a name; what they need is written to the folder."""
    words_path, tokenizer_path = folder / "layer1.npy", folder / "tokenizer"
    np.save(words_path, np.array(_WORDS[: NUM_WORDS[name]]))
    make_tokenizer().save_pretrained(tokenizer_path)
    return {
        "checkpoint_path": GOLDEN / f"{name}.pth",
        "config_path": GOLDEN / f"{name}.config.json",
        "words_path": words_path,
        "tokenizer": tokenizer_path,
        "output_dir": folder / "converted",
    }


def command_line(inputs: dict) -> list[str]:
    """Those arguments as the command line takes them."""
    return [part for name, value in inputs.items() for part in (f"--{name}", str(value))]
