# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A run's folder as a page to read: `summary.json`, `report.md` and its pictures, from what the run wrote."""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from transformers.utils import logging

from ..files.atomic import write_whole
from ..files.markdown import markdown_table
from ..scoring_llm_codec import SCORINGS
from .baselines import BASELINES
from .methods import MEASURED, NAMES
from .statistics import CONTROLS, HEARD, summarize

logger = logging.get_logger(__name__)

LESS_IS_BETTER = ("mr_stft", "mel_distance")
SYSTEMS = ("codec", "language_model")  # in `config.json`
HEARD_SHOWN = 20  # episodes of a task whose texts the page shows
NOT_SET = (None, "", [], {})
EPISODES_SHOWN = 5  # of those that failed for one reason; all are in summary.json


def write_report(folder: str | Path) -> dict:
    """
    Summarizes a run: writes `summary.json`, `report.md` and, where matplotlib is installed, two pictures a task.

    Args:
        folder (`str` or `Path`): Of a run: `config.json` (with `scoring`, the method that stands for the language
            model, and `tasks`, their records), `versions.json` and `episodes.jsonl`.

    Returns:
        `dict`: The summary, as `summarize` gives it.

    Raises:
        ValueError: where a file is missing, is not JSON, or does not hold what a run writes.
    """
    folder = Path(folder)
    config, versions = (_read_json(folder / name) for name in ("config.json", "versions.json"))
    if "scoring" not in config:
        raise ValueError(f"{folder / 'config.json'} does not say which `scoring` stands for the language model.")
    records = _read_lines(folder / "episodes.jsonl")
    if not records:
        raise ValueError(f"{folder / 'episodes.jsonl'} has no episode: resume the run.")
    summary = summarize(records, config["scoring"])
    pictures = _draw(folder, summary)
    text = "\n\n".join(_page(config, versions, summary, records, pictures)) + "\n"
    write_whole(folder / "report.md", text)
    write_whole(folder / "summary.json", json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return summary


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path.parent} is not a run's folder: it has no {path.name}.") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}): run again into another folder.") from error


def _read_lines(path: Path) -> list[dict]:
    if not path.is_file():
        raise ValueError(f"{path.parent} is not a run's folder: it has no {path.name}.")
    records = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"Line {number} of {path} is not JSON ({error}): resume the run.") from error
    return records


def _draw(folder: Path, summary: dict) -> dict[str, list[str]]:
    """The pictures' file names, by task."""
    try:
        from .plots import accuracy_figure, confusion_figure
    except ImportError as error:
        logger.warning(f"The report has no pictures ({error}): run `pip install 'llm-codec-hf[eval]'` for them.")
        return {}
    pictures = {}
    for task, settings in _by_task(summary).items():
        settings = [setting for setting in settings if setting["methods"]]
        if not settings:
            continue
        stem = re.sub(r"[^\w.-]+", "-", task)
        figures = {
            f"{stem}-accuracy.png": accuracy_figure(settings, settings[0]["scoring"]),
            f"{stem}-confusion.png": confusion_figure(settings),
        }
        for name, figure in figures.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=120)
            write_whole(folder / name, buffer.getvalue())
        pictures[task] = list(figures)
    return pictures


def _by_task(summary: dict) -> dict[str, list[dict]]:
    tasks: dict[str, list[dict]] = {}
    for setting in summary["settings"]:
        tasks.setdefault(setting["task"], []).append(setting)
    return tasks


