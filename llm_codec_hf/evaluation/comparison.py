# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Several runs side by side: every method on every task, and how far the headline's is ahead of the nearest example.

    python -m llm_codec_hf.evaluation.comparison RUN [RUN …] --output scorers.md

A run is a folder of `llm-codec evaluate`. The intervals of differences are so wide that all of them hold together: with
a confidence of 1 − 0.05 / (number of settings) each (Bonferroni).
"""

import argparse
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..files.atomic import write_whole
from ..files.markdown import markdown_table
from ..scoring_llm_codec import SCORINGS
from .answers import GENERATED
from .baselines import BASELINES
from .statistics import CONFIDENCE, Estimate, accuracy, paired_difference

NEAREST, BLEND_CONTROL = "nearest", "blend_shuffled_words"
LATER = ("shuffled_words", BLEND_CONTROL, "shuffled_labels", "text_only", "random")
ROWS = (*SCORINGS, *GENERATED, NEAREST, *BASELINES, *LATER)


def read_run(folder: str | Path) -> tuple[dict, list[dict]]:
    """
    A run's configuration, and its episodes that were answered.

    Raises:
        ValueError: where the folder is none of a run.
    """
    folder = Path(folder)
    packed, plain = folder / "episodes.jsonl.gz", folder / "episodes.jsonl"
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        with gzip.open(packed, "rt", encoding="utf-8") if packed.is_file() else plain.open(encoding="utf-8") as lines:
            records = [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is not a run's folder: {error}") from error
    return config, [record for record in records if not record.get("failed")]


def compare(folders: Sequence[str | Path]) -> str:
    """
    The comparison as Markdown.

    Args:
        folders: Runs.

    Raises:
        ValueError: for a folder that is none of a run, and for none.
    """
    settings: dict[str, tuple[str, list[dict]]] = {}
    for folder in folders:
        config, records = read_run(folder)
        for record in records:
            name = f"{record['task']} {record['ways']}-way {record['shots']}-shot, {config['language_model']}"
            settings.setdefault(name, (config["scoring"], []))[1].append(record)
    if not settings:
        raise ValueError("There are no answered episodes to compare.")
    found = {method for _, records in settings.values() for record in records for method in record["predictions"]}
    methods = [method for method in ROWS if method in found] + sorted(found - set(ROWS))
    header = ["method", *(f"{name} ({len(records)})" for name, (_, records) in settings.items())]
    rows = [
        [method, *(_shown(_estimate(records, method), "{:.1f}") for _, records in settings.values())]
        for method in methods
    ]
    table = markdown_table(header, rows, left=1)
    return "\n\n".join([f"Right answers in percent, with {CONFIDENCE:.0%} intervals.", table, *_ahead(settings)]) + "\n"


def _ahead(settings: dict[str, tuple[str, list[dict]]]) -> Iterator[str]:
    """How far the headline's scoring, and its control, are ahead of the nearest example alone."""
    confidence = 1 - (1 - CONFIDENCE) / len(settings)
    yield (
        f"Ahead of the nearest example on the same episodes, in points; intervals of {confidence:.2%} each, so that "
        f"all {len(settings)} hold together:"
    )
    rows = []
    for name, (scoring, records) in settings.items():
        control = BLEND_CONTROL if scoring == "blend" else "shuffled_words"
        shown = [_shown(_estimate(records, method, NEAREST, confidence), "{:+.1f}") for method in (scoring, control)]
        rows.append([name, scoring, *shown])
    yield markdown_table(["setting", "scoring", "less nearest", "its shuffled control less nearest"], rows, left=2)


def _estimate(
    records: Sequence[dict], method: str, other: str | None = None, confidence: float = CONFIDENCE
) -> Estimate | None:
    names = [method] if other is None else [method, other]
    having = [record for record in records if set(names) <= set(record["predictions"])]
    if not having:
        return None
    right = [[record["predictions"][name] == record["truth"] for record in having] for name in names]
    clusters = ([record[name] for record in having] for name in ("support", "query"))
    return (accuracy if other is None else paired_difference)(*right, *clusters, confidence=confidence)


def _shown(estimate: Estimate | None, form: str) -> str:
    if estimate is None:
        return "–"
    value, low, high = (form.format(100 * number) for number in estimate)
    return f"{value} [{low}, {high}]"


def main(argv: Sequence[str] | None = None) -> None:
    """Writes the comparison of some runs."""
    parser = argparse.ArgumentParser(
        "python -m llm_codec_hf.evaluation.comparison",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of `llm-codec evaluate`")
    parser.add_argument("--output", type=Path, required=True, help="the Markdown file to write")
    args = parser.parse_args(argv)
    write_whole(args.output, compare(args.runs))


if __name__ == "__main__":
    main()
