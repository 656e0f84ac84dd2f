# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Labelled clips of a task, wherever they lie: what they are is known at once, their audio is read when needed."""

import json
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers.utils import logging

from ..audio_llm_codec import read_audio
from ..feature_extraction_llm_codec import LLMCodecFeatureExtractor
from ..files.audio_files import (
    NO_AUDIO,
    LeftOut,
    file_of_row,
    find_table,
    inspect_audio,
    is_audio,
    list_files,
    read_table,
    stored_audio,
)
from .episodes import read_scp

logger = logging.get_logger(__name__)

ONLY_LABEL = "audio"  # of the clips of a source without labels, as denoising has them
TRIM_FRAME = 0.01  # seconds
TRIM_BELOW = 40  # decibels below the clip's peak

Stored = Path | Callable[[], bytes | Path] | tuple[np.ndarray, int]


@dataclass(frozen=True)
class Source:
    """
    Where labelled clips are and which of their columns says what. One of `folder`, `hub` and `scp` is given.

    A folder, or those in it, hold a `metadata.csv`, `metadata.jsonl` or `metadata.parquet` with `file_name` in its
    rows, as the `audiofolder` of `datasets` has it, or just a subfolder per label. (It is read here: `datasets` itself
    asks for torchcodec even to list a folder of audio.) Every source has one more column, `path`: of the file, as the
    folder, the dataset or the `.scp` file has it.

    Args:
        folder: A folder of clips, relative to `root`.
        hub: A dataset for `datasets.load_dataset`, an id of the Hub or a local one.
        scp: An episode file of the original's kind, relative to `root`; its clips are below `audio_root`.
        root: What `folder` and `scp` are relative to; the working directory by default.
        audio_root: What the entries of an `scp` are relative to; the folder of that file by default.
        config: The dataset's configuration, of `hub`.
        split: Its split.
        revision: Its revision.
        audio: Column of the audio.
        target: Column of the audio that is the answer, where the task is audio to audio; of a folder, a file in it.
        label: Column of the label; None where there are no labels.
        group: Column of what clips may have in common beside the label (speaker, recording, word): a query never
            shares it with a demonstration. By default `group`, where there is such a column.
        text: Column of what is said; by default `text`, where there is such a column.
        id: Column that names a clip; by default its path, or its row's number.
        label_pattern: A regular expression searched in the label's column; its first group (or all it matched) counts.
        group_pattern: The like for the group.
        class_splits: A file of class splits, relative to `root`: JSON, `{"train": [labels], "test": [labels]}`, or a
            text with a label per line. Clips of other labels are not taken.
        class_split: The split of that file; "test" by default.
        where: Column → a regular expression that all of its value matches, for the rows to take.
        obtain: How to get the data, for the error where it is not there.

    Raises:
        ValueError: for none or several of `folder`, `hub` and `scp`, and for a pattern that is no regular expression.
    """

    folder: str | None = None
    hub: str | None = None
    scp: str | None = None
    root: str | None = None
    audio_root: str | None = None
    config: str | None = None
    split: str = "test"
    revision: str | None = None
    audio: str = "audio"
    target: str | None = None
    label: str | None = "label"
    group: str | None = None
    text: str | None = None
    id: str | None = None
    label_pattern: str | None = None
    group_pattern: str | None = None
    class_splits: str | None = None
    class_split: str | None = None
    where: dict[str, str] = field(default_factory=dict)
    obtain: str = ""

    def __post_init__(self):
        given = [name for name in ("folder", "hub", "scp") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"A source has one of `folder`, `hub` and `scp`, got {' and '.join(given) or 'none'}.")
        for pattern in (self.label_pattern, self.group_pattern, *self.where.values()):
            try:
                re.compile(pattern or "")
            except (re.error, TypeError) as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}.") from error

    def classes(self, name: str) -> frozenset[str] | None:
        """
        The labels of the split of `class_splits`; None where there is no such file.

        Raises:
            FileNotFoundError: where the file is missing.
            ValueError: where it holds no such split.
        """
        if not self.class_splits:
            return None
        path = Path(self.root or "") / self.class_splits
        if not path.is_file():
            raise FileNotFoundError(
                f"Task {name!r} takes the classes of {str(path)!r}, which is not there: write one as JSON, "
                '{"train": [labels], "test": [labels]}, or name another as `class_splits`. ' + self.obtain
            )
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            found = [line.strip() for line in text.splitlines() if line.strip()]
        else:
            try:
                splits = json.loads(text)
            except ValueError as error:
                raise ValueError(f"{path} is no JSON: {error}") from error
            split = self.class_split or "test"
            found = splits.get(split) if isinstance(splits, dict) else None
            if not isinstance(found, list):
                known = ", ".join(map(repr, splits)) if isinstance(splits, dict) else "no splits"
                raise ValueError(f"{path} has no list of classes {split!r}; it has {known}.")
        return frozenset(map(str, found))

    def locate(self, name: str) -> Path:
        """
        The path of a `folder` or an `scp`.

        Raises:
            FileNotFoundError: where there is none; the message says how to get the data.
        """
        path = Path(self.root or "") / (self.folder or self.scp)
        if not path.exists():
            raise FileNotFoundError(
                f"Task {name!r} has its clips in {str(path)!r}, which is not there; pass `root=`, the folder that "
                f"holds {(self.folder or self.scp)!r}. {self.obtain}".rstrip()
            )
        return path


