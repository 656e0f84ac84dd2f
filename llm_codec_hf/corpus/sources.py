# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Where a corpus comes from: folders, manifests, Parquet, datasets and WebDataset shards, listed and opened alike."""

import glob
import hashlib
import json
import os
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ..audio_llm_codec import AUDIO_SUFFIXES
from ..files.audio_files import NO_AUDIO, LeftOut, file_of_row, is_audio, list_files, read_table, stored_audio
from ..files.texts import read_texts
from .configuration import TokenizeConfig

MANIFEST_SUFFIXES = (".jsonl", ".json", ".csv")
PATTERN = "*?["  # a name with one of these is a pattern of files
OF_MANIFESTS = ("audio_filepath", "audio", "wav")  # further names that people give the column of the file


class Entry(NamedTuple):
    """
    A clip of a source, of which no audio was read yet.

    Attributes:
        id: Its name in the source; no other has it.
        place: Where it is, to the source.
        stamp: What changes where the clip changes.
        text: What is said in it, if that is known.
        problem: Why it cannot be read, if that is known.
    """

    id: str
    place: str
    stamp: str
    text: str | None = None
    problem: str | None = None


class Source(ABC):
    """Clips of one kind of source. `left_out` has what is there and no clip, after they were listed."""

    def __init__(self, config: TokenizeConfig):
        self.config = config
        self.left_out: LeftOut = []

    @property
    def name(self) -> str:
        """What rows call the source: an id of `datasets`, or the last part of a path."""
        return Path(self.config.source).name if os.path.exists(self.config.source) else self.config.source

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """
        Lists the clips. No audio is read.

        Raises:
            ValueError: For a table that cannot be read or lacks a column.
        """

    @abstractmethod
    def open(self, place: str) -> Path | bytes:
        """
        The file of a clip, as `open_audio` takes it.

        Args:
            place: As the clip's entry has it.

        Raises:
            OSError: If it is not there any more.
        """


class Folder(Source):
    """All audio of a folder and of those in it; texts as `read_texts` finds them. An id is a path in the folder."""

    def entries(self) -> Iterator[Entry]:
        folder = Path(self.config.source)
        files, left_out = list_files(folder)
        texts, used = read_texts(folder, files)
        for name, reason in left_out:  # a link that leads nowhere, a folder that may not be read
            yield Entry(name, name, "left out", None, f"It is left out: {reason}.")
        for path in files:
            name = path.relative_to(folder).as_posix()
            if is_audio(path):
                yield Entry(name, name, _stamp(path), texts.get(os.path.abspath(path)))
            elif path not in used:
                self.left_out.append((name, NO_AUDIO))

    def open(self, place: str) -> Path:
        return Path(self.config.source, place)


class Manifest(Source):
    """Rows of JSON lines or CSV that name files, relative to the table. An id is the row's, or the file's name."""

    def entries(self) -> Iterator[Entry]:
        table = Path(self.config.source)
        for number, row in enumerate(read_table(table), 1):
            others = [row[name] for name in OF_MANIFESTS if isinstance(row.get(name), str)]
            name = others[0] if others else file_of_row(row, table)
            path, text = table.parent / name, row.get(self.config.text_column)
            given = row.get(self.config.id_column)
            there = path.is_file()
            yield Entry(
                name if given is None else str(given),
                name,
                _stamp(path) if there else "missing",
                text if text is None else str(text),
                None if there else f"There is no file {name!r}, which row {number} of the manifest names.",
            )

    def open(self, place: str) -> Path:
        return Path(self.config.source).parent / place


class WebDataset(Source):
    """
    Tar files of clips and what belongs to them: `key.wav` with `key.txt`, or `key.json` with the text's column. An id
    is the shard's name and the clip's in it. Clips are read where they are in the tar.
    """

    def entries(self) -> Iterator[Entry]:
        for path in _files_of(self.config.source, (".tar",)):
            stamp = _stamp(path)
            clips, texts, problem = self._index(path)
            for name, start, size in clips:
                place = json.dumps([path.as_posix(), start, size])
                yield Entry(f"{path.name}/{name}", place, stamp, texts.get(_key(name)))
            if problem:
                yield Entry(path.name, json.dumps([path.as_posix(), 0, 0]), stamp, None, problem)

    def _index(self, path: Path) -> tuple[list[tuple[str, int, int]], dict[str, str], str | None]:
        """Name, first byte and size of each clip; the texts by key; and what is wrong with the shard."""
        clips, texts = [], {}
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    suffix = os.path.splitext(member.name)[1].lower()
                    if not member.isfile():
                        continue
                    if suffix in AUDIO_SUFFIXES:
                        clips.append((member.name, member.offset_data, member.size))
                    elif suffix == ".txt":
                        texts[_key(member.name)] = tar.extractfile(member).read().decode().strip()
                    elif suffix == ".json":
                        text = json.load(tar.extractfile(member)).get(self.config.text_column)
                        if text is not None:
                            texts[_key(member.name)] = str(text)
                    else:
                        self.left_out.append((f"{path.name}/{member.name}", NO_AUDIO))
        except (tarfile.TarError, ValueError, AttributeError, EOFError) as error:
            return clips, texts, f"The shard cannot be read to its end, or is compressed: {error}."
        return clips, texts, None

    def open(self, place: str) -> bytes:
        path, start, size = json.loads(place)
        with open(path, "rb") as file:
            file.seek(start)
            content = file.read(size)
        if len(content) < size:
            raise ValueError(f"The shard {path} ends within this clip; get it whole.")
        return content


