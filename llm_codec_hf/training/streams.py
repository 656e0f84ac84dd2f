# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Datasets of `datasets`, and clips of those that can only be read from start to end."""

import itertools
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..files.audio_files import stored_audio
from .recordings import SILENCE, File, Recording, Skipped, TrainingClip, cut, inspect, whole_length

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

PIECE = 20  # seconds; longer recordings are cut into such pieces, so that one of an hour is heard in an hour's place
SHUFFLED = 512  # pieces, of which one is drawn at a time
LANE = 2**40  # draws
MAX_DRAWS = 1000


class StreamedClips:
    """
    Clips of a dataset that cannot be drawn from at random, one of each piece of a recording, of 20 s at most.

    The dataset's shards are shuffled, and of the last 512 pieces one is drawn at a time; a dataset that has ended
    begins anew, in another order. Clip i is the same in every run of the same seed, but to reach it, all pieces before
    it are read (not decoded): after a break a run reads on from the start, and each of several processes reads
    everything. `Clips` of a dataset on disk, or shards, have neither cost. Draws from 2⁴⁰ on, and from 2⁴¹, are streams
    of their own, in other orders.

    Args:
        dataset (`IterableDataset`): Of the columns `audio`, undecoded, and maybe `text`.
        sampling_rate (`int`): Of the clips, in Hz.
        seed (`int`): Of the orders and places.
    """

    def __init__(self, dataset: "IterableDataset", sampling_rate: int, seed: int = 0):
        self.dataset, self.sampling_rate, self.seed = dataset, sampling_rate, seed
        self.skipped: Skipped = []
        self.description = "a stream"
        # of each lane: the number of the next piece to come, those kept, and where they come from
        self._lanes: dict[int, tuple[int, deque[Recording], Iterator[Recording]]] = {}

    def draw(self, index: int, samples: int, whole: int = 0) -> TrainingClip:
        """
        Clip number `index`, of a length: of piece number `index`, or of the next that is not silent. A piece with a
        text of at most `whole` samples is given whole.

        Raises:
            ValueError: If a thousand pieces gave nothing, or the dataset has no audio.
        """
        generator = np.random.default_rng((self.seed, index))
        for number in range(index, index + MAX_DRAWS):
            piece = self._piece(number, keep_from=index)
            length = whole_length(piece, self.sampling_rate, whole) or samples
            clip = cut(piece, _file_of, length, self.sampling_rate, generator, self.skipped)
            if clip is not None:
                return clip
        raise ValueError(
            f"Of {MAX_DRAWS} pieces in a row, all were silent (no peak above {SILENCE}) or could not be decoded: "
            f"{self.skipped[:3]}"
        )

    def _piece(self, index: int, keep_from: int) -> Recording:
        """Piece number `index`; those from `keep_from` on stay at hand."""
        lane, number = divmod(index, LANE)
        following, kept, pieces = self._lanes.get(lane, (0, deque(), None))
        if pieces is None or keep_from % LANE < following - len(kept):
            following, kept, pieces = 0, deque(), self._pieces(lane)
        while following <= number:
            kept.append(next(pieces))
            following += 1
        while following - len(kept) < keep_from % LANE:
            kept.popleft()
        self._lanes[lane] = following, kept, pieces
        return kept[number - following]

    def _pieces(self, lane: int) -> Iterator[Recording]:
        """Pieces without end, shuffled."""
        for epoch in itertools.count():
            generator = np.random.default_rng((self.seed, lane, epoch))
            dataset = self.dataset.shuffle(seed=int(generator.integers(2**31)), buffer_size=1)
            waiting: list[Recording] = []
            for piece in itertools.chain.from_iterable(map(self._cut_row, itertools.count(), dataset)):
                if len(waiting) < SHUFFLED:
                    waiting.append(piece)
                    continue
                place = generator.integers(SHUFFLED)
                yield waiting[place]
                waiting[place] = piece
            if not waiting:
                raise ValueError(f"The dataset has no audio that can be read; {len(self.skipped)}: {self.skipped[:3]}")
            yield from (waiting[place] for place in generator.permutation(len(waiting)))

    def _cut_row(self, number: int, row: dict) -> list[Recording]:
        """The pieces of a recording; none of what is no audio. A text is of a recording in one piece alone."""
        file = row["audio"]
        name = (file or {}).get("path") or f"row {number}"
        whole = inspect(lambda: stored_audio(file), name, self.skipped, row.get("text"), place=file)
        if whole is None:
            return []
        length = PIECE * whole.rate
        if whole.frames <= length:
            return [whole]
        starts = range(0, whole.frames, length)
        return [Recording(name, min(length, whole.frames - s), whole.rate, None, s, file) for s in starts]

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_lanes": {}}  # a process that is given this reads for itself


def open_dataset(
    dataset: "str | Dataset | IterableDataset",
    split: str = "train",
    config: str | None = None,
    audio_column: str = "audio",
    text_column: str | None = "text",
    streaming: bool = False,
) -> "Dataset | IterableDataset":
    """
    A dataset with the columns `audio`, undecoded, and `text` where it has one.

    Args:
        dataset: Or its name, for `load_dataset`.
        split: Split of one to load.
        config: Configuration of one to load.
        audio_column: Column of the audio.
        text_column: Column of what is said, None for none; `"text"` need not be there.
        streaming: Whether one to load is read as it comes.

    Raises:
        ImportError: If `datasets` is missing.
        ValueError: If the dataset lacks a column.
    """
    try:
        from datasets import Audio, Value, load_dataset
    except ImportError as error:
        raise ImportError(f"{dataset!r} is read by `datasets`: run `pip install 'llm-codec-hf[train]'`.") from error
    if isinstance(dataset, str):
        try:
            dataset = load_dataset(dataset, config, split=split, streaming=streaming)
        except OSError as error:  # FileNotFoundError, ConnectionError
            raise ValueError(f"{dataset!r} is neither a folder nor a dataset that can be loaded: {error}") from error
    if dataset.column_names is None:  # a generator's
        return dataset
    columns = {audio_column: "audio"}
    if text_column and (text_column != "text" or "text" in dataset.column_names):
        columns[text_column] = "text"
    if missing := [column for column in columns if column not in dataset.column_names]:
        raise ValueError(f"The dataset has no column {missing[0]!r}; it has {', '.join(dataset.column_names)}.")
    if len(columns) > 1 and getattr(dataset.features[text_column], "dtype", None) not in ("string", "large_string"):
        raise ValueError(f"Column {text_column!r} is {dataset.features[text_column]}, no text; pass text_column=None.")
    # Our decoder is soundfile. That of `datasets` is torchcodec, which it also asks for to shuffle a stream of `Audio`:
    # there, the files are made bytes like any other. A dataset on disk would be copied for that.
    plain = {"bytes": Value("binary"), "path": Value("string")} if is_stream(dataset) else Audio(decode=False)
    dataset = dataset.cast_column(audio_column, plain).select_columns(list(columns))
    for column, name in columns.items():
        if column != name:
            dataset = dataset.rename_column(column, name)
    return dataset


def is_stream(dataset: "Dataset | IterableDataset") -> bool:
    """Whether rows can only be read in their order."""
    return not hasattr(dataset, "__len__")


def _file_of(piece: Recording) -> File:
    return stored_audio(piece.place)
