# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""How sure a run's accuracy is, where episodes share demonstrations and queries."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from .baselines import BASELINES

CONFIDENCE = 0.95
OF_ANOTHER = "shuffled_words"  # audio that answers the only query of its support set has it not
CONTROLS = (  # every other method is a scoring; the last two are what the codec allows an answer that is audio
    OF_ANOTHER,
    "nearest",
    *BASELINES,
    "blend_shuffled_words",
    "text_only",
    "shuffled_labels",
    "random",
    "codec",
    "original",
)
COMPARED = (OF_ANOTHER, "nearest")  # the controls whose paired difference is reported
HEARD = ("heard", "written")  # what stands for the language model where answers are audio: the first that there is
MADE = "generated"  # the audio that it makes, among what is measured
MEASURED_COMPARED = ("shuffled", "input_codec")  # what its paired difference to is reported
NEEDED = ("episode", "task", "ways", "shots", "support", "query", "truth", "labels")


class Estimate(NamedTuple):
    """A mean and its interval, of `CONFIDENCE` unless said otherwise; `None` where nothing is known of its width."""

    value: float
    low: float | None
    high: float | None


def cluster_variance(values: Sequence[float], *clusterings: Sequence) -> float:
    """
    The variance of a mean whose observations belong to clusters in one way, or in two crossed ways: the sum of the
    two ways' variances less that of their intersection, each with the correction G / (G - 1) for G clusters ("Robust
    Inference with Multiway Clustering", Cameron, Gelbach and Miller 2011). Where the sum is below one of the two (its
    estimate may even be negative) the larger of the two stands.

    Args:
        values (`Sequence[float]`): `(n,)`.
        clusterings (`Sequence`): One or two of `(n,)`, the cluster of each value; each has at least two clusters.

    Raises:
        ValueError: for a number of clusterings that is not one or two, and for one of a single cluster.
    """
    if len(clusterings) not in (1, 2):
        raise ValueError(f"Values are clustered in one or two ways, not in {len(clusterings)}.")
    residuals = np.asarray(values, dtype=float) - np.mean(values)
    codes = [np.unique(np.asarray(clusters), return_inverse=True)[1] for clusters in clusterings]
    ways = [_one_way_variance(residuals, code) for code in codes]
    if len(ways) == 1:
        return ways[0]
    both = np.unique(codes[0] * (codes[1].max() + 1) + codes[1], return_inverse=True)[1]
    return max(sum(ways) - _one_way_variance(residuals, both), *ways)


def _one_way_variance(residuals: np.ndarray, code: np.ndarray) -> float:
    sums = np.bincount(code, weights=residuals)
    if len(sums) < 2:
        raise ValueError("One cluster says nothing about how clusters differ: two are needed.")
    return float(len(sums) / (len(sums) - 1) * np.square(sums).sum() / len(residuals) ** 2)


def _effective_size(values: np.ndarray, supports: Sequence, queries: Sequence) -> tuple[float, int]:
    """
    How many independent observations are worth as much ("Confidence Intervals for Proportions with Small Expected
    Number of Positive Counts Estimated from Survey Data", Korn and Graubard 1998), and the degrees of freedom: the
    smaller number of clusters less one. A clustering of one cluster is left out, as nothing can be learnt of it; where
    that leaves none, 0 and 0. The size is never above the number of observations.
    """
    clusterings = [clusters for clusters in (supports, queries) if len(set(clusters)) > 1]
    if not clusterings:
        return 0.0, 0
    fewest = min(len(set(clusters)) for clusters in clusterings)
    independent = values.var() / len(values)
    if independent == 0:
        # all alike, as if each cluster's observations were one: the data do not show that they are more
        return float(fewest), fewest - 1
    design_effect = max(1.0, cluster_variance(values, *clusterings) / independent)
    return len(values) / design_effect, fewest - 1


def _quantile(degrees: int, confidence: float) -> float:
    return float(stdtrit(degrees, (1 + confidence) / 2))


