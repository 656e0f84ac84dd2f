# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Audio files, whole or block by block: reading any that libsndfile knows, as they are; writing 16-bit wav."""

import contextlib
import io
import os
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
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


def parts(length: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and stop of each of the parts of a length: about equal, of at least `size`; one if there is less."""
    count = max(1, length // max(1, size))
    return ((length * i // count, length * (i + 1) // count) for i in range(count))


@contextlib.contextmanager
def open_audio(source: str | os.PathLike | bytes) -> Iterator["soundfile.SoundFile"]:
    """
    Opens audio, to be read once from its start to its end.

    Args:
        source: A path, an `http(s)://` URL, or the bytes of a file.

    Raises:
        OSError: where the file or URL is missing or cannot be opened.
        ValueError: for what is not audio.
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
                # soundfile seeks after each read, and a decoder of mp3 then starts anew: blocks would not be the whole
                audio.seekable = lambda: False
                yield audio
        except (soundfile.SoundFileError, TypeError) as error:  # a TypeError for formats without a header
            raise ValueError(f"This is not audio that libsndfile {soundfile.__libsndfile_version__} reads.") from error


def read_blocks(audio: "soundfile.SoundFile", size: int) -> Iterator[np.ndarray]:
    """
    Reads audio that was just opened: at least one block, which only an empty file leaves empty.

    Args:
        audio: What `open_audio` opened.
        size: Samples a block has at least, if the file has as many; blocks are of less than twice the size.

    Yields:
        float32, `(channels, samples)`.

    Raises:
        ValueError: for a file that ends before its own header says.
    """
    for start, stop in parts(audio.frames, size):
        block = audio.read(stop - start, dtype="float32", always_2d=True).T
        if (end := start + block.shape[1]) < stop:
            raise ValueError(f"The file is damaged: {end} of its {audio.frames} samples can be read.")
        yield block


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
    with open_audio(source) as audio:
        (samples,) = read_blocks(audio, audio.frames)
        return Audio(samples, audio.samplerate)


def write_wav(path: str | os.PathLike, blocks: Iterable[np.ndarray], sampling_rate: int) -> None:
    """Writes mono samples in −1 … 1, in blocks of the shape `(samples,)`, as 16-bit PCM; louder ones are clipped."""
    Path(path).touch()  # libsndfile does not say why it cannot
    with soundfile.SoundFile(path, "w", sampling_rate, 1, "PCM_16", format="WAV") as wav:
        for block in blocks:
            wav.write(block)
