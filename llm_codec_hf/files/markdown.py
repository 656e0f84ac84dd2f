# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Tables in Markdown, for reports and cards."""

from collections.abc import Sequence


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: int | None = None, padded: bool = False
) -> str:
    """
    Writes a table in Markdown. Line ends in cells become spaces, and bars are escaped.

    Args:
        header: A title per column.
        rows: The cells of each row, as many as there are titles.
        left: How many of the first columns are aligned to the left; the others are aligned to the right, as numbers
            are. By default all of them are aligned to the left.
        padded: Whether cells are padded to the width of their column, for a table that is read in a terminal too.

    Returns:
        The lines of the table, without a line end after the last.

    Raises:
        ValueError: If a row has more or fewer cells than the header.
    """
    left = len(header) if left is None else left
    lines = [[" ".join(cell.split()).replace("|", r"\|") for cell in row] for row in (header, *rows)]
    for line in lines:
        if len(line) != len(header):
            raise ValueError(f"A row has {len(line)} cells, the table's header has {len(header)}: {line}.")
    widths = [max(3, *map(len, column)) if padded else 0 for column in zip(*lines)]
    ruler = ["-" * max(3, w) if i < left else "-" * max(2, w - 1) + ":" for i, w in enumerate(widths)]
    justify = [str.ljust if i < left else str.rjust for i in range(len(header))]
    lines = [[side(cell, width) for side, cell, width in zip(justify, line, widths)] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], ruler, *lines[1:]))
