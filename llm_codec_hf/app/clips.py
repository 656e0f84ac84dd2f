# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Clips that visitors bring, within limits, and those that ship with the package."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..audio_llm_codec import AudioReader, open_audio, read_audio, read_blocks
from ..embedded.demo import CLIPS
from ..feature_extraction_llm_codec import LLMCodecFeatureExtractor

BLOCK_S = 5  # seconds of a block: how soon progress is seen, and a stop is heard
SHIPPED_SHOTS = 3  # examples per label of those that ship; the others are there to be asked about


@dataclass(frozen=True)
class Limits:
    """
    How long audio may be, in seconds.

    Attributes:
        seconds: Of a clip to listen to.
        example_seconds: Of an example or a query, which has to fit into a language model's context with others.
        examples: How many a visitor may have.
    """

    seconds: float = 600.0
    example_seconds: float = 15.0
    examples: int = 48


class Example(NamedTuple):
    """
    A clip with its label, as one visitor has it.

    Attributes:
        label: A label, or the text that the clip answers.
        name: What the clip is called.
        audio: Rate in Hz and float32 `(samples,)`, as the pipeline takes it.
    """

    label: str
    name: str
    audio: tuple[int, np.ndarray]


def shipped_clips() -> dict[str, list[Path]]:
    """The clips that ship with the package, label → files."""
    return {folder.name: sorted(folder.glob("*.flac")) for folder in sorted(CLIPS.iterdir()) if folder.is_dir()}


def shipped_names() -> list[str]:
    """What those clips are called: `kick/bd_808`."""
    return [f"{label}/{path.stem}" for label, paths in shipped_clips().items() for path in paths]


def shipped_audio(name: str) -> tuple[int, np.ndarray]:
    """
    A clip that ships, as `gr.Audio` takes it: browsers refuse some short FLAC files, and play what is made of this.

    Returns:
        Its rate in Hz, and int16 `(samples, channels)`.

    Raises:
        ValueError: for a name that is none of [`shipped_names`].
    """
    samples, rate = read_audio(shipped_clip(name))
    return rate, pcm(samples.T)


def shipped_clip(name: str) -> Path:
    """
    The file of a clip that ships.

    Args:
        name: One of [`shipped_names`].

    Raises:
        ValueError: for another name.
    """
    files = {f"{label}/{path.stem}": path for label, paths in shipped_clips().items() for path in paths}
    if name not in files:
        raise ValueError(f"No clip {name!r} ships with the package: choose one of {', '.join(files)}.")
    return files[name]


def shipped_examples(feature_extractor: LLMCodecFeatureExtractor, text: str = "{label}") -> list[Example]:
    """
    Examples of the clips that ship: the first of each label, then the second of each, …

    Args:
        feature_extractor: Of the codec.
        text: What is written of a label.
    """
    clips = shipped_clips()
    return [
        Example(text.format(label=label), paths[shot].stem, read_clip(paths[shot], feature_extractor))
        for shot in range(SHIPPED_SHOTS)
        for label, paths in clips.items()
    ]


def read_clip(
    path: str | Path, feature_extractor: LLMCodecFeatureExtractor, seconds: float = Limits.example_seconds
) -> tuple[int, np.ndarray]:
    """
    Reads a clip whole.

    Args:
        path: The file.
        feature_extractor: Of the codec; the mean of the channels is taken, at the codec's rate.
        seconds: How long it may be.

    Returns:
        The codec's rate, and float32 `(samples,)`.

    Raises:
        ValueError: for what is not audio, is cut, or is longer.
        OSError: for a file that cannot be read.
    """
    with open_audio(path) as audio:
        samples = np.concatenate(list(limited_blocks(audio, seconds)), axis=1)
        rate = audio.samplerate
    prepared = feature_extractor.prepare(samples, rate, resample=True, channels="mean", name=str(path))
    return feature_extractor.sampling_rate, prepared


def limited_blocks(audio: AudioReader, seconds: float) -> Iterator[np.ndarray]:
    """
    Blocks of audio that was just opened, `(channels, samples)`, as long as it is not too long.

    Raises:
        ValueError: where it is longer than `seconds`; headers are believed if they say so, and counted if they do not.
    """
    stated, most, there = audio.frames or 0, round(seconds * audio.samplerate), 0
    if stated > most:
        raise _too_long(audio, f"is {stated / audio.samplerate:.0f} s long", seconds)
    for block in read_blocks(audio, BLOCK_S * audio.samplerate):
        there += block.shape[1]
        if there > most:
            raise _too_long(audio, f"is longer than {seconds:g} s", seconds)
        yield block


def _too_long(audio: AudioReader, what: str, seconds: float) -> ValueError:
    return ValueError(
        f"{audio.name}: The audio {what}; up to {seconds:g} s are taken here. Cut it, or use the library."
    )


def pcm(samples: np.ndarray) -> np.ndarray:
    """float32 samples in −1 … 1 as 16-bit integers, clipped: Gradio would scale floats by their peak."""
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)


__all__ = [
    "Example",
    "Limits",
    "limited_blocks",
    "pcm",
    "read_clip",
    "shipped_audio",
    "shipped_clip",
    "shipped_examples",
]
