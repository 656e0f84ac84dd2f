# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Pieces of files: what one decoder takes from its start to its end."""

import io
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO


class Splice(io.RawIOBase):
    """
    Bytes and stretches of a file, one after another, as one file.

    Args:
        file: The file; it can seek.
        parts: Bytes, or the start and the stop of a stretch.
    """

    def __init__(self, file: BinaryIO, parts: Sequence[bytes | tuple[int, int]]):
        self._file = file
        self._parts = [part for part in parts if len(part) and (isinstance(part, bytes) or part[0] < part[1])]
        sizes = [len(part) if isinstance(part, bytes) else part[1] - part[0] for part in self._parts]
        self._starts = [0, *itertools.accumulate(sizes)]
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        self._position = max(0, base + offset)  # decoders of damaged files ask for places before the start
        return self._position

    def readinto(self, buffer) -> int:
        view, done = memoryview(buffer).cast("B"), 0
        for part, start, stop in zip(self._parts, self._starts, self._starts[1:]):
            if not start <= self._position < stop:
                continue
            offset, count = self._position - start, min(stop - self._position, len(view) - done)
            if isinstance(part, bytes):
                content = part[offset : offset + count]
            else:
                self._file.seek(part[0] + offset)
                content = self._file.read(count)
            view[done : done + len(content)] = content
            done += len(content)
            self._position += len(content)
            if len(content) < count or done == len(view):
                break
        return done


@dataclass(frozen=True)
class Piece:
    """
    A stream that libsndfile decodes from its start to its end.

    Args:
        parts: Of the file, for `Splice`.
        is_cut: Whether the file ends before the stream does.
        claimed: Samples per channel that a cut stream had, where its header tells.
    """

    parts: tuple[bytes | tuple[int, int], ...]
    is_cut: bool = False
    claimed: int | None = None


def bytes_at(file: BinaryIO, position: int, count: int) -> bytes:
    """So many bytes from a position on, or as many as there are."""
    file.seek(position)
    return file.read(count)


def find_mark(file: BinaryIO, position: int, mark: bytes, size: int) -> int:
    """The first position from here on at which a mark stands; the file's size where it does not."""
    while position < size:
        content = bytes_at(file, position, 2**16)
        place = content.find(mark)
        if place >= 0:
            return position + place
        if len(content) < 2**16:
            break
        position += len(content) - len(mark) + 1
    return size


__all__ = ["Piece", "Splice", "bytes_at", "find_mark"]
