# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What a codec learns from: clips of audio, drawn at random, the same ones in every run of the same seed."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from transformers.utils import logging
from transformers.utils.logging import tqdm

from ..files.audio_files import stored_audio
from .recordings import SILENCE, File, Recording, Skipped, TrainingClip, cut, inspect, list_folder, whole_length

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

    from .streams import StreamedClips

logger = logging.get_logger(__name__)

MAX_DRAWS = 1000


class Clips:
    """
    Recordings, of which `draw` cuts clips: clip i is the same in every run of the same seed, whatever process asks for
    it and whatever was asked for before.

    A source, which is a subfolder, is drawn with a chance that grows with the root of its duration, so that a long one
    does not drown the others; in it a recording, with one that grows with its duration. `shares` set the chances of
    some sources; the others have what is left, as said.

    Args:
        sources (`dict[str, list[Recording]]`): The recordings of each source.
        open_file (`Callable`): A recording → the path or the binary file with it.
        sampling_rate (`int`): Of the clips, in Hz.
        seed (`int`): Seed of the random draw.
        skipped (`list[tuple[str, str]]`, *optional*): Names of what could not be read so far, and reasons. What shows
            only when it is decoded is added as it is met, in the process that meets it.
        shares (`Mapping[str, float]`, *optional*): Source → chance, from 0 to 1.

    Raises:
        ValueError: If there is no recording, or shares are not of its sources or sum to more than 1.
    """

    def __init__(
        self,
        sources: dict[str, list[Recording]],
        open_file: Callable[[Recording], File],
        sampling_rate: int,
        seed: int = 0,
        skipped: Skipped | None = None,
        shares: Mapping[str, float] | None = None,
    ):
        self.sources = {name: recordings for name, recordings in sources.items() if recordings}
        self.open_file, self.sampling_rate, self.seed = open_file, sampling_rate, seed
        self.skipped = [] if skipped is None else skipped
        if not self.sources:
            raise ValueError(f"Found no audio that can be read; {len(self.skipped)} cannot: {self.skipped[:3]}")
        if self.skipped:
            logger.warning("Left out %d that cannot be read, such as %s.", len(self.skipped), self.skipped[:3])
        durations = [np.array([r.frames / r.rate for r in recordings]) for recordings in self.sources.values()]
        self.minutes = {name: float(d.sum()) / 60 for name, d in zip(self.sources, durations)}
        self._source_steps = _steps(_chances(self.minutes, shares or {}))
        self._recording_steps = [_steps(d) for d in durations]

    @classmethod
    def from_folder(
        cls, folder: str | Path, sampling_rate: int, seed: int = 0, shares: Mapping[str, float] | None = None
    ) -> "Clips":
        """
        Recordings of a folder, of any rate and in any format of `AUDIO_SUFFIXES`. `recordings.list_folder` says where
        their texts are.

        Raises:
            ValueError: If no audio in it can be read.
        """
        sources, skipped = list_folder(Path(folder))
        return cls(sources, partial(_path_of, Path(folder)), sampling_rate, seed, skipped, shares)

    @classmethod
    def from_shards(
        cls, folder: str | Path, sampling_rate: int, seed: int = 0, shares: Mapping[str, float] | None = None
    ) -> "Clips":
        """
        Recordings that `shards.pack` packed, in the order of the folder that it packed.

        Raises:
            ValueError: If the index is damaged, or shards are missing.
        """
        from .shards import read_index

        return cls(read_index(folder), partial(_shard_of, Path(folder)), sampling_rate, seed, shares=shares)

    @classmethod
    def from_dataset(
        cls, dataset: "str | Dataset | IterableDataset", sampling_rate: int, seed: int = 0, **options
    ) -> "Clips | StreamedClips":
        """
        Recordings of a dataset, as one source. The header of each row is read first.

        Args:
            dataset: A dataset of `datasets`, or the name of one.
            sampling_rate: Of the clips, in Hz.
            seed: Seed of the random draw.
            options: Of `streams.open_dataset`: `split`, `config`, `audio_column`, `text_column`, `streaming`.

        Returns:
            `Clips`, or `StreamedClips` of an iterable dataset, of which nothing can be drawn at random.

        Raises:
            ImportError: If `datasets` is missing.
            ValueError: If the dataset lacks a column, or no audio can be read.
        """
        from .streams import StreamedClips, is_stream, open_dataset

        dataset = open_dataset(dataset, **options)
        if is_stream(dataset):
            return StreamedClips(dataset, sampling_rate, seed)
        recordings, skipped = [], []
        for row in tqdm(range(len(dataset)), desc="Listing audio", unit="row"):
            values = dataset[row]
            recording = inspect(
                partial(stored_audio, values["audio"]), f"{row:06d}", skipped, values.get("text"), place=row
            )
            if recording is not None:
                recordings.append(recording)
        return cls({"dataset": recordings}, partial(_row_of, dataset), sampling_rate, seed, skipped)

    @property
    def description(self) -> str:
        """The sources and their minutes, for people."""
        return ", ".join(f"{name} ({minutes:.1f} min)" for name, minutes in self.minutes.items())

    def draw(self, index: int, samples: int, whole: int = 0) -> TrainingClip:
        """
        Clip number `index`, of a length.

        What is silent or cannot be decoded is drawn again. A recording that failed before is tried like any other:
        processes that have met different ones draw the same clips.

        Args:
            index: Number of the clip.
            samples: Its length.
            whole: A recording with a text of at most so many samples is given whole, whatever its length.

        Raises:
            ValueError: If a thousand draws gave nothing.
        """
        generator = np.random.default_rng((self.seed, index))
        names = list(self.sources)
        for _ in range(MAX_DRAWS):
            source = int(self._source_steps.searchsorted(generator.random(), side="right"))
            number = int(self._recording_steps[source].searchsorted(generator.random(), side="right"))
            recording = self.sources[names[source]][number]
            length = whole_length(recording, self.sampling_rate, whole) or samples
            clip = cut(recording, self.open_file, length, self.sampling_rate, generator, self.skipped)
            if clip is not None:
                return clip
        raise ValueError(
            f"Drew {MAX_DRAWS} stretches of {samples} samples; all were silent (no peak above {SILENCE}) or could not "
            f"be decoded: {self.skipped[:3]}"
        )


