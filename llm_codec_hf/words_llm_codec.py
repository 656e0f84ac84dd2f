# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The words of a codec as other tokenizers write them."""

import dataclasses
from collections import Counter

from transformers import PreTrainedTokenizerBase

from .prompts_llm_codec import FewShotTemplate


def words_for(processor, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """
    A codec's words for another tokenizer.

    Words stand in running text, where a space goes before each. A byte-level tokenizer takes that space into the word's
    token, so that the word is written with it; one of SentencePiece's kind puts it there itself.

    Args:
        processor ([`LLMCodecProcessor`]): The codec's words.
        tokenizer (`PreTrainedTokenizerBase`): The other tokenizer.

    Raises:
        TypeError: for anything but a tokenizer.
        ValueError: where a code of layer 0 is no word, or two are the same.
    """
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise TypeError(f"`tokenizer` takes a tokenizer of Transformers, got {type(tokenizer).__name__}.")
    bare = [text.strip() for text in processor.tokenizer.batch_decode(processor.token_ids[0])]
    if "" in bare:
        raise ValueError(
            f"Code {bare.index('')} of layer 0 ({processor.words[bare.index('')]!r}) is no word, so another tokenizer "
            "cannot write it: use the codec's own language model."
        )
    word, count = Counter(bare).most_common(1)[0]
    if count > 1:
        codes = [code for code, text in enumerate(bare) if text == word]
        raise ValueError(
            f"The codes {codes} of layer 0 are all written {word!r}, so that another tokenizer could not tell them "
            "apart: use the codec's own language model."
        )
    space = "" if adds_space(tokenizer) else " "
    return [space + text for text in bare]


def respaced(
    template: FewShotTemplate, written_for: PreTrainedTokenizerBase, tokenizer: PreTrainedTokenizerBase
) -> FewShotTemplate:
    """A template with the space before words and texts as a tokenizer needs it, where it was written for another."""
    adds = adds_space(tokenizer)
    if adds == adds_space(written_for):
        return template
    if adds:
        return dataclasses.replace(template, text=template.text.removeprefix(" "))
    pair = template.pair.replace(" {input}", "{input}").replace(" {output}", "{output}")
    return dataclasses.replace(template, pair=pair, text=" " + template.text.removeprefix(" "))


def adds_space(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a tokenizer reads a word at the beginning of a text as one that a space goes before."""
    bare, spaced = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a", " a"))
    return bare == spaced or "".join(tokenizer.convert_ids_to_tokens(bare)).startswith("▁")


__all__ = ["respaced", "words_for"]
