# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Measurements as a picture: speed of every row, and memory against length."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from .codecs import Row
from .measurements import Measurements, speed
from .report import duration, rate

COLORS = {"encode": "#0072b2", "decode": "#e69f00"}
MARKERS = "osD^vPX*"


def draw_speed(axes, measurements: Measurements, rows: Sequence[Row], seconds: float, batch: int) -> None:
    """Horizontal bars on a logarithmic scale; a failed case has none."""
    height = 0.38
    for operation, offset in (("encode", -height / 2), ("decode", height / 2)):
        speeds = [speed(measurements.case(row.key, operation, seconds, batch)) for row in rows]
        positions = [i + offset for i in range(len(rows))]
        bars = axes.barh(positions, [s or 0 for s in speeds], height, label=operation, color=COLORS[operation])
        axes.bar_label(bars, ["–" if s is None else rate(s) for s in speeds], padding=3, fontsize=8)
    measured = [speed(record) for record in measurements.cases.values() if speed(record)]
    axes.set_xscale("log")
    axes.set_xlim(min(1, *measured) / 2, max(1, *measured) * 3)
    axes.axvline(1, color="gray", linewidth=0.8, linestyle=":")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(rows)), [row.title for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("seconds of audio per second (dotted: real time)")
    axes.set_title(f"Speed, {duration(seconds)}, batch {batch}")
    axes.legend(loc="lower right", fontsize=8)


def draw_memory(axes, measurements: Measurements, rows: Sequence[Row]) -> None:
    for i, (row, marker) in enumerate(zip(rows, MARKERS)):
        for operation, line in (("encode", "--"), ("decode", "-")):
            records = [measurements.length(row.key, operation, seconds) for seconds in measurements.lengths(row.key)]
            points = [(r["seconds"], r["memory"] / 1e6) for r in records if r and "error" not in r and r["memory"]]
            if points:
                width = 2.2 if i == 0 else 1.0
                label = row.title if operation == "decode" else None
                axes.plot(*zip(*points), line, marker=marker, markersize=4, color=f"C{i}", linewidth=width, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    lengths = sorted({seconds for row in rows for seconds in measurements.lengths(row.key)})
    axes.set_xticks(lengths, [duration(seconds) for seconds in lengths])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", linewidth=0.4)
    axes.set_xlabel("length of the audio, batch 1")
    axes.set_ylabel("MB above the loaded model")
    axes.set_title("Peak memory (solid: decode, dashed: encode)")
    axes.legend(fontsize=8)


def plot(measurements: Measurements, rows: Sequence[Row], path: Path) -> None:
    """Speed at 10 s, batch 1, or the size nearest to it, and memory at every length."""
    rows = [row for row in rows if measurements.lengths(row.key)]
    figure = Figure(figsize=(13, 0.5 * len(rows) + 2.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    if measurements.sizes():
        seconds, batch = min(measurements.sizes(), key=lambda size: (size[1], abs(size[0] - 10)))
        draw_speed(left, measurements, rows, seconds, batch)
    draw_memory(right, measurements, rows)
    figure.savefig(path, dpi=120)
