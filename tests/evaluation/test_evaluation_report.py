# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Intervals against simulation and by hand, and the report of a run's folder."""

import json
import logging
import sys

import numpy as np
import pytest

pytest.importorskip("scipy", reason="statistics need scipy (the extra `eval`)")

from llm_codec_hf.evaluation.report import write_report  # noqa: E402
from llm_codec_hf.evaluation.statistics import (  # noqa: E402
    accuracy,
    cluster_variance,
    confusion_matrix,
    majority,
    paired_difference,
    summarize,
)

LABELS = ["bass", "cymbal", "kick", "snare", "tabla", "tom"]
SCORINGS = ("raw", "length_normalized", "content_free", "support_shuffled", "batch")
# how often each method is right where it is not luck
SKILL = dict.fromkeys(SCORINGS, 0.35) | {"nearest": 0.4, "text_only": 0, "shuffled_labels": 0, "shuffled_words": 0}


def run_records(task="percussion", ways=(2, 5), shots=(1, 3, 5), episodes=120, seed=0, **skill) -> list[dict]:
    """A run as a harness writes it: ten queries a support set, truths balanced, answers by luck and by skill."""
    rng = np.random.default_rng(seed)
    records = []
    for way in ways:
        for shot in shots:
            for i in range(episodes):
                if i % 10 == 0:
                    labels = [str(label) for label in rng.permutation(LABELS)[:way]]
                truth = labels[i % way]
                predictions = {
                    name: truth if rng.random() < share else str(rng.choice(labels))
                    for name, share in (SKILL | skill).items()
                }
                setting = f"{task}/{way}-way-{shot}-shot"
                records.append(
                    {
                        "episode": f"{setting}/{i:05d}",
                        "task": task,
                        "ways": way,
                        "shots": shot,
                        "support": f"{setting}/s{i // 10:04d}",
                        "query": f"{truth}_{rng.integers(12)}.flac",
                        "truth": truth,
                        "labels": labels,
                        "prompt_sha256": f"{i:064x}",
                        "scores": {name: [0.0] * way for name in SCORINGS},
                        "predictions": predictions,
                        "seconds": 0.1,
                        "failed": None,
                    }
                )
    return records


