# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Audio files: reading any that libsndfile knows, as they are; writing 16-bit wav."""

import os
from typing import NamedTuple

import numpy as np
import soundfile


class Audio(NamedTuple):
    """What an audio file holds.

    Attributes:
        samples: float32, `(channels, samples)`.
        sampling_rate: In Hz.
    """

    samples: np.ndarray
    sampling_rate: int


def read_audio(path: str | os.PathLike) -> Audio:
    """
    Reads an audio file with all its channels, at its own rate.

    Raises:
        OSError: where the file is missing or cannot be opened.
        ValueError: for what is not audio, or ends before its own header says.
    """
    with open(path, "rb") as file:
        try:
            with soundfile.SoundFile(file) as audio:
                samples = audio.read(dtype="float32", always_2d=True).T
                frames, sampling_rate = audio.frames, audio.samplerate
        except (soundfile.SoundFileError, TypeError) as error:  # a TypeError for formats without a header
            raise ValueError(f"This is not audio that libsndfile {soundfile.__libsndfile_version__} reads.") from error
    if samples.shape[1] < frames:
        raise ValueError(f"The file is damaged: {samples.shape[1]} of its {frames} samples can be read.")
    return Audio(samples, sampling_rate)


def write_wav(path: str | os.PathLike, samples: np.ndarray, sampling_rate: int) -> None:
    """Writes mono samples in −1 … 1, `(samples,)`, as 16-bit PCM; louder ones are clipped."""
    with open(path, "wb") as file:
        soundfile.write(file, samples, sampling_rate, format="WAV", subtype="PCM_16")