def open_clips(
    source: str | Path, sampling_rate: int, seed: int = 0, shares: Mapping[str, float] | None = None, **options
) -> "Clips | StreamedClips":
    """
    What a name stands for: a folder of shards, a folder of audio, or else a dataset.

    Args:
        source (`str` or `Path`): The name.
        sampling_rate (`int`): Of the clips, in Hz.
        seed (`int`): Seed of the random draw.
        shares (`Mapping[str, float]`, *optional*): As [`Clips`] takes them, for folders alone.
        options: Of `Clips.from_dataset`, for a dataset alone.

    Raises:
        ValueError: If no audio can be read, or such a source has no such options.
    """
    from .shards import INDEX

    if not Path(source).is_dir():
        if shares:
            raise ValueError(f"{source} is a dataset, which is one source: leave `shares` out.")
        return Clips.from_dataset(str(source), sampling_rate, seed, **options)
    if options:
        raise ValueError(f"{source} is a folder; {', '.join(options)} is for datasets.")
    opened = Clips.from_shards if (Path(source) / INDEX).is_file() else Clips.from_folder
    return opened(source, sampling_rate, seed, shares)


def batch_windows(seed: int, step: int, min_windows: int, max_windows: int) -> int:
    """The number of windows of every clip of a step, from `min_windows` to `max_windows`."""
    return int(np.random.default_rng((seed, step, 3)).integers(min_windows, max_windows + 1))


def _chances(minutes: Mapping[str, float], shares: Mapping[str, float]) -> np.ndarray:
    """The chance of each source."""
    if unknown := sorted(set(shares) - set(minutes)):
        raise ValueError(f"`shares` names {', '.join(unknown)}; the sources are {', '.join(minutes)}.")
    total = sum(shares.values())
    if any(share < 0 for share in shares.values()) or total > 1 + 1e-6 or shares and not total:
        raise ValueError(f"`shares` are from 0 to 1 and sum to at most 1; got {dict(shares)}.")
    roots = {name: m**0.5 for name, m in minutes.items() if name not in shares}
    left = max(0.0, 1 - total) / max(sum(roots.values()), 1e-12)
    return np.array([shares[name] if name in shares else roots[name] * left for name in minutes])


def _steps(weights: np.ndarray) -> np.ndarray:
    """Cumulative shares: `searchsorted` of a uniform draw picks item i with a chance proportional to `weights[i]`."""
    steps = np.cumsum(weights) / np.sum(weights)
    steps[-1] = 1.0
    return steps


# Where the file of a recording is: functions of the module, for they are sent to the processes that read clips.


def _path_of(folder: Path, recording: Recording) -> File:
    return folder / recording.name


def _shard_of(folder: Path, recording: Recording) -> File:
    return folder / recording.place


def _row_of(dataset: "Dataset", recording: Recording) -> File:
    return stored_audio(dataset[recording.place]["audio"])