@dataclass(frozen=True)
class Clip:
    """
    A labelled clip.

    Args:
        id: Its name in the task.
        label: Its label.
        audio: Where it is: a path, a function that returns the bytes of a file, or an array and its rate.
        group: What it may have in common with clips beside the label; None where that is not known.
        text: What is said in it, if that is known.
        target: The audio that answers it, where the task is audio to audio.
        seconds: Its first seconds are taken; None for all of it.
        trim: Whether what is silent before it is left out first.
        pad: Whether a shorter one is filled with zeros to `seconds`.
    """

    id: str
    label: str
    audio: Stored = field(repr=False)
    group: str | None = None
    text: str | None = None
    target: Stored | None = field(default=None, repr=False)
    seconds: float | None = None
    trim: bool = False
    pad: bool = False

    def load(self, sampling_rate: int) -> np.ndarray:
        """
        Reads the clip: the mean of its channels, resampled.

        Args:
            sampling_rate: The rate to have it at, in Hz.

        Returns:
            float32, `(samples,)`.

        Raises:
            ValueError: naming the clip, for audio that cannot be used.
            OSError: where its file is missing.
        """
        return self._load(self.audio, sampling_rate)

    def load_target(self, sampling_rate: int) -> np.ndarray:
        """Reads the answer as `load` reads the clip; it is not trimmed, for it starts with the clip."""
        if self.target is None:
            raise ValueError(f"Clip {self.id!r} has no target: the task's source names no column for it.")
        return self._load(self.target, sampling_rate, trim=False)

    def _load(self, stored: Stored, sampling_rate: int, trim: bool | None = None) -> np.ndarray:
        try:
            if isinstance(stored, tuple):
                samples, rate = stored
            else:
                samples, rate = read_audio(stored() if callable(stored) else stored)
            samples = _extractor(sampling_rate).prepare(samples, rate, resample=True, channels="mean")
        except ValueError as error:
            raise ValueError(f"Clip {self.id!r}: {error}") from error
        if self.trim if trim is None else trim:
            samples = trim_start(samples, sampling_rate)
        if self.seconds is not None:
            length = round(self.seconds * sampling_rate)
            samples = samples[:length]
            if self.pad:
                samples = np.pad(samples, (0, length - len(samples)))
        return samples


class ClipList(list[Clip]):
    """
    Clips, and what was left out.

    Attributes:
        skipped (`list[tuple[str, str]]`): Id and reason of each clip that cannot be used.
    """

    def __init__(self, clips=()):
        super().__init__(clips)
        self.skipped: list[tuple[str, str]] = []


@cache
def _extractor(sampling_rate: int) -> LLMCodecFeatureExtractor:
    return LLMCodecFeatureExtractor(sampling_rate=sampling_rate)


def trim_start(samples: np.ndarray, sampling_rate: int) -> np.ndarray:
    """Leaves out the frames before the first one whose peak is within `TRIM_BELOW` dB of the clip's: `(samples,)`."""
    size = max(1, round(TRIM_FRAME * sampling_rate))
    frames = np.pad(np.abs(samples), (0, math.ceil(len(samples) / size) * size - len(samples))).reshape(-1, size)
    peaks = frames.max(axis=1)
    return samples[int(np.argmax(peaks >= peaks.max() * 10 ** (-TRIM_BELOW / 20))) * size :]


def load_clips(task) -> ClipList:
    """
    The clips of a task, in the order of its source. Only their headers are read; those that are no audio, empty or
    without a label are left out and listed.

    Args:
        task ([`Task`]): The task: its source, its labels (clips of others are not taken), `seconds` and `trim`.

    Returns:
        [`ClipList`].

    Raises:
        FileNotFoundError: where the data is not there.
        ValueError: for a column that the source has not, for two clips of one id, and where no clip is left.
        ImportError: where the source is a dataset and `datasets` is missing.
    """
    source, clips, seen = task.source, ClipList(), set()
    classes = source.classes(task.name)
    rows = _rows_of_hub(source) if source.hub else _rows_of_files(source, task.name, clips.skipped)
    for row, audio, target in rows:
        if any(re.fullmatch(pattern, str(_column(row, name))) is None for name, pattern in source.where.items()):
            continue
        name = str(_column(row, source.id)) if source.id else row["path"]
        label = ONLY_LABEL if source.label is None else _matched(_column(row, source.label), source.label_pattern)
        if label is not None and (task.labels and label not in task.labels or classes and label not in classes):
            continue
        if name in seen:
            raise ValueError(f"Task {task.name!r} has two clips of the id {name!r}: name another column as `id`.")
        seen.add(name)
        reason = "it has no label" if label is None else _defect(audio) or (target and _defect(target))
        if reason:
            clips.skipped.append((name, reason))
            continue
        group = _matched(_column(row, source.group, "group"), source.group_pattern)
        text = _matched(_column(row, source.text, "text"), None)
        pad = task.output == "audio" and task.seconds is not None
        clips.append(Clip(name, label, audio, group, text, target, task.seconds, task.trim, pad))
    if clips.skipped:
        logger.warning("Task %r: left out %d clips, such as %s.", task.name, len(clips.skipped), clips.skipped[:3])
    if not clips:
        raise ValueError(f"Task {task.name!r} has no clips that can be used; {len(clips.skipped)} were left out.")
    return clips


