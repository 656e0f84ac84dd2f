# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Scores of reconstructed clips, as means with intervals and as Markdown."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import bootstrap

from llm_codec_hf.files.markdown import markdown_table

CONFIDENCE, RESAMPLES = 0.95, 2000
COLUMNS = {  # metric: heading with the better direction, digits
    "pesq": ("PESQ ↑", 2),
    "stoi": ("STOI ↑", 3),
    "mel_distance": ("mel ↓", 2),
    "mr_stft": ("MR-STFT ↓", 2),
    "dnsmos": ("DNSMOS ↑", 2),
    "feature_r2": ("R² of Whisper ↑", 2),
    "wer": ("WER ↓", 0),  # in percent, as letters
    "cer": ("letters ↓", 0),
}
SPOKEN = {"wer": ("errors", "words"), "cer": ("letter_errors", "letters")}


def estimate(over: Sequence[float], under: Sequence[float]) -> dict:
    """
    A sum over clips divided by another, and the percentile bootstrap's interval over clips (Efron and Tibshirani, "An
    Introduction to the Bootstrap", 1993): a mean where every clip counts 1, a corpus's word error rate where it counts
    its words.

    Args:
        over: `(clips,)`.
        under: `(clips,)`, above 0.

    Returns:
        `mean`, `low`, `high` (`None` where nothing is known) and `n`, the clips.
    """
    over, under = (np.asarray(values, dtype=float) for values in (over, under))
    result = {"mean": None, "low": None, "high": None, "n": len(over)}
    if len(over):
        result["mean"] = round(float(over.sum() / under.sum()), 4)
    if len(over) > 1:
        interval = bootstrap(
            (over, under),
            lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
            paired=True,
            vectorized=True,
            method="percentile",
            confidence_level=CONFIDENCE,
            n_resamples=RESAMPLES,
            rng=np.random.default_rng(0),
        ).confidence_interval
        result |= {"low": round(float(interval.low), 4), "high": round(float(interval.high), 4)}
    return result


def _metrics(records: Sequence[Mapping]) -> list[str]:
    """The metrics that records have, in the order of tables; letters wherever words were counted."""
    names = {name for record in records for name in record["scores"]}
    names |= {f"cer{name.removeprefix('wer')}" for name in names if name.startswith("wer")}
    return sorted(names, key=_place)


def _place(metric: str) -> tuple[str, int]:
    """Where a metric's column stands: those of a second recogniser after all others."""
    name, _, judge = metric.partition("/")
    return judge, list(COLUMNS).index(name)


def _heading(metric: str) -> str:
    """A column's heading; a second recogniser's has its name."""
    name, _, judge = metric.partition("/")
    return COLUMNS[name][0] + f" by {judge}" * bool(judge)


def _scored_as(metric: str) -> str:
    """The name that a metric's score has: letters are counted of what was heard for the words."""
    return f"wer{metric.removeprefix('cer')}" if metric.startswith("cer") else metric


def _fraction(record: Mapping, metric: str) -> tuple[float, float]:
    """What a clip adds to both sums of [`estimate`]."""
    if keys := SPOKEN.get(metric.partition("/")[0]):
        return tuple(record[_scored_as(metric)][key] for key in keys)
    return record["scores"][metric], 1


def summarize(records: Sequence[Mapping], titles: Mapping[str, str], compared: Sequence[str]) -> dict:
    """
    Args:
        records: What `measure_all` returns.
        titles: Of all systems, by name, in the order of tables.
        compared: Names of systems of which the last is compared with the first, clip by clip.

    Returns:
        `dict`, JSON-able:
        - `confidence`, and `sources`: source → `clips`, `seconds`, `systems`, `differences`;
        - `systems`: name → `title`, `bits_per_second` (all bits over all seconds; null for what is no codec), and
          `metrics`: metric → [`estimate`] and `failed`, clips that have no score;
        - `differences`: metric → [`estimate`] of the last of `compared` less the first, on clips where both are scored;
        - `failures`: `source`, `clip`, `system`, `metric` and `reason` of each score that is missing.
    """
    sources: dict[str, dict[str, list[Mapping]]] = {}
    for record in records:
        sources.setdefault(record["source"], {}).setdefault(record["system"], []).append(record)
    summary = {}
    for source, systems in sources.items():
        lengths = {record["clip"]: record["seconds"] for of in systems.values() for record in of}
        differences = {}
        if len(compared) > 1 and set(compared) <= set(systems):
            differences = _differences(systems[compared[0]], systems[compared[-1]])
        summary[source] = {
            "clips": len(lengths),
            "seconds": round(sum(lengths.values()), 2),
            "systems": {
                name: {"title": title, **_summarize_system(systems[name])}
                for name, title in titles.items()
                if name in systems
            },
            "differences": differences,
        }
    failures = [
        {**{key: record[key] for key in ("source", "clip", "system")}, "metric": metric, "reason": reason}
        for record in records
        for metric, reason in record["failures"].items()
    ]
    return {"confidence": CONFIDENCE, "sources": summary, "failures": failures}