def _page(
    config: dict, versions: dict, summary: dict, records: Sequence[dict], pictures: dict[str, list[str]]
) -> Iterator[str]:
    tasks = _by_task(summary)
    yield f"# Few-shot evaluation: {', '.join(tasks)}"
    systems = [f"{name.replace('_', ' ')} {_plain(config[name])}" for name in SYSTEMS if config.get(name)]
    if systems:
        yield f"Of {', '.join(systems)}; all settings, versions and seeds stand at the end."
    yield from _findings(summary)
    if not pictures:
        yield "This page has no pictures: matplotlib was not installed, or there are no shares to draw."
    for task, settings in tasks.items():
        yield f"## {task}"
        yield from _task_section(task, settings, config, summary, pictures)
        yield from _audio_section(settings, summary, [record for record in records if record["task"] == task])
    yield "## Failures, and no answers"
    yield from _failures(summary)
    yield "## How an episode was made, and how it is counted"
    yield from _method(summary, records)
    yield "## What was run"
    yield from _run(config, versions)


def _findings(summary: dict) -> Iterator[str]:
    settings = [setting for setting in summary["settings"] if setting["methods"]]
    scorings = {setting["scoring"] for setting in settings}
    text = f"{summary['episodes']} episodes in {len(summary['settings'])} settings, {len(summary['failures'])} failed."
    if summary["scoring"] in scorings:
        text += f" The language model's answers are those of the scoring `{summary['scoring']}`."
    for name in scorings.intersection(HEARD):
        text += f" Where it answers in audio, they are what was `{name}`: {NAMES[name]}."
    yield text
    for name, beaten, otherwise in (
        ("shuffled_words", "its shuffled-words control", "Nothing shows that it listens in"),
        ("nearest", "nearest neighbour on the same codes", "Nothing shows that it adds to the codec in"),
    ):
        compared = [setting for setting in settings if name in setting["differences"]]
        if not compared and summary["scoring"] in scorings:
            yield f"**This run has no control `{name}`.**"
        if not compared:
            continue
        not_beaten = [setting for setting in compared if setting["differences"][name]["low"] <= 0]
        sentence = (
            f"**It beats {beaten} in {len(compared) - len(not_beaten)} of {len(compared)} settings.** "
            f"(The {_confidence(summary)} interval of the difference is above 0; no correction for several settings.)"
        )
        if not_beaten:
            named = "; ".join(f"{setting['task']} {_title(setting)}" for setting in not_beaten)
            sentence += f" {otherwise} {named}."
        yield sentence
    for name, beaten, otherwise in (
        ("shuffled", "nearer to its own target than to another query's", "Nothing shows that it follows its query in"),
        ("input_codec", "better than the query itself through the codec", "Nothing shows that it improves on it in"),
    ):
        compared, not_beaten = [], []
        for setting in summary["settings"]:
            for metric, differences in setting["metric_differences"].items():
                if name in differences:
                    compared.append(metric)
                    if not _is_better(metric, differences[name]):
                        not_beaten.append(f"{setting['task']} {_title(setting)} by {metric}")
        if compared:
            sentence = (
                f"**The audio it makes is {beaten} in {len(compared) - len(not_beaten)} of {len(compared)} settings "
                "and metrics.**"
            )
            yield sentence + (f" {otherwise} {'; '.join(not_beaten)}." if not_beaten else "")


def _is_better(metric: str, difference: dict) -> bool:
    """Whether the interval of a difference lies wholly on the better side."""
    if difference["low"] is None:
        return False
    return difference["high"] < 0 if metric in LESS_IS_BETTER else difference["low"] > 0


