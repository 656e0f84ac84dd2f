# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Audio in folders, tables and datasets: which files there are, what their headers say, what is known of them."""

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..audio_llm_codec import AUDIO_SUFFIXES, Source, name_of, open_audio, write_wav
from .atomic import whole_file

LeftOut = list[tuple[str, str]]  # name and reason

TABLE_SUFFIXES = (".csv", ".jsonl", ".parquet")
NO_AUDIO = "its name has no suffix of audio"


class AudioInfo(NamedTuple):
    """
    What is known of audio without decoding it.

    Attributes:
        frames: Samples per channel. Of formats of PyAV this is what the header says, which may differ by some.
        sampling_rate: In Hz.
        channels: Their number.
    """

    frames: int
    sampling_rate: int
    channels: int


def inspect_audio(source: Source, allow_truncated: bool = False) -> AudioInfo:
    """
    What the headers of audio say. It is decoded only where they say nothing of its length.

    Args:
        source: As `open_audio` takes it.
        allow_truncated: Whether a file that is cut counts with what is there.

    Raises:
        OSError: If the file is missing.
        ValueError: If it is no audio, cut or empty.
    """
    with open_audio(source, allow_truncated, quick=True) as audio:
        audio.check_whole()
        frames = sum(block.shape[1] for block in audio.blocks()) if audio.frames is None else audio.frames
        if not frames:
            raise ValueError(f"{name_of(source)}: It is empty: it has no samples.")
        return AudioInfo(frames, audio.samplerate, audio.channels)


def is_audio(path: str | os.PathLike) -> bool:
    """Whether a file's name is that of audio which can be read."""
    return Path(path).suffix.lower() in AUDIO_SUFFIXES


def list_files(folder: str | os.PathLike) -> tuple[list[Path], LeftOut]:
    """
    All files of a folder and of those in it, by their paths. Hidden ones are no part of it.

    Links are followed; one that leads back to a folder that it is in is left out.

    Returns:
        The files, and what was left out: its path relative to the folder, and the reason.
    """
    folder, files, left_out = Path(folder), [], []
    waiting = [(folder, frozenset())]
    while waiting:
        parent, above = waiting.pop()
        try:
            status = os.stat(parent)
            entries = [entry for entry in os.scandir(parent) if not entry.name.startswith(".")]
        except OSError as error:
            left_out.append((parent.relative_to(folder).as_posix(), error.strerror or str(error)))
            continue
        above = above | {(status.st_dev, status.st_ino)}
        for entry in entries:
            path = parent / entry.name
            try:
                status = os.stat(path)
                if not entry.is_dir():
                    files.append(path)
                elif (status.st_dev, status.st_ino) in above:
                    left_out.append((path.relative_to(folder).as_posix(), "it is a link to a folder that it is in"))
                else:
                    waiting.append((path, above))
            except OSError as error:  # links that lead nowhere, or to themselves
                left_out.append((path.relative_to(folder).as_posix(), f"it cannot be opened: {error.strerror}"))
    return sorted(files), sorted(left_out)


def find_table(folder: str | os.PathLike, stems: tuple[str, ...] = ("metadata",)) -> Path | None:
    """
    The table of a folder's clips, such as its `metadata.csv`, `metadata.jsonl` or `metadata.parquet`.

    Args:
        folder: The folder.
        stems: Names that a table may have, the first one preferred.

    Raises:
        ValueError: If there are several of a name.
    """
    for stem in stems:
        found = [path for suffix in TABLE_SUFFIXES if (path := Path(folder, stem + suffix)).is_file()]
        if len(found) > 1:
            raise ValueError(f"{folder} has {' and '.join(path.name for path in found)}; keep one of them.")
        if found:
            return found[0]
    return None


def read_table(path: str | os.PathLike) -> list[dict[str, Any]]:
    """
    The rows of a table: CSV (with a line of names, in UTF-8), JSON lines or Parquet. Empty cells of CSV are None.

    Raises:
        ValueError: If it is no such table; the message names the line.
        ImportError: If it is Parquet and pyarrow is missing.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        return _read_parquet(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}.") from error
    if path.suffix == ".csv":
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            try:
                return [_csv_row(row) for row in reader]
            except (csv.Error, ValueError) as error:
                raise ValueError(f"Line {reader.line_num} of {path} is no CSV: {error}.") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"it is a {type(row).__name__}")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"Line {number} of {path} is no JSON object: {error}.") from error
        rows.append(row)
    return rows


def _csv_row(row: dict) -> dict[str, str | None]:
    if None in row:
        raise ValueError("it has more values than the first line has names")
    return {name: value or None for name, value in row.items()}


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(f"{path} is read by pyarrow: run `pip install 'llm-codec-hf[eval]'`.") from error
    try:
        return parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is no Parquet: {error}.") from error


def file_of_row(row: Mapping[str, Any], table: Path) -> str:
    """
    The name of a row's file, relative to its table: of `file_name`, `path`, or the one column `*_file_name`.

    Raises:
        ValueError: If the row names none.
    """
    others = [name for name in row if name.endswith("_file_name")]
    for name in ("file_name", "path", *(others if len(others) == 1 else ())):
        if isinstance(row.get(name), str):
            return row[name]
    raise ValueError(f"A row of {table} names no file: it needs a column `file_name`, and has {sorted(row)}.")


def stored_audio(cell: Any) -> bytes | Path:
    """
    The file of a cell of undecoded audio, as `datasets` has it: `bytes`, or else `path`.

    Raises:
        ValueError: If the cell holds neither.
    """
    if isinstance(cell, Mapping):
        if cell.get("bytes") is not None:
            return cell["bytes"]
        if cell.get("path") is not None:
            return Path(cell["path"])
        cell = sorted(cell)
    raise ValueError(f"A cell of audio has `bytes` or `path`, got {cell!r:.100}.")


def write_whole_wav(path: str | os.PathLike, samples: np.ndarray, sampling_rate: int) -> None:
    """Writes mono samples, `(samples,)`, as 16-bit WAV, whole or not at all."""
    with whole_file(path) as temporary:
        write_wav(temporary, [samples], sampling_rate)


__all__ = [
    "AudioInfo",
    "file_of_row",
    "find_table",
    "inspect_audio",
    "is_audio",
    "list_files",
    "read_table",
    "stored_audio",
    "write_whole_wav",
]
