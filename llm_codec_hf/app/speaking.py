# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A language model answers a text with audio, by examples of both."""

from collections.abc import Iterator, Sequence

import numpy as np

from ..inputs_llm_codec import names_audio
from ..pipeline_audio_fewshot import AudioFewShotPipeline
from .clips import Example

MOST_SECONDS = 10.0


def speak(
    pipe: AudioFewShotPipeline,
    text: str,
    examples: Sequence[Example],
    seconds: float,
    temperature: float = 0.0,
    seed: int = 0,
) -> Iterator[np.ndarray]:
    """
    Makes audio, piece by piece, as soon as the language model has written it.

    Codes are written group by group, in the time-major layout: of the layer-major one nothing could be heard before the
    last layer begins.

    Args:
        pipe: Codec and language model.
        text: What is asked for.
        examples: Texts and the clips that answer them.
        seconds: Of the audio.
        temperature: 0 makes the most probable audio; above, it is drawn.
        seed: Of what is drawn.

    Yields:
        float32 `(samples,)` at the codec's rate; one after the other they are the whole.

    Raises:
        ValueError: for no examples, for a text that is none, and for what the pipeline refuses.
    """
    if not examples:
        raise ValueError("There are no examples yet: add some with their texts, or take those that ship.")
    for asked in (text, *(example.label for example in examples)):
        check_text(asked)
    if not 0 < seconds <= MOST_SECONDS:
        raise ValueError(f"Audio of up to {MOST_SECONDS:g} s is made here; asked for were {seconds:g} s.")
    pieces = pipe(
        text,
        examples=[(example.label, example.audio) for example in examples],
        output="audio",
        layout="time_major",
        seconds=seconds,
        temperature=temperature,
        seed=seed,
        iterator=True,
    )
    for piece in pieces:
        yield piece["audio"]


def check_text(text: str) -> None:
    """
    Checks that a text is one, as the pipeline would read a file or an address that a text names.

    Raises:
        ValueError: for an empty text, and for one that names audio.
    """
    if not text.strip():
        raise ValueError("The text is empty: write what is asked for, such as 'an audio of a kick'.")
    if names_audio(text):
        raise ValueError(f"The text {text!r:.80} is the name of a file or an address of audio; write a text.")


__all__ = ["check_text", "speak"]