def _task_section(
    task: str, settings: Sequence[dict], config: dict, summary: dict, pictures: dict[str, list[str]]
) -> Iterator[str]:
    record = next((record for record in config.get("tasks", []) if record.get("name") == task), {})
    if record.get("description"):
        yield record["description"].strip()
    details = {name: value for name, value in record.items() if name not in ("name", "description", "published")}
    lines = [f"- {name.replace('_', ' ')}: {_plain(value)}" for name, value in details.items() if value not in NOT_SET]
    if lines:
        yield "\n".join(lines)
    if not any(setting["scored"] for setting in settings):
        yield "**No episode was scored.**"
        return
    scored = [setting for setting in settings if setting["methods"]]
    if not scored:  # audio without labels
        return
    scoring, methods, compared = scored[0]["scoring"], _union(scored, "methods"), _union(scored, "differences")
    controls = [name for name in CONTROLS if name in methods and name not in BASELINES]
    interval = f"with {_confidence(summary)} intervals"
    yield f"Right answers in percent, {interval}:"
    header = ["setting", "episodes", "supports", "queries", f"language model ({scoring})"]
    yield markdown_table(
        [*header, *(name.replace("_", " ") for name in controls), "majority", "chance"],
        [
            [
                _title(setting),
                *(str(setting[name]) for name in ("scored", "supports", "queries")),
                f"**{_share(setting, scoring)}**",
                *(_share(setting, name) for name in controls),
                f"{100 * setting['majority']['accuracy']:.1f} ({setting['majority']['label']})",
                f"{100 * setting['chance']:.1f}",
            ]
            for setting in scored
        ],
        left=1,
    )
    if compared:
        yield f"The language model less a control on the same episodes, in points, {interval}:"
        yield markdown_table(
            ["setting", *(f"less {name.replace('_', ' ')}" for name in compared)],
            [[_title(setting), *(_points(setting, name) for name in compared)] for setting in scored],
            left=1,
        )
    yield "\n".join(f"- {_sentence(setting, scoring)}" for setting in settings)
    for setting, figures in (record.get("published") or {}).items():
        told = ", ".join(f"{method} {value:.1f} %" for method, value in figures.items())
        yield f"Published for {setting}, of other episodes ({record['citation'].rstrip('.')}): {told}."
    for name, alternative in zip(pictures.get(task, []), ("accuracy by shots", "confusion")):
        yield f"![{task}: {alternative}]({name})"
    others = [name for name in methods if name not in CONTROLS]
    baselines = [name for name in BASELINES if name in methods]
    if baselines:
        yield "Without a language model:"
        yield markdown_table(
            ["setting", *(name.replace("_", " ") for name in baselines)],
            [[_title(setting), *(_share(setting, name) for name in baselines)] for setting in scored],
            left=1,
        )
    if len(others) > 1:
        yield (
            f"All ways of scoring. The tables above are of `{scoring}` throughout: to take the best of each row after "
            "the fact would flatter."
        )
        yield markdown_table(
            ["setting", *(name.replace("_", " ") for name in others)],
            [[_title(setting), *(_share(setting, name) for name in others)] for setting in scored],
            left=1,
        )


def _audio_section(settings: Sequence[dict], summary: dict, records: Sequence[dict]) -> Iterator[str]:
    """What was measured and heard of the audio that a task's answers are."""
    measured = [setting for setting in settings if setting["metrics"]]
    if measured:
        names = [name for name in MEASURED if any(name in of for s in measured for of in s["metrics"].values())]
        yield (
            f"What was measured: means with {_confidence(summary)} intervals, and how many of the episodes are scored; "
            "what failed stands below, and is in no mean."
        )
        yield "\n".join(f"- `{name}`: {MEASURED[name]}" for name in names)
        yield markdown_table(
            ["setting", "metric", *(name.replace("_", " ") for name in names)],
            [
                [_title(setting), _metric_title(metric), *(_measured(of.get(name), "mean") for name in names)]
                for setting in measured
                for metric, of in setting["metrics"].items()
            ],
            left=1,
        )
        compared = list(dict.fromkeys(name for s in measured for of in s["metric_differences"].values() for name in of))
        if compared:
            yield "What was generated less a control, on the episodes where both are scored:"
            yield markdown_table(
                ["setting", "metric", *(f"less {name.replace('_', ' ')}" for name in compared)],
                [
                    [_title(setting), _metric_title(metric), *(_measured(of.get(n), "difference") for n in compared)]
                    for setting in measured
                    for metric, of in setting["metric_differences"].items()
                    if of
                ],
                left=1,
            )
    heard = [record for record in sorted(records, key=lambda record: record["episode"]) if record.get("heard")]
    if heard:
        yield (
            f"What the recogniser heard{f' in the first {HEARD_SHOWN} episodes' if len(heard) > HEARD_SHOWN else ''} "
            "in what was generated, in the clip that would be right encoded and decoded, and in that clip itself:"
        )
        names = list(heard[0]["heard"])
        yield markdown_table(
            ["query", "right", *names, "file"],
            [
                [r["query"], r["truth"], *(r["heard"][name] or "–" for name in names), r["audio"]]
                for r in heard[:HEARD_SHOWN]
            ],
        )