def write_run(folder, records: list[dict], **config) -> None:
    tasks = [
        {
            "name": name,
            "description": f"Names the sounds of {name}.",
            "licence": "CC0",
            "source": "made | here",
            "labels": LABELS,
            "citation": None,
        }
        for name in sorted({record["task"] for record in records})
    ]
    config = {
        "scoring": "content_free",
        "command": "llm-codec evaluate percussion",
        "arguments": {"seed": 7, "shots": [1, 3, 5]},
        "codec": "embedded",
        "language_model": "SmolLM2-135M-Instruct",
        "tasks": tasks,
    } | config
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "versions.json").write_text(json.dumps({"torch": "2.13.0", "llm_codec_hf": "0.4"}))
    (folder / "episodes.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


# ---- variance and intervals


def test_variance_by_hand():
    # mean 0.5, residuals ±0.5; supports {a: 1, 1; b: 0, 0} sum to ±1: 2/1 · (1 + 1) / 16
    values, supports = [1, 1, 0, 0], ["a", "a", "b", "b"]
    assert cluster_variance(values, supports) == pytest.approx(0.25)
    # queries {x: 1, 0; y: 1, 0} sum to 0; the four pairs of both: 4/3 · 4 · 0.25 / 16, so that the sum is 0.25 − 1/12,
    # below the supports' own variance, which stands
    assert cluster_variance(values, ["x", "y", "x", "y"]) == pytest.approx(0)
    assert cluster_variance(values, supports, ["x", "y", "x", "y"]) == pytest.approx(0.25)
    # queries {x: 1, 0, y: 1, z: 0}: 3/2 · (0 + 0.25 + 0.25) / 16; the sum is above both
    queries = ["x", "y", "x", "z"]
    assert cluster_variance(values, queries) == pytest.approx(1.5 * 0.5 / 16)
    assert cluster_variance(values, supports, queries) == pytest.approx(0.25)
    # two pairs of supports and queries that go together: the intersection has its own two clusters, not four
    values, supports = [1, 1, 0, 1, 0, 0], ["a", "a", "a", "b", "b", "b"]
    queries = ["x", "x", "y", "y", "z", "z"]
    ways = 2 * (0.25 + 0.25) / 36, 1.5 * (1 + 0 + 1) / 36
    both = 4 / 3 * (1 + 0.25 + 0.25 + 1) / 36
    assert cluster_variance(values, supports, queries) == pytest.approx(max(sum(ways) - both, *ways))


def test_variance_of_crossed_clusters_is_above_each():
    rng = np.random.default_rng(0)
    supports, queries = np.repeat(np.arange(30), 10), rng.integers(40, size=300)
    values = rng.normal(size=30)[supports] + rng.normal(size=40)[queries] + rng.normal(size=300)
    ways = cluster_variance(values, supports), cluster_variance(values, queries)
    both = cluster_variance(values, supports, queries)
    assert both > max(ways)
    cells = supports * 40 + queries
    assert both == pytest.approx(sum(ways) - cluster_variance(values, cells))


def test_variance_refuses():
    with pytest.raises(ValueError, match="One cluster says nothing"):
        cluster_variance([0, 1], ["a", "a"])
    with pytest.raises(ValueError, match="not in 3"):
        cluster_variance([0, 1], [0, 1], [0, 1], [0, 1])


def test_accuracy_of_independent_episodes_is_wilsons():
    # 20 of 40: Wilson's interval with t(39) = 2.0227 in place of 1.96
    n, t = 40, 2.022691
    right = [True, False] * (n // 2)
    estimate = accuracy(right, range(n), range(n))
    half = t * np.sqrt(0.25 / n + t**2 / (4 * n**2)) / (1 + t**2 / n)
    assert n / (n - 1) * 0.25 / n == pytest.approx(cluster_variance(right, range(n)))
    assert estimate.value == 0.5
    # the correction n / (n - 1) makes it a little wider than Wilson's
    assert half < estimate.high - 0.5 < 1.02 * half
    assert estimate.low + estimate.high == pytest.approx(1)


def test_clusters_count_as_observations_where_they_are_all_alike():
    right = np.repeat([True, False], 10)  # of 20 support sets
    alone = accuracy(right, range(20), range(20))
    ten = accuracy(np.repeat(right, 10), np.repeat(np.arange(20), 10), range(200))
    assert ten == pytest.approx(alone)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_and_all_wrong_keep_a_width(value):
    supports, queries = np.repeat(np.arange(30), 10), np.arange(300) % 60
    estimate = accuracy([value] * 300, supports, queries)
    assert estimate.value == value and estimate.low <= value <= estimate.high
    # Wilson's for 30 of 30, with t(29) = 2.0452: t² / (30 + t²)
    assert estimate.high - estimate.low == pytest.approx(2.04523**2 / (30 + 2.04523**2), rel=1e-4)
    difference = paired_difference([value] * 300, [value] * 300, supports, queries)
    assert difference.value == 0 and difference.low == pytest.approx(-difference.high)
    assert 0.03 < difference.high < 0.1


def test_one_support_set_leaves_the_queries():
    rng = np.random.default_rng(0)
    right, queries = rng.random(50) < 0.6, np.arange(50)
    assert accuracy(right, ["s"] * 50, queries) == accuracy(right, queries, queries)
    assert accuracy(right, queries, ["q"] * 50) == accuracy(right, queries, queries)


def test_one_episode_says_nothing():
    assert accuracy([True], ["s"], ["q"]) == (1.0, 0.0, 1.0)
    assert paired_difference([True], [False], ["s"], ["q"]) == (1.0, -1.0, 1.0)
    assert accuracy([True, False], ["s"] * 2, ["q"] * 2) == (0.5, 0.0, 1.0)
    with pytest.raises(ValueError, match="0 answers"):
        accuracy([], [], [])
    with pytest.raises(ValueError, match="2 answers, 1 supports, 2 queries"):
        accuracy([True, False], ["s"], ["q", "r"])


def test_difference_by_hand():
    # 40 independent episodes: 12 right by the first alone, 4 by the second alone
    right, other = [1] * 12 + [0] * 4 + [1] * 24, [0] * 12 + [1] * 4 + [1] * 24
    estimate = paired_difference(right, other, range(40), range(40))
    assert estimate.value == pytest.approx(0.2)
    n = 39  # 40 / (40 / 39), of the variance's correction
    center, discordant = 0.2 * n / (n + 2), (0.4 * n + 1) / (n + 2)
    half = 2.02269092 * np.sqrt((discordant - center**2) / (n + 2))
    assert estimate == pytest.approx((0.2, center - half, center + half))
    turned = paired_difference(other, right, range(40), range(40))
    assert turned == pytest.approx((-estimate.value, -estimate.high, -estimate.low))


@pytest.mark.parametrize("base", [0.0, 2.0], ids=["half right", "mostly right"])
def test_intervals_cover_what_they_say(base):
    """Crossed effects of 30 support sets and 60 queries, drawn anew each time: the interval holds the mean over all."""
    rng = np.random.default_rng(0)
    support_count, query_count, runs = 30, 60, 500
    supports = np.repeat(np.arange(support_count), 10)

    def share(logits):
        return 1 / (1 + np.exp(-logits))

    truth = share(base + np.sqrt(2) * rng.standard_normal(400_000)).mean()
    hits = difference_hits = independent_hits = 0
    for _ in range(runs):
        queries = rng.permuted(np.tile(np.arange(query_count), (support_count, 1)), axis=1)[:, :10].ravel()
        effects = rng.standard_normal((2, support_count)), rng.standard_normal((2, query_count))
        first, second = (
            rng.random(300) < share(base + by_support[supports] + by_query[queries])
            for by_support, by_query in zip(*effects)
        )
        estimate = accuracy(first, supports, queries)
        hits += estimate.low <= truth <= estimate.high
        independent = accuracy(first, range(300), range(300))
        independent_hits += independent.low <= truth <= independent.high
        difference = paired_difference(first, second, supports, queries)
        difference_hits += difference.low <= 0 <= difference.high
    assert 0.92 < hits / runs < 0.98
    assert 0.92 < difference_hits / runs < 0.98
    assert independent_hits / runs < 0.9  # what clustering is for


# ---- summary


def test_majority_and_confusion():
    assert majority(["b", "a", "b", "c"]) == ("b", 0.5)
    assert majority(["b", "a"]) == ("a", 0.5)
    counts = confusion_matrix(["a", "a", "b", "b"], ["a", "b", None, "b"], ["a", "b"])
    assert counts == [[1, 1, 0], [0, 1, 1]]


def test_summary_counts():
    records = run_records(ways=(2,), shots=(1,), episodes=20)
    for record, answer in zip(records, ["right", "wrong", None, "failed"]):
        other = next(label for label in record["labels"] if label != record["truth"])
        record["predictions"]["raw"] = {"right": record["truth"], "wrong": other}.get(answer)
        if answer == "failed":
            record["failed"] = "the clip is empty"
            del record["predictions"], record["scores"]
    for record in records[4:]:
        record["predictions"]["raw"] = record["truth"]
    summary = json.loads(json.dumps(summarize(records, "raw"), allow_nan=False))
    assert summary["episodes"] == 20
    assert summary["failures"] == [{"episode": "percussion/2-way-1-shot/00003", "reason": "the clip is empty"}]
    (setting,) = summary["settings"]
    assert (setting["episodes"], setting["scored"], setting["failed"], setting["supports"]) == (20, 19, 1, 2)
    assert setting["chance"] == 0.5
    assert setting["methods"]["raw"]["accuracy"] == pytest.approx(17 / 19)
    assert setting["methods"]["raw"]["right"] == 17 and setting["methods"]["raw"]["no_answer"] == 1
    assert set(setting["differences"]) == {"shuffled_words", "nearest"}
    counts = np.array(setting["confusion"]["counts"])
    assert counts.sum() == 19 and counts[:, :-1].trace() == 17 and counts[:, -1].sum() == 1
    scored = [record for record in records if not record["failed"]]
    difference = np.mean([(r["predictions"]["raw"] == r["truth"]) for r in scored]) - np.mean(
        [(r["predictions"]["nearest"] == r["truth"]) for r in scored]
    )
    assert setting["differences"]["nearest"]["difference"] == pytest.approx(difference)


def test_summary_does_not_depend_on_the_order_of_lines():
    records = run_records(episodes=20)
    shuffled = [records[i] for i in np.random.default_rng(0).permutation(len(records))]
    assert summarize(records, "raw") == summarize(shuffled, "raw")


def test_summary_refuses():
    records = run_records(ways=(2,), shots=(1,), episodes=3)
    with pytest.raises(ValueError, match="percussion/2-way-1-shot/00001' stands twice"):
        summarize([*records, records[1]], "raw")
    with pytest.raises(ValueError, match="need .*'mine'"):
        summarize(records, "mine")
    with pytest.raises(ValueError, match="00002' lacks truth, labels"):
        summarize([*records[:2], {k: v for k, v in records[2].items() if k not in ("truth", "labels")}], "raw")
    with pytest.raises(ValueError, match="00001' has predictions of"):
        summarize([records[0], records[1] | {"predictions": {"raw": None}}], "raw")
    strange = records[1] | {"predictions": records[1]["predictions"] | {"raw": "gong"}}
    with pytest.raises(ValueError, match="but \\['gong'\\] among"):
        summarize([records[0], strange], "raw")


# ---- report


@pytest.mark.e2e
def test_report(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib (the extra `eval`)")
    listening = run_records(content_free=0.8, nearest=0.1)
    deaf = run_records("accent", ways=(2,), shots=(1,), content_free=0.0, nearest=0.9)
    deaf[3] |= {"failed": "the clip | is empty", "predictions": {}}
    deaf[4]["predictions"]["content_free"] = None
    write_run(tmp_path, listening + deaf)
    summary = write_report(tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    pictures = {f"{task}-{what}.png" for task in ("accent", "percussion") for what in ("accuracy", "confusion")}
    assert {path.name for path in tmp_path.glob("*.png")} == pictures
    for name in pictures:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("*.tmp"))
    text = (tmp_path / "report.md").read_text()
    for name in pictures:
        assert f"]({name})" in text
    assert "Of codec embedded, language model SmolLM2-135M-Instruct;" in text
    assert "**It beats its shuffled-words control in 6 of 7 settings.**" in text
    assert "Nothing shows that it listens in accent 2-way 1-shot." in text
    sections = text.split("\n## ")
    accent, percussion = sections[1], sections[2]
    assert accent.startswith("accent\n") and "Names the sounds of accent." in accent and "CC0" in accent
    assert "It does **not beat its shuffled-words control**" in accent
    assert "It is **worse than nearest neighbour**" in accent
    assert percussion.count("It beats its shuffled-words control") == 6
    setting = next(s for s in summary["settings"] if s["task"] == "percussion" and (s["ways"], s["shots"]) == (5, 3))
    method = setting["methods"]["content_free"]
    figures = " [{:.1f}, {:.1f}]".format(100 * method["low"], 100 * method["high"])
    row = next(line for line in percussion.splitlines() if line.startswith("| 5-way 3-shot |"))
    assert f"**{100 * method['accuracy']:.1f}{figures}**" in row and row.endswith("| 20.0 |")
    assert r"| the clip \| is empty | 1 | accent/2-way-1-shot/00003 |" in text
    assert "| accent | 2-way 1-shot | content free | 1 of 119 |" in text
    assert "| arguments.shots | 1, 3, 5 |" in text and "| torch | 2.13.0 |" in text
    assert "$ llm-codec evaluate percussion" in text
    for table in tables_of(text):
        assert len({line.replace(r"\|", "").count("|") for line in table}) == 1


def tables_of(text: str) -> list[list[str]]:
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return [block for block in blocks if block[0].startswith("|")]


def test_pictures_show_the_figures():
    pytest.importorskip("matplotlib", reason="pictures need matplotlib (the extra `eval`)")
    from llm_codec_hf.evaluation.plots import accuracy_figure, confusion_figure

    settings = summarize(run_records(episodes=40), "raw")["settings"][:-1]  # 5-way 5-shot was not run
    two, five = accuracy_figure(settings, "raw").axes
    for axes, rows in ((two, settings[:3]), (five, settings[3:])):
        bars = {container.get_label(): container.lines[0].get_ydata() for container in axes.containers}
        for name, label in (
            ("raw", "language model (raw)"),
            ("nearest", "nearest"),
            ("shuffled_words", "shuffled words"),
        ):
            np.testing.assert_allclose(bars[label], [100 * row["methods"][name]["accuracy"] for row in rows])
        assert [text.get_text() for text in axes.get_xticklabels()] == [str(row["shots"]) for row in rows]
    *panels, _ = confusion_figure(settings).axes  # the last is the colour bar
    assert [axes.get_visible() for axes in panels] == [True] * 5 + [False]
    counts = np.array(settings[0]["confusion"]["counts"])[:, :-1]
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(panels[0].images[0].get_array(), shares)


@pytest.mark.e2e
def test_report_again_is_the_same(tmp_path):
    records = run_records(ways=(2,), shots=(1, 3), episodes=20)
    write_run(tmp_path, records)
    write_report(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_run(tmp_path, records[::-1])  # as another division among processes would have written it
    write_report(tmp_path)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before.keys() == after.keys()
    assert all(before[name] == after[name] for name in before if name != "episodes.jsonl")


def test_report_of_one_support_and_of_failures_alone(tmp_path):
    records = run_records(ways=(2,), shots=(1, 3), episodes=10)
    for record in records[10:]:
        record.update(failed="no memory", predictions=None)
    write_run(tmp_path, records)
    summary = write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "2-way 3-shot: **no episode was scored**; all 10 failed." in text
    assert text.count("All episodes have one support set") == 1
    assert summary["settings"][1]["methods"] == {} and len(summary["failures"]) == 10
    write_run(tmp_path, records[10:])
    write_report(tmp_path)
    assert "**No episode was scored.**" in (tmp_path / "report.md").read_text()


def test_report_without_controls(tmp_path):
    records = run_records(ways=(2,), shots=(1,), episodes=20)
    for record in records:
        record["predictions"] = {"paper": record["truth"]}
    write_run(tmp_path, records, scoring="paper")
    summary = write_report(tmp_path)
    assert summary["settings"][0]["differences"] == {}
    assert "**This run has no control `shuffled_words`.**" in (tmp_path / "report.md").read_text()


def test_report_without_matplotlib(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "llm_codec_hf.evaluation.plots", raising=False)
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    write_run(tmp_path, run_records(ways=(2,), shots=(1,), episodes=20))
    with caplog.at_level(logging.WARNING):
        write_report(tmp_path)
    assert "The report has no pictures" in caplog.text
    text = (tmp_path / "report.md").read_text()
    assert "This page has no pictures" in text and "![" not in text
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("config.json", None, "not a run's folder: it has no config.json"),
        ("episodes.jsonl", None, "not a run's folder: it has no episodes.jsonl"),
        ("config.json", "{}", "does not say which `scoring`"),
        ("versions.json", "{", "versions.json is not JSON"),
        ("episodes.jsonl", "", "has no episode"),
        ("episodes.jsonl", '{"episode": "half', "Line 1 of .* is not JSON"),
    ],
)
def test_report_refuses(tmp_path, name, content, message):
    write_run(tmp_path, run_records(ways=(2,), shots=(1,), episodes=4))
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        write_report(tmp_path)
    assert not (tmp_path / "report.md").exists() and not (tmp_path / "summary.json").exists()