class Table(Source):
    """Rows of Parquet, or of an id of `datasets`, with a column of audio. An id is a row's column, or its number."""

    @cached_property
    def dataset(self) -> Any:
        """The dataset, its audio undecoded. Parquet is converted to Arrow once, in the cache of `datasets`."""
        from datasets import Audio, load_dataset

        config = self.config
        if os.path.exists(config.source) or set(config.source) & set(PATTERN):
            files = [str(path) for path in _files_of(config.source, (".parquet",))]
            dataset = load_dataset("parquet", data_files=files, split="train")
        else:
            dataset = load_dataset(config.source, config.config, split=config.split)
        if config.audio_column not in dataset.column_names:
            raise ValueError(
                f"{config.source} has no column {config.audio_column!r} of audio; it has {dataset.column_names}: name "
                "one with `audio_column`."
            )
        return dataset.cast_column(config.audio_column, Audio(decode=False))

    def entries(self) -> Iterator[Entry]:
        config, names = self.config, self.dataset.column_names
        known = [[url, value.get("num_bytes")] for url, value in (self.dataset.info.download_checksums or {}).items()]
        stamp = _sha(json.dumps([len(self.dataset), sorted(names), sorted(known, key=str)]))
        columns = [name for name in (config.id_column, config.text_column) if name in names]
        if not columns:
            rows: Iterable[dict] = ({} for _ in range(len(self.dataset)))
        else:
            rows = self.dataset.select_columns(columns)
        for index, row in enumerate(rows):
            name, text = row.get(config.id_column), row.get(config.text_column)
            yield Entry(
                f"{index:08d}" if name is None else str(name),
                str(index),
                stamp,
                text if text is None else str(text),
            )

    def open(self, place: str) -> Path | bytes:
        column = self.config.audio_column
        return stored_audio(self.dataset.select_columns([column])[int(place)][column])


def make_source(config: TokenizeConfig) -> Source:
    """
    The source that a configuration names, by what is there of this name: a folder of audio, of `.tar` or of `.parquet`
    files, such a file, a pattern of such files, a manifest; otherwise an id of `datasets`.

    Raises:
        FileNotFoundError: For a name that is clearly one of a file, which is not there.
        ValueError: For a folder that has nothing of it, or a file of another kind.
    """
    path, suffix = Path(config.source), Path(config.source).suffix.lower()
    if path.is_dir():
        files = list_files(path)[0]
        if any(is_audio(file) for file in files):
            return Folder(config)
        for kind, ending in ((WebDataset, ".tar"), (Table, ".parquet")):
            if any(file.suffix == ending for file in files):
                return kind(config)
        raise ValueError(f"{path} has no audio, no .tar and no .parquet: name a folder that has.")
    if suffix in (".tar", ".parquet") and (path.is_file() or set(config.source) & set(PATTERN)):
        return WebDataset(config) if suffix == ".tar" else Table(config)
    if path.is_file():
        if suffix in MANIFEST_SUFFIXES:
            return Manifest(config)
        raise ValueError(f"{path} is no manifest ({', '.join(MANIFEST_SUFFIXES)}), no .parquet and no .tar.")
    if suffix in (".tar", ".parquet", *MANIFEST_SUFFIXES) or path.is_absolute() or config.source.startswith("."):
        raise FileNotFoundError(f"There is no {config.source!r}.")
    return Table(config)


def _files_of(source: str, suffixes: tuple[str, ...]) -> list[Path]:
    """The files of a folder, of a pattern, or the one of this name."""
    path = Path(source)
    if path.is_dir():
        found = [file for file in list_files(path)[0] if file.suffix in suffixes]
    else:
        found = [path] if path.is_file() else [Path(name) for name in sorted(glob.glob(source))]
    if not found:
        raise FileNotFoundError(f"There is no file {source!r}.")
    return found


def _stamp(path: Path) -> str:
    status = os.stat(path)
    return f"{status.st_size}:{status.st_mtime_ns}"


def _key(name: str) -> str:
    """What the files of a clip in a shard have in common: the path up to the first dot of the name."""
    folder, _, base = name.rpartition("/")
    return f"{folder}/{base.partition('.')[0]}"


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


__all__ = ["Entry", "Source", "make_source"]