def _metric_title(metric: str) -> str:
    return f"{metric} ({'less' if metric in LESS_IS_BETTER else 'more'} is better)"


def _measured(estimate: dict | None, name: str) -> str:
    """A cell of the tables of metrics."""
    if estimate is None:
        return "–"
    count = f"{estimate['n']} of {estimate['n'] + estimate['failed']}"
    if estimate[name] is None:
        return f"none; {count}"
    form = "{:+.3g}" if name == "difference" else "{:.3g}"
    text = form.format(estimate[name])
    if estimate["low"] is not None:
        text += f" [{form.format(estimate['low'])}, {form.format(estimate['high'])}]"
    return f"{text}; {count}"


def _sentence(setting: dict, scoring: str) -> str:
    """What a setting shows, in words that follow from its numbers."""
    title = _title(setting)
    if not setting["scored"]:
        return f"{title}: **no episode was scored**; all {setting['failed']} failed."
    method = setting["methods"][scoring]
    chance = setting["chance"]
    if method["low"] > chance:
        place = "above"
    else:
        place = "below" if method["high"] < chance else "not distinguishable from"
    text = f"{title}: {100 * method['accuracy']:.1f} % right, {place} chance ({100 * chance:.1f} %)."
    for name, beaten in (("shuffled_words", "its shuffled-words control"), ("nearest", "nearest neighbour")):
        difference = setting["differences"].get(name)
        if difference is None:
            continue
        points = _points(setting, name)
        if difference["low"] > 0:
            text += f" It beats {beaten} ({points} points)."
        elif difference["high"] < 0:
            text += f" It is **worse than {beaten}** ({points} points)."
        else:
            text += f" It does **not beat {beaten}** ({points} points)."
    if setting["supports"] == 1:
        text += " All episodes have one support set: other demonstrations may give another result."
    return text


def _failures(summary: dict) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for failure in summary["failures"]:
        by_reason.setdefault(failure["reason"], []).append(failure["episode"])
    if by_reason:
        yield "Failed episodes are not scored:"
        yield markdown_table(
            ["reason", "episodes", "which"],
            [
                [reason, str(len(ids)), ", ".join(ids[:EPISODES_SHOWN]) + (", …" if len(ids) > EPISODES_SHOWN else "")]
                for reason, ids in sorted(by_reason.items())
            ],
        )
    else:
        yield "No episode failed."
    counts = Counter((f["metric"], f["of"], f["reason"]) for f in summary["metric_failures"])
    if counts:
        yield "What a metric could not score:"
        yield markdown_table(
            ["metric", "of", "reason", "episodes"],
            [[metric, of.replace("_", " "), why, str(n)] for (metric, of, why), n in sorted(counts.items())],
        )
    rows = [
        [setting["task"], _title(setting), name.replace("_", " "), f"{method['no_answer']} of {setting['scored']}"]
        for setting in summary["settings"]
        for name, method in setting["methods"].items()
        if method["no_answer"]
    ]
    if rows:
        yield "No answer, which counts as wrong:"
        yield markdown_table(["task", "setting", "method", "episodes"], rows)
    else:
        yield "Every method answered in every episode that was scored."


