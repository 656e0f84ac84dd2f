# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Recordings that clips are cut from: finding them, and what is said in them, and reading a stretch of one."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
from transformers.utils import logging
from transformers.utils.logging import tqdm

from ..audio_llm_codec import Source, open_audio
from ..files.audio_files import NO_AUDIO, LeftOut, inspect_audio, is_audio, list_files
from ..files.texts import read_texts

logger = logging.get_logger(__name__)

SILENCE = 1e-2  # a stretch whose peak is not above it teaches nothing
UNREADABLE = (OSError, ValueError)  # what reading raises for what is no audio

File = Source
Skipped = LeftOut


@dataclass(frozen=True)
class TrainingClip:
    """
    A clip to learn from.

    Args:
        audio (`torch.Tensor`): `(1, samples)`, float32.
        text (`str`, *optional*): What is said in the whole recording, of which the clip may be a part.
        name (`str`): The recording's.
        covers (`float`): Share of the recording that the clip holds; 1 where it holds all of it.
    """

    audio: torch.Tensor
    text: str | None
    name: str
    covers: float


@dataclass(frozen=True)
class Recording:
    """
    Audio that clips are cut from.

    Args:
        name: Its path below the folder, or its row.
        frames: Its length.
        rate: In Hz, of these frames.
        text: What is said in it, if that is known.
        start: Its first frame in the file that holds it.
        place: Which file that is, to whoever opens it.
    """

    name: str
    frames: int
    rate: int
    text: str | None = None
    start: int = 0
    place: Any = None


def list_folder(folder: Path) -> tuple[dict[str, list[Recording]], Skipped]:
    """
    The recordings of a folder by source, in the order of their paths, and what is left out. Only headers are read.

    A recording's source is the first folder of its path, `"."` for what lies in the folder itself. Its text is of a
    `.txt` of the same stem, or of a table `metadata` or `manifest` (`.jsonl`, `.csv` or `.parquet`) in the folder or in
    a source, or a `manifest` in the folder above; their rows have `text` and, relative to that table, `file_name` or
    `path`.

    Raises:
        ValueError: If a table cannot be read.
    """
    paths, skipped = list_files(folder)
    texts, used = read_texts(folder, paths)
    sources: dict[str, list[Recording]] = {}
    skipped += [(p.relative_to(folder).as_posix(), NO_AUDIO) for p in paths if not is_audio(p) and p not in used]
    for path in tqdm([p for p in paths if is_audio(p)], desc="Listing audio", unit="file"):
        name = path.relative_to(folder).as_posix()
        recording = inspect(lambda: path, name, skipped, texts.get(os.path.abspath(path)))
        if recording is not None:
            sources.setdefault(name.split("/")[0] if "/" in name else ".", []).append(recording)
    return sources, skipped


def inspect(
    open_file: Callable[[], File], name: str, skipped: Skipped, text: str | None, place: Any = None
) -> Recording | None:
    """A recording by the header of its file; None for what is no audio, which is added to `skipped`."""
    try:
        info = inspect_audio(open_file())
    except UNREADABLE as error:
        add_skipped(skipped, name, error)
        return None
    return Recording(name, info.frames, info.sampling_rate, text, place=place)


def cut(
    recording: Recording,
    open_file: Callable[[Recording], File],
    samples: int,
    sampling_rate: int,
    generator: np.random.Generator,
    skipped: Skipped,
) -> TrainingClip | None:
    """
    Cuts a clip out of a recording, at random. What it draws does not depend on whether that succeeds.

    Args:
        recording: To cut from; one of another rate is resampled, a short one is padded with zeros.
        open_file: A recording → the path or the binary file with it.
        samples: Length of the clip.
        sampling_rate: Of the clip, in Hz.
        generator: Draws the place.
        skipped: Gets a recording that cannot be decoded, once.

    Returns:
        The clip, its mean removed; or None where it is silent or cannot be decoded.
    """
    needed = math.ceil(samples * recording.rate / sampling_rate)
    start = int(generator.integers(max(1, recording.frames - needed + 1)))
    try:
        audio = read_span(open_file(recording), recording.start + start, min(needed, recording.frames - start))
    except UNREADABLE as error:
        add_skipped(skipped, recording.name, error)
        return None
    if recording.rate != sampling_rate:
        audio = soxr.resample(audio, recording.rate, sampling_rate)[:samples]
    audio = audio - audio.mean()
    if np.abs(audio).max() <= SILENCE:
        return None
    audio = torch.from_numpy(np.pad(audio, (0, samples - len(audio))))[None]
    return TrainingClip(audio, recording.text, recording.name, min(1.0, needed / recording.frames))


def whole_length(recording: Recording, sampling_rate: int, most: int) -> int | None:
    """Samples of a recording at a rate, if it has a text and no more samples than that; otherwise None."""
    samples = -(-recording.frames * sampling_rate // recording.rate)
    return samples if recording.text and samples <= most else None


def read_span(file: File, start: int, frames: int) -> np.ndarray:
    """
    Frames of a file, float32, the mean of its channels.

    Raises:
        OSError: If the file is missing.
        ValueError: For what is no audio, or broken, if there is nothing at that place, and for values that are not
            finite.
    """
    with open_audio(file, quick=True) as audio:
        span = audio.read_at(start, frames)
    if not span.shape[1] or not np.isfinite(span).all():
        what = "holds values that are not finite" if span.shape[1] else "is empty"
        raise ValueError(f"from frame {start} on, it {what}")
    return span[0] if len(span) == 1 else span.mean(axis=0)


def add_skipped(skipped: Skipped, name: str, error: Exception) -> None:
    """Lists what cannot be read, once."""
    if all(name != listed for listed, _ in skipped):
        skipped.append((name, str(error).rstrip(".")))
        logger.debug("Cannot read %s: %s", *skipped[-1])
