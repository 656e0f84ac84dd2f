# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The clips of the reconstruction benchmark: some of every source, and what is known of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import soxr
from transformers.utils import logging

from llm_codec_hf.audio_llm_codec import read_audio
from llm_codec_hf.files.audio_files import NO_AUDIO, file_of_row, find_table, is_audio, list_files, read_table
from llm_codec_hf.metrics.baselines import RATE

logger = logging.get_logger(__name__)


@dataclass(frozen=True)
class Clip:
    """
    Attributes:
        path: Its file.
        name: Its file, relative to the folder of all sources.
        source: The folder in that, whose clips are reported together.
        speech: Whether measures of speech make sense.
        language: A code such as "en".
        text: What is said.
    """

    path: Path
    name: str
    source: str
    speech: bool = True
    language: str | None = None
    text: str | None = None

    def load(self) -> np.ndarray:
        """float32, `(samples,)` at 16 kHz."""
        audio = read_audio(self.path)
        return soxr.resample(audio.samples.mean(axis=0), audio.sampling_rate, RATE)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]


def evenly(items: Sequence, count: int) -> list:
    """So many of some items at most, evenly spaced, the first among them."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def find_clips(audio_dir: Path, max_files: int, sources: Sequence[str] | None = None) -> list[Clip]:
    """
    Clips of every source, evenly spaced in the sorted list of its files.

    A `manifest.jsonl` in the folder or beside it (`recipes/embedded_default/prepare_audio.py` writes it) tells, by
    `path` relative to itself, `language` and `text`; what has no language there is not speech. Without it all is taken
    for speech.

    Args:
        audio_dir: Has a folder a source, or the files of a single one.
        max_files: Clips a source has at most.
        sources: Names of those wanted; all by default.

    Raises:
        ValueError: where there is no audio, or no such source.
    """
    manifest = find_table(audio_dir, ("manifest",)) or find_table(audio_dir.resolve().parent, ("manifest",))
    known = {}
    if manifest is not None:
        rows = read_table(manifest)
        known = {(manifest.parent / file_of_row(row, manifest)).resolve(): row for row in rows}
    files: dict[str, list[Path]] = {}
    found, left_out = list_files(audio_dir)
    left_out += [(path.relative_to(audio_dir).as_posix(), NO_AUDIO) for path in found if not is_audio(path)]
    if left_out:
        logger.warning("Left out %d files of %s, such as %s.", len(left_out), audio_dir, left_out[:3])
    for path in filter(is_audio, found):
        parts = path.relative_to(audio_dir).parts
        files.setdefault(parts[0] if len(parts) > 1 else audio_dir.resolve().name, []).append(path)
    if not files:
        raise ValueError(f"There is no audio in {audio_dir}; {len(left_out)} files were left out: {left_out[:3]}.")
    if missing := sorted(set(sources or ()) - set(files)):
        raise ValueError(f"There is no audio of {', '.join(missing)} in {audio_dir}; it has {', '.join(files)}.")
    clips = []
    for source in sources or files:
        for path in evenly(files[source], max_files):
            record = known.get(path.resolve(), {})
            language = record.get("language")
            speech = manifest is None or language is not None
            clips.append(
                Clip(path, path.relative_to(audio_dir).as_posix(), source, speech, language, record.get("text"))
            )
    return clips
