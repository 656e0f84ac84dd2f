# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What is said in the audio of a folder: tables and `.txt` files beside it."""

import contextlib
import os
from pathlib import Path

from .audio_files import file_of_row, find_table, is_audio, read_table


def read_texts(folder: Path, paths: list[Path]) -> tuple[dict[str, str], set[Path]]:
    """
    Texts of a `.txt` of the same stem, or of a table `metadata` or `manifest` (`.jsonl`, `.csv` or `.parquet`) in the
    folder or in one directly below it, or a `manifest` in the folder above. Rows have `text` and, relative to their
    table, `file_name` or `path`.

    Args:
        folder: The folder.
        paths: All files in it and below.

    Returns:
        Absolute path of audio → its text; and the files that tell the texts.

    Raises:
        ValueError: If a table cannot be read.
    """
    texts, used = {}, set()
    tables = [find_table(folder.absolute().parent, ("manifest",))]
    for base in (folder, *sorted({folder / p.relative_to(folder).parts[0] for p in paths if p.parent != folder})):
        tables += [find_table(base, ("manifest",)), find_table(base, ("metadata",))]
    for table in filter(None, tables):
        used.add(table)
        for row in read_table(table):
            if text := row.get("text"):
                with contextlib.suppress(ValueError):  # a row of other things than files
                    texts[os.path.abspath(table.parent / file_of_row(row, table))] = text
    stems = {os.path.abspath(path.with_suffix("")): path for path in paths if path.suffix == ".txt"}
    for path in paths if stems else ():
        if is_audio(path) and (beside := stems.get(os.path.abspath(path.with_suffix("")))):
            used.add(beside)
            texts[os.path.abspath(path)] = beside.read_text(encoding="utf-8").strip()
    return texts, used


__all__ = ["read_texts"]
