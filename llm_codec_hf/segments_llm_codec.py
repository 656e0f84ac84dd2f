# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Segments of a prompt: each stretch of text is encoded by itself, as SentencePiece would encode it."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from .code_ids_llm_codec import AudioCodes
from .code_tables_llm_codec import CodeTable


class SegmentEncoder:
    """
    Encodes texts one by one, such that the words of layer 0 get their ids. It never changes once it is built.

    Args:
        tokenizer: The language model's tokenizer.
        words: The word of every layer-0 code.
        table: The ids that these words must have; None if the tokenizer is to say.

    Attributes:
        prefix: What goes before every text that is not empty: one space or nothing.

    Raises:
        ValueError: If the table has another number of codes than there are words, or if the tokenizer gives a word
            other ids.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, words: Sequence[str], table: CodeTable | None = None):
        self.tokenizer, self.words = tokenizer, texts("words", words)
        self.prefix = self._find_prefix(table)

    def __deepcopy__(self, memo) -> "SegmentEncoder":
        return self  # `ProcessorMixin.to_dict` copies every attribute, at every log line

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without special tokens."""
        return self._encode(texts, self.prefix)

    def leading_ids(self) -> list[int]:
        """The beginning-of-sequence token, if the tokenizer puts it in front by itself."""
        bos, added = self.tokenizer.bos_token_id, self.tokenizer("")["input_ids"]
        return [bos] if bos is not None and added[:1] == [bos] else []

    def describe(self, token_id: int) -> str:
        """A token id with its text, for messages."""
        known = 0 <= token_id < len(self.tokenizer)
        return f"the id {token_id} ({self.tokenizer.decode([token_id])!r})" if known else f"the unknown id {token_id}"

    def _encode(self, texts: Sequence[str], prefix: str) -> list[list[int]]:
        if not texts:
            return []
        texts = [text and prefix + text for text in texts]
        return self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]

    def _find_prefix(self, table: CodeTable | None) -> str:
        """What to put before every text so that its ids are those that SentencePiece gives.

        SentencePiece puts a space before a text whatever it begins with. Some of its ports put none before a text that
        begins with a space (LLaMA 2's tokenizer in Transformers: "a" and " a" get the same ids), some none at all
        (the same file through `AutoTokenizer`; only the words' ids tell). With one space before each text both are
        exact. A byte-level BPE tokenizer needs nothing and gets nothing.
        """
        bare, spaced = self._encode(["a", " a"], "")
        swallows = bare == spaced and self._spelling(bare).startswith("▁")
        prefix = " " if swallows else ""
        if table is None:
            return prefix
        if len(table) != len(self.words):
            raise ValueError(f"Layer 0 has {len(self.words)} words, but its table has {len(table)} codes.")
        if (misfit := self._misfit(table, prefix)) is None:
            return prefix
        word, ids, got = misfit
        adds_space = self._spelling(ids) == "▁" + word
        if adds_space and not swallows and self._misfit(table, " ") is None:
            return " "
        raise ValueError(
            f"The tokenizer ({type(self.tokenizer).__name__}) does not fit the codec's word list: {word!r} should have "
            f"the token ids {list(ids)}, but it encodes to {got}. Use the tokenizer of the language model that the "
            "codec was made for, and keep the leading space of words that have one."
        )

    def _misfit(self, table: CodeTable, prefix: str) -> tuple[str, tuple[int, ...], list[int]] | None:
        """The first word whose ids are neither its encoding nor spelt by its token strings: (word, ids, encoding)."""
        for word, ids, got in zip(self.words, table.sequences, self._encode(self.words, prefix)):
            if list(ids) != got and self._spelling(ids) != word:
                return word, ids, got
        return None

    def _spelling(self, ids: Sequence[int]) -> str:
        return "".join(self.tokenizer.convert_ids_to_tokens(list(ids)))