def accuracy(right: Sequence[bool], supports: Sequence, queries: Sequence, confidence: float = CONFIDENCE) -> Estimate:
    """
    The share of right answers, with Wilson's interval for the number of independent episodes that tell as much as
    these, clustered by support and by query, and Student's t in place of the normal quantile.

    Args:
        right (`Sequence[bool]`): `(n,)`, at least one.
        supports (`Sequence`): `(n,)`, the support set of each. One support set alone says nothing of others: then the
            interval holds for it only.
        queries (`Sequence`): `(n,)`, the query of each.
        confidence (`float`, defaults to 0.95): Of the interval.

    Raises:
        ValueError: where there is none, or lengths differ.
    """
    values = _checked(right, supports, queries)
    size, degrees = _effective_size(values, supports, queries)
    share = float(values.mean())
    if not degrees:
        return Estimate(share, 0.0, 1.0)
    t2 = _quantile(degrees, confidence) ** 2
    center = (share + t2 / (2 * size)) / (1 + t2 / size)
    half = np.sqrt(t2 * (share * (1 - share) / size + t2 / (4 * size**2))) / (1 + t2 / size)
    # rounding alone could leave the share itself outside where it is 0 or 1
    return Estimate(share, float(max(0.0, min(center - half, share))), float(min(1.0, max(center + half, share))))