def _method(summary: dict, records: Sequence[dict]) -> Iterator[str]:
    yield (
        "An episode is a query and its *support*: as many demonstrations of each label as there are shots, of as many "
        "labels as there are ways. Several queries share a support. The seed determines which."
    )
    scored = [record for record in records if not record.get("failed")]
    if scored:
        example = min(scored, key=lambda record: record["episode"])
        key = (example["task"], example["ways"], example["shots"])
        scoring = next(s["scoring"] for s in summary["settings"] if (s["task"], s["ways"], s["shots"]) == key)
        text = f"For example, `{example['episode']}` asks "
        text += "for the audio that answers" if "audio" in example else "what"
        text += f" `{example['query']}`{'' if 'audio' in example else ' is'} after the demonstrations of "
        text += f"`{example['support']}`: {', '.join(example['labels'])}."
        if scoring:
            text += f" It is {example['truth']}; the answer was {example['predictions'][scoring] or 'none'}."
        yield f"{text} `episodes.jsonl` has every episode, its scores and the hash of its prompt."
    used = {name for setting in summary["settings"] for name in setting["methods"]}
    meanings = {**SCORINGS, **NAMES}
    lines = [f"- `{name}`: {meanings[name]}" for name in meanings if name in used]
    lines.append(
        "- `majority`: always the most frequent truth of the setting, which is not an option in every episode where "
        "there are more labels than ways; `chance`: one over the ways"
    )
    yield "\n".join(lines)
    if any(setting["metrics"] for setting in summary["settings"]):
        yield (
            "Means of metrics and of their differences have Student's t interval for the variance clustered as below. "
            "The folder `audio/` has what was made."
        )
    yield (
        "Episodes that share a support or a query are not independent, so variances are clustered by both (Cameron, "
        "Gelbach and Miller 2011). Accuracies have Wilson's interval and differences Agresti and Min's (2005), for "
        "the number of independent episodes that tell as much (Korn and Graubard 1998), with Student's t for the "
        "smaller number of supports or queries. Percentages of the confusion matrices are of the scored episodes in "
        "which the label was true; where there are more labels than ways, not every label was an option in each."
    )


def _run(config: dict, versions: dict) -> Iterator[str]:
    rows = []
    for name, value in config.items():
        if isinstance(value, dict) and name != "versions":
            rows += [[f"{name}.{key}", _plain(inner)] for key, inner in value.items()]
        elif name not in ("tasks", "versions", "command"):
            rows.append([name, _plain(value)])
    yield markdown_table(["setting", "value"], rows)
    yield markdown_table(["package", "version"], [[name, _plain(value)] for name, value in versions.items()])
    yield "### How to run it again"
    if config.get("command"):
        yield f"```console\n$ {config['command']}\n```"
    yield (
        "The settings above determine the episodes and the answers, up to the rounding of another machine. This page "
        "comes from `episodes.jsonl` alone: `llm_codec_hf.evaluation.report.write_report(folder)` writes it again."
    )


def _union(settings: Sequence[dict], name: str) -> list[str]:
    """The keys of a dict that each setting has, in their order."""
    return list(dict.fromkeys(key for setting in settings for key in setting[name]))


def _title(setting: dict) -> str:
    return f"{setting['ways']}-way {setting['shots']}-shot"


def _confidence(summary: dict) -> str:
    return f"{100 * summary['confidence']:g} %"


def _share(setting: dict, name: str) -> str:
    method = setting["methods"].get(name)
    if method is None:
        return "–"
    return f"{100 * method['accuracy']:.1f} [{100 * method['low']:.1f}, {100 * method['high']:.1f}]"


def _points(setting: dict, name: str) -> str:
    difference = setting["differences"].get(name)
    if difference is None:
        return "–"
    value, low, high = (100 * difference[name] for name in ("difference", "low", "high"))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def _plain(value) -> str:
    """A value of a configuration in a line, without what is not set."""
    if isinstance(value, dict):
        if all(key == inner for key, inner in value.items()):  # labels that are written as they are
            return ", ".join(value)
        return ", ".join(f"{key} = {_plain(inner)}" for key, inner in value.items() if inner not in NOT_SET)
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return " ".join(str(value).split())