def texts(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """
    Several texts.

    Raises:
        TypeError: For one text, whose letters would be taken for texts, and for anything that is no text.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"`{name}` takes a list of texts, got {values!r:.60}: pass [{name}] for one.")
    values = tuple(values)
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"`{name}` takes texts, got {value!r:.60} among them.")
    return values


def codes_of_texts(audio_codes: Sequence | None, count: int) -> list[AudioCodes | None]:
    """
    The clips of each of several texts, as `interleave` takes them.

    Raises:
        ValueError: If they do not come for each of the texts.
    """
    if audio_codes is None:
        return [None] * count
    if not isinstance(audio_codes, (list, tuple, torch.Tensor, np.ndarray)) or getattr(audio_codes, "ndim", 1) == 0:
        raise ValueError(f"`audio_codes` takes a list with the clips of each text, got {type(audio_codes).__name__}.")
    if len(audio_codes) != count:
        raise ValueError(f"Got {count} texts, but audio codes for {len(audio_codes)}.")
    return list(audio_codes)


def interleave(text: str, audio_codes: AudioCodes | None, placeholder: str) -> Iterator[str | AudioCodes]:
    """
    The segments of a text with clips in place of its placeholders.

    Args:
        text: The text, with one placeholder per clip.
        audio_codes: The clips' codes in the placeholders' order: a list or batch of clips, one clip, or None for none.
        placeholder: What stands for a clip in the text.

    Raises:
        ValueError: If there are more or fewer clips than placeholders.
    """
    clips = [] if audio_codes is None else audio_codes
    if isinstance(clips, torch.Tensor | np.ndarray):
        if clips.ndim not in (2, 3):
            raise ValueError(
                "`audio_codes` is (codes_per_group, groups) for a clip, (clips, codes_per_group, groups) for several, "
                f"got the shape {tuple(clips.shape)}."
            )
        clips = [clips] if clips.ndim == 2 else clips
    elif not isinstance(clips, (list, tuple)):
        raise ValueError(
            f"`audio_codes` takes the codes of a clip, a batch of them, or a list of clips; got {type(clips).__name__}."
        )
    first, *others = text.split(placeholder)
    if len(clips) != len(others):
        raise ValueError(
            f"A text has {len(others)} {placeholder} placeholders, but {len(clips)} clips of audio codes came for it. "
            "Codes come from the codec's `encode`, one clip per placeholder."
        )
    yield first
    for clip, segment in zip(clips, others):
        if isinstance(clip, str):
            raise ValueError(
                f"`audio_codes` has the text {clip!r:.60} for a clip; codes come from the codec's `encode`."
            )
        yield clip
        yield segment


def pad_ids(
    batch: list[list[int]],
    tokenizer: PreTrainedTokenizerBase,
    padding: bool | str | None,
    side: str,
    as_tensor: bool,
) -> dict[str, list[list[int]]]:
    """
    `input_ids` and `attention_mask` of a batch.

    Args:
        batch: The ids of each text.
        tokenizer: Gives the id to pad with: its pad token, or else its end-of-sequence token.
        padding: Whether to pad all texts to the longest: a boolean, "longest" or "do_not_pad".
        side: The side to pad, "left" or "right".
        as_tensor: Whether a tensor is to be made of them, so that all must have one length.

    Raises:
        ValueError: For another padding or side, for lengths that differ where a tensor is wanted without padding, and
            if the tokenizer has no token to pad with.
    """
    known = {None: False, False: False, True: True, "do_not_pad": False, "longest": True}
    if not isinstance(padding, (bool, str, type(None))) or padding not in known:
        raise ValueError(f"Texts are padded to the longest or not: `padding` is True or False here, got {padding!r}.")
    padding = known[padding]
    length = max(map(len, batch), default=0)
    ragged = any(len(ids) != length for ids in batch)
    if ragged and as_tensor and not padding:
        raise ValueError(
            f"The texts have {min(map(len, batch))} to {length} ids, which is no tensor: give `padding=True`."
        )
    if not isinstance(side, str) or side not in ("left", "right"):
        raise ValueError(f"`padding_side` is 'left' or 'right', got {side!r}.")
    masks = [[1] * len(ids) for ids in batch]
    if padding and ragged:
        pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        if pad is None:
            raise ValueError("The tokenizer has neither a pad nor an end-of-sequence token; set `pad_token`.")
        fill = [length - len(ids) for ids in batch]
        left = side == "left"
        batch = [[pad] * n + ids if left else ids + [pad] * n for n, ids in zip(fill, batch)]
        masks = [[0] * n + mask if left else mask + [0] * n for n, mask in zip(fill, masks)]
    return {"input_ids": batch, "attention_mask": masks}


__all__ = ["SegmentEncoder"]
