# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A language model names a clip by examples, beside what the nearest example says."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..inputs_llm_codec import read_clip
from ..neighbours_llm_codec import shared_words
from ..pipeline_audio_fewshot import AudioFewShotPipeline
from .clips import Example


class Answer(NamedTuple):
    """
    What is said about a clip.

    Attributes:
        scores: Label → score of the language model, which add up to 1.
        nearest_scores: Label → the share of the query's words that the label's nearest example has; no
            language model.
        words: The query's.
        prompt: As the language model reads it.
        tokens: How many tokens that is.
    """

    scores: dict[str, float]
    nearest_scores: dict[str, float]
    words: list[str]
    prompt: str
    tokens: int


def classify(
    pipe: AudioFewShotPipeline, examples: Sequence[Example], query: tuple[int, np.ndarray], repeats: int = 1
) -> Answer:
    """
    Names a clip.

    Args:
        pipe: Codec and language model.
        examples: The examples, in the prompt's order.
        query: Rate and samples of the clip.
        repeats: How often the examples stand in the prompt.

    Raises:
        ValueError: for no examples, for audio that cannot be used, and for a prompt longer than the model's context.
    """
    pairs = [(example.audio, example.label) for example in examples]
    if not pairs:
        raise ValueError("There are no examples yet: add some with their labels, or take those that ship.")
    answer = pipe(query, examples=pairs, repeats=repeats)
    processor = pipe.processor
    clips = [read_clip(audio, "The clip", pipe.feature_extractor) for audio in (*[a for a, _ in pairs], query)]
    *codes, asked = pipe.encode(clips)
    shown = [(clip, label) for clip, (_, label) in zip(codes, pairs)]
    labels = list(dict.fromkeys(label for _, label in shown))
    ids = processor.few_shot_prompt(shown, asked, labels, repeats=repeats)
    shares = shared_words(asked[0], [clip[0] for clip in codes]).tolist()
    return Answer(
        scores={entry["label"]: entry["score"] for entry in answer},
        nearest_scores={label: max(share for share, (_, of) in zip(shares, shown) if of == label) for label in labels},
        words=processor.codes_to_words(asked, layers=(0,))[0],
        prompt=processor.tokenizer.decode(ids),
        tokens=len(ids),
    )


__all__ = ["Answer", "classify"]