def _summarize_system(records: Sequence[Mapping]) -> dict:
    coded = [record for record in records if record["bits"] is not None]
    metrics = {}
    for metric in _metrics(records):
        name = _scored_as(metric)
        asked = [record for record in records if name in record["scores"]]
        scored = [_fraction(record, metric) for record in asked if record["scores"][name] is not None]
        if asked:
            over, under = zip(*scored) if scored else ((), ())
            metrics[metric] = estimate(over, under) | {"failed": len(asked) - len(scored)}
    return {
        "bits_per_second": round(sum(r["bits"] for r in coded) / sum(r["seconds"] for r in coded), 1)
        if coded
        else None,
        "metrics": metrics,
    }


def _differences(first: Sequence[Mapping], last: Sequence[Mapping]) -> dict:
    of_clip = {record["clip"]: record for record in first}
    found = {}
    for metric in _metrics(last):
        name = _scored_as(metric)
        pairs = [(of_clip[record["clip"]], record) for record in last if record["clip"] in of_clip]
        pairs = [pair for pair in pairs if all(record["scores"].get(name) is not None for record in pair)]
        if pairs:
            fractions = [[_fraction(record, metric) for record in pair] for pair in pairs]
            over, under = zip(*((after[0] - before[0], after[1]) for before, after in fractions))
            found[metric] = estimate(over, under)
    return found


# ---- Markdown


def report(result: Mapping) -> str:
    """What the command writes beside the JSON: a table a source, entries used, what failed and what was left out."""
    parts = [
        f"Means over clips with {result['confidence']:.0%} bootstrap intervals; arrows point to the better. WER: "
        "errors over words of all clips. The benchmark's README says the rest."
    ]
    for source, summary in result["sources"].items():
        parts.append(f"## {source}: {summary['clips']} clips, {summary['seconds']:.0f} s")
        parts.append(_table(summary["systems"]))
        if summary["differences"]:
            cells = [f"{_heading(name)} {_cell(name, found, '+')}" for name, found in summary["differences"].items()]
            parts.append(f"The last model less the first, clip by clip: {'; '.join(cells)}.")
    parts += ["## Entries used", _usage(result["models"]), "## Failed and left out", _missing(result) or "Nothing."]
    return "\n\n".join(parts) + "\n"


def _usage(models: Mapping[str, Mapping]) -> str:
    rows = [
        [f"{name} ({model['sha256']}, {model['bitrate']:.0f} bit/s)", str(row["layer"])]
        + [f"{row[key]:,}" for key in ("entries", "codes", "used")]
        + [f"{row['perplexity']:,.0f}"]
        for name, model in models.items()
        for row in model["usage"]
    ]
    return markdown_table(
        ["model", "layer", "entries", "codes written", "used", "perplexity"], rows, left=1, padded=True
    )


def _missing(result: Mapping) -> str:
    counts = Counter((f["source"], f["metric"], f["system"], f["reason"]) for f in result["failures"])
    left_out = [f"- left out: {name}: {reason}" for name, reason in result["left_out"].items()]
    failed = [
        f"- {source}, {metric} of {system}, clips: {count}: {reason}"
        for (source, metric, system, reason), count in counts.items()
    ]
    return "\n".join(left_out + failed)


def _table(systems: Mapping[str, Mapping]) -> str:
    metrics = sorted({name for system in systems.values() for name in system["metrics"]}, key=_place)
    rows = []
    for system in systems.values():
        rate = system["bits_per_second"]
        cells = [_cell(name, system["metrics"].get(name)) for name in metrics]
        rows.append([system["title"], "–" if rate is None else f"{rate:,.0f}", *cells])
    return markdown_table(["system", "bit/s", *map(_heading, metrics)], rows, left=1, padded=True)


def _cell(metric: str, found: Mapping | None, sign: str = "") -> str:
    if found is None:
        return "–"
    if found["mean"] is None:
        return "failed"
    name = metric.partition("/")[0]
    scale, unit = (100, " %") if name in SPOKEN else (1, "")
    values = [found[key] for key in ("mean", "low", "high")]
    texts = ["?" if value is None else f"{scale * value:{sign}.{COLUMNS[name][1]}f}" for value in values]
    failed = f" ({found['failed']} failed)" if found.get("failed") else ""
    return f"{texts[0]}{unit} [{texts[1]}, {texts[2]}]{failed}"
