# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A task's results as pictures: accuracy by shots against the controls, and what was taken for what."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure  # no pyplot: no display, no global state

# Okabe and Ito's colours, which colour-blind readers can tell apart; every line has a marker of its own too
LINES = {
    "nearest": {"color": "#009e73", "marker": "s"},
    "shuffled_words": {"color": "#d55e00", "marker": "D"},
    "text_only": {"color": "#e69f00", "marker": "^", "linestyle": "-."},
    "shuffled_labels": {"color": "#cc79a7", "marker": "v", "linestyle": "--"},
    "random": {"color": "#999999", "marker": "x", "linestyle": (0, (1, 3))},
}
BARS = ("nearest", "shuffled_words")  # the controls whose intervals are drawn: more would cover one another
# how far right of its shots a method stands, so that equal ones are seen; the language model stands on them
OFFSETS = {"nearest": 0.1, "shuffled_words": -0.1, "text_only": -0.05, "shuffled_labels": 0.05, "random": 0.15}


def accuracy_figure(settings: Sequence[dict], scoring: str) -> Figure:
    """
    Accuracy by shots with its intervals, a panel a number of ways; the controls are lines beside it.

    Args:
        settings (`Sequence[dict]`): Of one task, of `summarize`, each with scored episodes.
        scoring (`str`): The method that stands for the language model.
    """
    ways = sorted({setting["ways"] for setting in settings})
    figure = Figure(figsize=(max(6.5, 1 + 4 * len(ways)), 4.8), layout="constrained")
    panels = figure.subplots(1, len(ways), sharey=True, squeeze=False)[0]
    for axes, number in zip(panels, ways):
        rows = sorted((s for s in settings if s["ways"] == number), key=lambda setting: setting["shots"])
        _draw_accuracy(axes, rows, scoring)
        axes.set_title(f"{number}-way")
    panels[0].set_ylabel("right answers (%)")
    entries = {}  # a method that some panel lacks stands in another's legend
    for axes in panels:
        entries |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels())}
    entries = dict(reversed(entries.items()))  # what was drawn last, on top, is named first
    figure.legend(entries.values(), entries, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle(settings[0]["task"].replace("_", " "))
    return figure


def _draw_accuracy(axes, rows: Sequence[dict], scoring: str) -> None:
    x = np.arange(len(rows))
    chance = 100 * rows[0]["chance"]
    axes.axhline(chance, color="black", linewidth=1, linestyle=":", label="chance")
    majority = [100 * row["majority"]["accuracy"] for row in rows]
    thin = {"linewidth": 1.2, "markersize": 5}
    axes.plot(
        x - 0.15, majority, color="#56b4e9", marker="+", linestyle=(0, (5, 1, 1, 1, 1, 1)), label="majority", **thin
    )
    for name, style in LINES.items():
        if name not in BARS and all(name in row["methods"] for row in rows):
            values = [100 * row["methods"][name]["accuracy"] for row in rows]
            axes.plot(x + OFFSETS[name], values, label=name.replace("_", " "), **style, **thin)
    for name in BARS:
        if all(name in row["methods"] for row in rows):
            style = LINES[name] | thin
            _draw_interval(axes, x + OFFSETS[name], rows, name, label=name.replace("_", " "), capsize=2, **style)
    label = f"language model ({scoring.replace('_', ' ')})"
    style = {"color": "#0072b2", "marker": "o", "linewidth": 2.4, "markersize": 7, "capsize": 4}
    _draw_interval(axes, x, rows, scoring, label=label, zorder=3, **style)
    axes.set_xticks(x, [str(row["shots"]) for row in rows])
    axes.set_xlim(-0.4, len(rows) - 0.6)
    axes.set_ylim(0, 100)
    axes.set_xlabel("examples a label (bars: 95 % intervals)")
    axes.grid(axis="y", linewidth=0.4, alpha=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_interval(axes, x: np.ndarray, rows: Sequence[dict], name: str, **style) -> None:
    value, low, high = (
        100 * np.array([row["methods"][name][key] for row in rows]) for key in ("accuracy", "low", "high")
    )
    axes.errorbar(x, value, yerr=[value - low, high - value], **style)


def confusion_figure(settings: Sequence[dict]) -> Figure:
    """
    What was answered where a label was true, in percent of the label's episodes: a row of panels a number of ways, a
    column a number of shots.

    Args:
        settings (`Sequence[dict]`): Of one task, of `summarize`, each with scored episodes.
    """
    ways, shots = (sorted({setting[name] for setting in settings}) for name in ("ways", "shots"))
    side = 0.42 * max(3, *(len(setting["confusion"]["labels"]) for setting in settings))  # inches
    # beside the cells stand the labels' names; "compressed" is the layout of axes whose shape is fixed
    size = (1.8 + (side + 1.2) * len(shots), 0.9 + (side + 1.1) * len(ways))
    figure = Figure(figsize=size, layout="compressed")
    panels = figure.subplots(len(ways), len(shots), squeeze=False)
    for axes in panels.flat:
        axes.set_visible(False)  # a setting that was not run leaves its place empty
    for setting in settings:
        row, column = ways.index(setting["ways"]), shots.index(setting["shots"])
        axes = panels[row, column]
        axes.set_visible(True)
        image = _draw_confusion(axes, setting["confusion"])
        axes.set_title(f"{setting['ways']}-way {setting['shots']}-shot, n = {setting['scored']}", fontsize=10)
        if column == 0:
            axes.set_ylabel("true label")
        if row == len(ways) - 1:
            axes.set_xlabel("answer")
    figure.colorbar(image, ax=panels, label="% of the true label's episodes", shrink=0.8)
    figure.suptitle(settings[0]["task"].replace("_", " "))
    return figure


def _draw_confusion(axes, confusion: dict):
    labels, counts = confusion["labels"], np.array(confusion["counts"])
    answers = list(labels)
    if counts[:, -1].any():
        answers.append("(none)")
    else:
        counts = counts[:, :-1]
    # a label that was never true has no shares
    shares = np.where(counts.sum(axis=1, keepdims=True) > 0, counts, np.nan)
    shares = 100 * shares / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, vmin=0, vmax=100, cmap="Blues")
    axes.set_xticks(range(len(answers)), answers, rotation=45, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_yticks(range(len(labels)), labels, fontsize=9)
    for (i, j), share in np.ndenumerate(shares):
        if share >= 0.5:
            color = "white" if share > 60 else "black"
            axes.text(j, i, f"{share:.0f}", ha="center", va="center", fontsize=8, color=color)
    return image