def paired_difference(
    right: Sequence[bool],
    other: Sequence[bool],
    supports: Sequence,
    queries: Sequence,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """
    How much larger the first share of right answers is than the second, on the same episodes. The interval is Agresti
    and Min's ("Simple improved confidence intervals for comparing matched proportions", 2005: half an observation is
    added to each of the four outcomes), for the number of independent episodes that tell as much as these, clustered by
    support and by query, with Student's t.

    Args:
        right (`Sequence[bool]`): `(n,)`, at least one.
        other (`Sequence[bool]`): `(n,)`, the other method's.
        supports (`Sequence`): `(n,)`, the support set of each; of one alone see [`accuracy`].
        queries (`Sequence`): `(n,)`, the query of each.
        confidence (`float`, defaults to 0.95): Of the interval.

    Raises:
        ValueError: where there is none, or lengths differ.
    """
    values = _checked(right, supports, queries) - _checked(other, supports, queries)
    size, degrees = _effective_size(values, supports, queries)
    mean = float(values.mean())
    if not degrees:
        return Estimate(mean, -1.0, 1.0)
    center = mean * size / (size + 2)
    discordant = (np.square(values).mean() * size + 1) / (size + 2)
    half = _quantile(degrees, confidence) * np.sqrt((discordant - center**2) / (size + 2))
    return Estimate(mean, float(max(-1.0, min(center - half, mean))), float(min(1.0, max(center + half, mean))))


def mean(values: Sequence[float], supports: Sequence, queries: Sequence, confidence: float = CONFIDENCE) -> Estimate:
    """
    The mean of a metric, with the interval of Student's t for its variance clustered by support and by query.

    Args:
        values (`Sequence[float]`): `(n,)`, at least one.
        supports (`Sequence`): `(n,)`, the support set of each; of one alone see [`accuracy`].
        queries (`Sequence`): `(n,)`, the query of each.
        confidence (`float`, defaults to 0.95): Of the interval.

    Raises:
        ValueError: where there is none, or lengths differ.
    """
    values = _checked(values, supports, queries)
    center = float(values.mean())
    clusterings = [clusters for clusters in (supports, queries) if len(set(clusters)) > 1]
    if not clusterings:
        return Estimate(center, None, None)
    degrees = min(len(set(clusters)) for clusters in clusterings) - 1
    half = _quantile(degrees, confidence) * float(np.sqrt(cluster_variance(values, *clusterings)))
    return Estimate(center, center - half, center + half)


def _checked(right: Sequence[bool], supports: Sequence, queries: Sequence) -> np.ndarray:
    values = np.asarray(right, dtype=float)
    if not len(values) or not len(values) == len(supports) == len(queries):
        raise ValueError(
            f"Each answer has a support and a query, and there is at least one; got {len(values)} answers, "
            f"{len(supports)} supports, {len(queries)} queries."
        )
    return values


def majority(truths: Sequence[str]) -> tuple[str, float]:
    """The most frequent truth (of several the first by name), and its share."""
    label, count = min(Counter(truths).items(), key=lambda item: (-item[1], item[0]))
    return label, count / len(truths)


def confusion_matrix(
    truths: Sequence[str], predictions: Sequence[str | None], labels: Sequence[str]
) -> list[list[int]]:
    """Counts, a row a truth and a column a prediction in the order of `labels`, and a last column for no answer."""
    columns = {label: i for i, label in enumerate([*labels, None])}
    counts = np.zeros((len(labels), len(columns)), dtype=int)
    for truth, prediction in zip(truths, predictions, strict=True):
        counts[columns[truth], columns[prediction]] += 1
    return counts.tolist()


def summarize(records: Sequence[dict], scoring: str) -> dict:
    """
    What a run's episodes say, a setting (task, ways, shots) at a time.

    Args:
        records (`Sequence[dict]`): The episodes, as lines of `episodes.jsonl` hold them. One with `failed` is counted
            and listed, never scored; a prediction of `None` is wrong, and counted as no answer.
        scoring (`str`): The method that stands for the language model.

    Returns:
        `dict`, JSON-able: `scoring`, `confidence`, `episodes`, `failures` (`[{"episode", "reason"}]`),
        `metric_failures` (`[{"episode", "of", "metric", "reason"}]`) and `settings`, each with `task`, `ways`, `shots`,
        `episodes`, `scored`, `failed`, `supports`, `queries`, `chance`, `majority`, `scoring` (its own: what was heard
        where answers are audio, `None` where they have no labels), `methods` (a dict of accuracies with their
        intervals), `differences` (of its `scoring` to controls), `confusion`; and, where answers are audio, `metrics`
        (metric → what was measured → `mean` with its interval, `n` scored, `failed`) and `metric_differences` (of what
        was generated to controls, on the episodes where both are scored). Shares, not percents.

    Raises:
        ValueError: for an episode that stands twice, lacks a field, or has an answer that is not among its labels, and
            for settings whose episodes have not all the same methods, `scoring` among them.
    """
    seen = set()
    for record in records:
        missing = [name for name in NEEDED if name not in record]
        if missing:
            raise ValueError(f"Episode {record.get('episode')!r} lacks {', '.join(missing)}.")
        if record["episode"] in seen:
            raise ValueError(f"Episode {record['episode']!r} stands twice: remove one of its lines.")
        seen.add(record["episode"])
    settings: dict[tuple, list[dict]] = {}
    records = sorted(records, key=lambda record: record["episode"])  # sums round alike whatever order lines came in
    for record in records:
        settings.setdefault((record["task"], record["ways"], record["shots"]), []).append(record)
    return {
        "scoring": scoring,
        "confidence": CONFIDENCE,
        "episodes": len(records),
        "failures": [{"episode": r["episode"], "reason": r["failed"]} for r in records if r.get("failed")],
        "metric_failures": [
            {"episode": record["episode"], **failure}
            for record in records
            for failure in record.get("metric_failures") or ()
        ],
        "settings": [_summarize_setting(*key, settings[key], scoring) for key in sorted(settings)],
    }


def _summarize_setting(task: str, ways: int, shots: int, records: Sequence[dict], scoring: str) -> dict:
    scored = [record for record in records if not record.get("failed")]
    supports, queries = ([record[name] for record in scored] for name in ("support", "query"))
    setting = {
        "task": task,
        "ways": ways,
        "shots": shots,
        "episodes": len(records),
        "scored": len(scored),
        "failed": len(records) - len(scored),
        "supports": len(set(supports)),
        "queries": len(set(queries)),
        "chance": 1 / ways,
        "majority": None,
        "scoring": None,
        "methods": {},
        "differences": {},
        "confusion": None,
        **_summarize_metrics(scored),
    }
    methods = list(dict.fromkeys(name for record in scored for name in record.get("predictions") or ()))
    if not methods and all("metrics" in record for record in scored):
        return setting  # audio whose answers have no labels
    scoring = next((name for name in HEARD if name in methods), scoring)
    for record in scored:
        if {scoring, *methods} - set(record.get("predictions") or {}) - {OF_ANOTHER}:
            raise ValueError(
                f"Episode {record['episode']!r} has predictions of {sorted(record.get('predictions') or {})}; all of "
                f"{ways}-way {shots}-shot {task} need {sorted({scoring, *methods})}."
            )
        strange = {record["truth"], *record["predictions"].values()} - {*record["labels"], None}
        if strange:
            raise ValueError(
                f"Episode {record['episode']!r} has the labels {record['labels']}, but {sorted(strange)} among its "
                "truth and predictions."
            )
    truths = [record["truth"] for record in scored]

    def estimate(function: Callable, *names: str) -> Estimate:
        """Of methods, on the episodes that have them."""
        having = [record for record in scored if set(names) <= set(record["predictions"])]
        right = [[record["predictions"][name] == record["truth"] for record in having] for name in names]
        return function(*right, *([record[name] for record in having] for name in ("support", "query")))

    answers = {name: [r["predictions"][name] for r in scored if name in r["predictions"]] for name in methods}
    label, share = majority(truths)
    labels = sorted({label for record in scored for label in record["labels"]})
    return setting | {
        "majority": {"label": label, "accuracy": share},
        "scoring": scoring,
        "methods": {
            name: {
                **_named(estimate(accuracy, name), "accuracy"),
                "right": sum(record["predictions"].get(name) == record["truth"] for record in scored),
                "no_answer": answers[name].count(None),
            }
            for name in methods
        },
        "differences": {
            name: _named(estimate(paired_difference, scoring, name), "difference")
            for name in COMPARED
            if name in methods
        },
        "confusion": {"labels": labels, "counts": confusion_matrix(truths, answers[scoring], labels)},
    }


def _summarize_metrics(scored: Sequence[dict]) -> dict[str, dict]:
    """`metrics` and `metric_differences` of a setting; empty where nothing was measured."""
    found: dict[str, dict[str, dict[str, float | None]]] = {}  # metric, what was measured, episode
    for record in scored:
        for of, values in (record.get("metrics") or {}).items():
            for metric, value in values.items():
                found.setdefault(metric, {}).setdefault(of, {})[record["episode"]] = value
    place = {record["episode"]: (record["support"], record["query"]) for record in scored}

    def estimate(values: dict[str, float | None], name: str) -> dict:
        known = {episode: value for episode, value in values.items() if value is not None}
        counts = {"n": len(known), "failed": len(values) - len(known)}
        if not known:
            return {name: None, "low": None, "high": None} | counts
        supports, queries = zip(*(place[episode] for episode in known))
        return _named(mean(list(known.values()), supports, queries), name) | counts

    def less(of: dict[str, dict[str, float | None]], control: str) -> dict[str, float | None]:
        pairs = {episode: (value, of[control].get(episode)) for episode, value in of[MADE].items()}
        return {episode: None if None in pair else pair[0] - pair[1] for episode, pair in pairs.items()}

    return {
        "metrics": {
            metric: {name: estimate(values, "mean") for name, values in of.items()} for metric, of in found.items()
        },
        "metric_differences": {
            metric: {
                name: estimate(less(of, name), "difference") for name in MEASURED_COMPARED if name in of and MADE in of
            }
            for metric, of in found.items()
        },
    }


def _named(estimate: Estimate, name: str) -> dict[str, float | None]:
    return {name: estimate.value, "low": estimate.low, "high": estimate.high}
