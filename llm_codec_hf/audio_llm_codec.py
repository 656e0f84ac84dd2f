# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Audio files: reading any that libsndfile knows, as they are; writing 16-bit wav."""

import io
import os
import urllib.request
from typing import NamedTuple

import numpy as np

try:  # only to read files; the code that travels to the Hub asks for nothing else than torch, transformers and numpy
    import soundfile
except ImportError:
    soundfile = None

URL_TIMEOUT = 30  # seconds


class Audio(NamedTuple):
    """What an audio file holds.

    Attributes:
        samples: float32, `(channels, samples)`.
        sampling_rate: In Hz.
    """

    samples: np.ndarray
    sampling_rate: int


def read_audio(source: str | os.PathLike | bytes) -> Audio:
    """
    Reads audio with all its channels, at its own rate.

    (`transformers.audio_utils.load_audio` averages channels and hides the rate, and before Transformers 5.23 it needs
    librosa.)

    Args:
        source: A path, an `http(s)://` URL, or the bytes of a file.

    Raises:
        OSError: where the file or URL is missing or cannot be opened.
        ValueError: for what is not audio, or ends before its own header says.
        ImportError: where soundfile is missing.
    """
    if soundfile is None:
        raise ImportError("Reading audio files needs soundfile: run `pip install soundfile`.")
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        with urllib.request.urlopen(source, timeout=URL_TIMEOUT) as response:
            source = response.read()
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
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