def _rows_of_files(source: Source, task_name: str, skipped: LeftOut) -> Iterator[tuple[dict, Path, Path | None]]:
    """Rows of a folder or of an episode file, with their paths; a table alone names targets. Lists what is left out."""
    start = source.locate(task_name)
    if source.scp:
        root = Path(source.audio_root) if source.audio_root else start.parent
        names = {name: None for e in read_scp(start) for name in (*(clip for clip, _ in e.examples), e.query)}
        for name in names:  # a dict, for its order
            yield {"path": name, "label": name.split("/")[0]}, root / name, None
        return
    files, left_out = list_files(start)
    skipped.extend(left_out)
    tables = [table for folder in sorted({start, *(path.parent for path in files)}) if (table := find_table(folder))]
    named = set(tables)
    for table in tables:
        for row in read_table(table):
            path = table.parent / file_of_row(row, table)
            target = table.parent / _column(row, source.target) if source.target else None
            named |= {path, target}
            yield {"path": _name(path, start)} | row, path, target
    for path in files:
        name = _name(path, start)
        if path in named:
            continue
        if not is_audio(path):
            skipped.append((name, NO_AUDIO))
        elif tables:
            skipped.append((name, f"no row of {_name(tables[0], start)} names it"))
        else:
            yield {"path": name, "label": path.parent.name}, path, None


def _name(path: Path, folder: Path) -> str:
    """A path relative to a folder, or as it is where it leads out of it."""
    path = Path(os.path.normpath(path))
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def _rows_of_hub(source: Source) -> Iterator[tuple[dict, Stored, Stored | None]]:
    """Rows of a dataset, with functions that read a row's files; class labels by their names."""
    try:
        from datasets import Audio, ClassLabel, load_dataset
    except ImportError as error:
        raise ImportError(f"{source.hub!r} is read by `datasets`: run `pip install 'llm-codec-hf[eval]'`.") from error
    dataset = load_dataset(source.hub, source.config, split=source.split, revision=source.revision)
    for column in filter(None, (source.audio, source.target)):
        if column not in dataset.column_names:
            raise ValueError(f"{source.hub!r} has no column {column!r}; it has {dataset.column_names}.")
        dataset = dataset.cast_column(column, Audio(decode=False))  # its decoder is torchcodec; soundfile is ours
    others = [name for name in dataset.column_names if name not in (source.audio, source.target)]
    names = {n: f.names for n, f in dataset.features.items() if isinstance(f, ClassLabel)}
    for index, row in enumerate(dataset.select_columns(others)):
        row = {n: names[n][v] if n in names and v is not None and v >= 0 else v for n, v in row.items()}
        target = partial(_stored_cell, dataset, index, source.target) if source.target else None
        yield {"path": f"{index:06d}"} | row, partial(_stored_cell, dataset, index, source.audio), target


def _stored_cell(dataset, index: int, column: str) -> bytes | Path:
    return stored_audio(dataset.select_columns([column])[index][column])


def _column(row: dict[str, Any], name: str | None, default: str | None = None) -> Any:
    """A row's value; None for a default column that is not there."""
    if name is None:
        return row.get(default)
    if name not in row:
        raise ValueError(f"The source has no column {name!r}; it has {sorted(row)}.")
    return row[name]


def _matched(value: Any, pattern: str | None) -> str | None:
    """A value as text, or the part of it that a pattern takes; None for none."""
    if value is None or pattern is None:
        return None if value is None else str(value)
    found = re.search(pattern, str(value))
    return found and found[1 if found.re.groups else 0]


def _defect(stored: Stored) -> str | None:
    """Why audio cannot be used, as far as its headers tell."""
    if isinstance(stored, Path) and not stored.is_file():
        return "there is no such file"
    try:
        inspect_audio(stored() if callable(stored) else stored)
    except (OSError, ValueError) as error:
        return str(error).removeprefix(f"{stored}: ")
    return None
