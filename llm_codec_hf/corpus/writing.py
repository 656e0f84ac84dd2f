# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Rows of codes as files: Parquet, with its codec in the metadata, or WebDataset shards."""

import io
import json
import tarfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

from .identity import CodecIdentity

METADATA = b"llm_codec"  # key of a Parquet file's metadata
CODES_AT_ONCE = 2**20  # that are kept in memory before they are written


def schema_of(identity: CodecIdentity, layout: str, more: dict[str, Any]) -> pyarrow.Schema:
    """
    The schema of rows.

    Args:
        identity: The codec.
        layout: `"groups"`, a list of groups of codes, or `"flat"`, one list of the groups' codes in turn.
        more: Further facts for the metadata.
    """
    code = pyarrow.int32()
    codes = pyarrow.list_(pyarrow.list_(code, identity.codes_per_group) if layout == "groups" else code)
    metadata = {METADATA: json.dumps(identity.to_dict() | {"layout": layout} | more)}
    return pyarrow.schema(
        [
            ("id", pyarrow.string()),
            ("audio_codes", codes),
            ("num_samples", pyarrow.int64()),
            ("sampling_rate", pyarrow.int32()),
            ("text", pyarrow.string()),
            ("source", pyarrow.string()),
            ("codec", pyarrow.string()),
        ],
        metadata,
    )


class RowWriter(ABC):
    """Writes rows, one after the other, into one file; `close` ends it."""

    @abstractmethod
    def write(self, row: dict[str, Any]) -> None:
        """
        Adds a row.

        Args:
            row: The columns, with `audio_codes` as int32 `(groups, codes_per_group)`.
        """

    @abstractmethod
    def close(self) -> None:
        """Writes what is left, and closes the file."""


class ParquetRows(RowWriter):
    """
    Parquet, in row groups of a bounded size.

    Args:
        path: The file.
        schema: As `schema_of` gives it.
    """

    def __init__(self, path: Path, schema: pyarrow.Schema):
        self._schema, self._rows, self._codes = schema, [], 0
        self._writer = parquet.ParquetWriter(path, schema, compression="zstd")

    def write(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        self._codes += row["audio_codes"].size
        if self._codes >= CODES_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        arrays = []
        for field in self._schema:
            values = [row[field.name] for row in self._rows]
            arrays.append(
                self._codes_array(values) if field.name == "audio_codes" else pyarrow.array(values, field.type)
            )
        self._writer.write_table(pyarrow.table(arrays, schema=self._schema))
        self._rows, self._codes = [], 0

    def _codes_array(self, codes: list[np.ndarray]) -> pyarrow.Array:
        inner = self._schema.field("audio_codes").type.value_type
        values = pyarrow.array(np.concatenate(codes).reshape(-1), pyarrow.int32())
        if pyarrow.types.is_fixed_size_list(inner):
            values, lengths = pyarrow.FixedSizeListArray.from_arrays(values, type=inner), [len(c) for c in codes]
        else:
            lengths = [c.size for c in codes]
        offsets = pyarrow.array(np.cumsum([0, *lengths]), pyarrow.int32())
        return pyarrow.ListArray.from_arrays(offsets, values, type=self._schema.field("audio_codes").type)

    def close(self) -> None:
        self._flush()
        self._writer.close()


class WebDatasetRows(RowWriter):
    """
    A tar file; a row is `KEY.codes.npy`, int32 `(groups, codes_per_group)`, `KEY.txt`, its text or nothing, and
    `KEY.json`, all its other columns.

    Args:
        path: The file.
        prefix: What keys begin with, so that no two shards share one.
        metadata: Of the codec, which every row's JSON has.
    """

    def __init__(self, path: Path, prefix: str, metadata: dict[str, Any]):
        self._tar, self._prefix, self._metadata = tarfile.open(path, "w"), prefix, metadata
        self._count = 0

    def write(self, row: dict[str, Any]) -> None:
        key = f"{self._prefix}-{self._count:06d}"
        self._count += 1
        content = io.BytesIO()
        np.save(content, row["audio_codes"])
        self._add(f"{key}.codes.npy", content.getvalue())
        others = {name: value for name, value in row.items() if name not in ("audio_codes", "text")}
        # not in the JSON, where `datasets` takes a column that begins with nulls for one of nothing else
        self._add(f"{key}.txt", (row["text"] or "").encode())
        self._add(f"{key}.json", json.dumps(others | {"llm_codec": self._metadata}, ensure_ascii=False).encode())

    def _add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))

    def close(self) -> None:
        self._tar.close()


__all__ = ["METADATA", "ParquetRows", "RowWriter", "WebDatasetRows", "schema_of"]
