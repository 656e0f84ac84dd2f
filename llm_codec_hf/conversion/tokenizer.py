# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
An exact Transformers tokenizer of a SentencePiece `.model` file, such as LLaMA 2's.

What `AutoTokenizer` makes of such a file puts the leading space elsewhere than SentencePiece, which the original's
prompts and words were encoded with.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from ..extras import require
from .original_checkpoint import existing_file, one_line

logger = logging.getLogger(__package__)

# Texts on which spaces, unknown characters and Unicode normalisation show.
_PROBES = (
    *("", " ", "  ", "a", " a", "  a  b ", "a\n", "\n a\tb\r\n", "Hello, world! 0123456789", "don't", "▁a", " ▁ a"),
    *("é e\u0301 ñ ﬁ ½ Å", "日本語 ｆｕｌｌ", "🙂 \u200d \x00", "a" * 40, " .,;:!?()[]{}<>/\\|'\"`~@#$%^&*-_=+ "),
)


def load_sentencepiece_tokenizer(path: str | Path, texts: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """
    Builds the tokenizer, and checks that it gives SentencePiece's ids.

    Args:
        path (`str` or `Path`): A SentencePiece model of the BPE type with a leading space ("dummy prefix") and no
            normalisation, as LLaMA's is.
        texts (`Sequence[str]`): What to check besides some probing texts, as the codec's words.

    Returns:
        [`PreTrainedTokenizerFast`]: A tokenizer whose call puts the begin-of-sequence token first.

    Raises:
        ImportError: without the sentencepiece package.
        ValueError: for another file, and for a model of another kind.
    """
    path = existing_file(path, "SentencePiece model")
    require("convert", f"Reading {path.name}", "sentencepiece")
    import sentencepiece

    try:
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise ValueError(f"{path} is no SentencePiece model: {one_line(error)}") from error

    special = {"unk_token": pieces.unk_id(), "bos_token": pieces.bos_id(), "eos_token": pieces.eos_id()}
    special["pad_token"] = pieces.pad_id()
    special = {name: pieces.id_to_piece(i) for name, i in special.items() if i >= 0}
    backend = Tokenizer(_bpe(pieces))
    # the normalizer, and no pre-tokenizer: together exactly SentencePiece's treatment of spaces
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", left=1)]
    )
    for text in (*_PROBES, *texts):
        expected, ids = pieces.encode(text), backend.encode(text).ids
        if ids != expected:
            raise ValueError(
                f"{path} is a SentencePiece model of a kind that is not supported (BPE with a leading space and no "
                f"normalisation is): {text!r} has the ids {expected}, and the converted tokenizer gives {ids}. Give a "
                "folder or an id that `AutoTokenizer` loads in its place."
            )
    logger.info("Made a tokenizer of the %d pieces of %s.", len(pieces), path.name)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, **special, add_bos_token="bos_token" in special, clean_up_tokenization_spaces=False
    )


def _bpe(pieces) -> models.BPE:
    """SentencePiece joins the pair whose piece scores highest; `tokenizers` the pair that is first in a list."""
    vocabulary = {pieces.id_to_piece(i): i for i in range(len(pieces))}
    merges = []
    for piece, i in vocabulary.items():
        if pieces.is_control(i) or pieces.is_unknown(i) or pieces.is_byte(i) or pieces.is_unused(i):
            continue
        halves = ((piece[:cut], piece[cut:]) for cut in range(1, len(piece)))
        found = [pair for pair in halves if pair[0] in vocabulary and pair[1] in vocabulary]
        merges += [(-pieces.get_score(i), vocabulary[left], vocabulary[right], left, right) for left, right in found]
    return models.BPE(
        vocab=vocabulary,
        merges=[(left, right) for *_, left, right in sorted(merges)],
        unk_token=pieces.id_to_piece(pieces.unk_id()),
        fuse_unk=True,
        byte_fallback=True,
    )
