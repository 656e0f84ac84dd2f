# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Measurements as Markdown."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from llm_codec_hf.files.markdown import markdown_table

from .codecs import OURS, Row
from .measurements import Measurements, speed

HEADER = ["audio", "codec", "s/s", "to ours", "peak memory", "GFLOP per s of audio", "of ceiling"]


def duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds > size and seconds % size == 0 or seconds == 3600:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def rate(value: float) -> str:
    """Three digits, more for large numbers."""
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def megabytes(size: int | None) -> str:
    return "–" if size is None else f"{size / 1e6:,.0f} MB"


def cells(measurements: Measurements, row: Row, operation: str, seconds: float, batch: int) -> list[str]:
    """One row of the table, from the third column on."""
    record, ours = (measurements.case(key, operation, seconds, batch) for key in (row.key, OURS.key))
    if record is None:
        return ["not measured", *["–"] * 4]
    if "error" in record:
        return ["failed", *["–"] * 4]
    flops = record["flops"]
    if flops is None and ours is not None:  # of a compiled row: it computes what ours does
        flops = ours.get("flops")
    ratio = f"{speed(record) / speed(ours):.2f}" if speed(ours) else "–"
    work = share = "–"
    if flops:
        work = f"{flops / (seconds * batch) / 1e9:.1f}"
        share = f"{flops / median(record['times']) / max(measurements.rates[row.dtype]):.0%}"
    return [rate(speed(record)), ratio, megabytes(record["memory"]), work, share]


def speed_table(measurements: Measurements, rows: Sequence[Row], operation: str) -> str:
    measured = {key for key, case in measurements.cases if case.kind == "case"}
    lines = []
    for seconds, batch in measurements.sizes():
        size = duration(seconds) if batch == 1 else f"{batch} × {duration(seconds)}"
        for row in rows:
            if row.key in measured:
                lines.append([size, row.title, *cells(measurements, row, operation, seconds, batch)])
    return markdown_table(HEADER, lines, left=2, padded=True)


def memory_table(measurements: Measurements) -> str:
    lengths = measurements.lengths(OURS.key)
    lines = []
    for operation in ("encode", "decode"):
        line = [operation]
        for record in (measurements.length(OURS.key, operation, seconds) for seconds in lengths):
            if record is None:
                line.append("not measured")
            else:
                line.append("failed" if "error" in record else megabytes(record["memory"]))
        lines.append(line)
    return markdown_table(["", *map(duration, lengths)], lines, left=1, padded=True)


def failures(measurements: Measurements, rows: Sequence[Row]) -> str:
    """Every case that failed, and why."""
    titles = {row.key: row.title for row in rows}
    return "\n".join(
        f"- failed: {titles[key]}, {case.operation}, {case.batch} × {duration(case.seconds)}: {record['error']}"
        for (key, case), record in measurements.cases.items()
        if "error" in record and key in titles
    )


def machine_list(measurements: Measurements) -> str:
    fields = {name.replace("_gb", " (GB)"): value for name, value in measurements.machine.items() if value is not None}
    lines = [f"- {name}: {value}" for name, value in fields.items()] + [f"- date: {measurements.date}"]
    for dtype, rates in measurements.rates.items():
        best, worst = max(rates) / 1e9, min(rates) / 1e9
        lines.append(f"- ceiling: {best:,.0f} GFLOP/s, the best {dtype} matrix product; at the worst time {worst:,.0f}")
    if measurements.half_precision is not None:
        share, codes = measurements.half_precision["share"], measurements.half_precision["codes"]
        lines.append(f"- bfloat16 against float32: {share:.1%} of {codes:,} codes differ (random weights and audio)")
    return "\n".join(lines)


def report(measurements: Measurements, rows: Sequence[Row]) -> str:
    parts = [machine_list(measurements)]
    if measurements.sizes():
        parts += [f"To {name}:\n\n{speed_table(measurements, rows, name)}" for name in ("encode", "decode")]
    if measurements.lengths(OURS.key):
        parts.append(f"Peak memory of ours, against length:\n\n{memory_table(measurements)}")
    parts.append(failures(measurements, rows))
    return "\n\n".join(filter(None, parts)) + "\n"


def update_readme(path: Path, device: str, text: str) -> None:
    """Puts a report between the markers of its device."""
    start, end = f"<!-- {device} -->", f"<!-- end of {device} -->"
    before, found, rest = path.read_text().partition(start)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{path} has no {start} followed by {end}.")
    path.write_text(f"{before}{start}\n{text}{end}{after}")
