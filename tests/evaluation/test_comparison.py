# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Runs side by side."""

import gzip
import json

import pytest

from llm_codec_hf.evaluation.comparison import compare, main


def make_run(folder, task, scoring, right, language_model="a model", packed=False, episodes=40):
    """A run in which each method is right in some of every ten episodes."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"scoring": scoring, "language_model": language_model}))
    records = [
        {
            "episode": f"{task}/5-way-5-shot/{i:05d}",
            "task": task,
            "ways": 5,
            "shots": 5,
            "support": f"s{i // 10}",
            "query": f"q{i}",
            "truth": "a",
            "labels": ["a", "b"],
            "predictions": {name: "a" if i % 10 < count else "b" for name, count in right.items()},
        }
        for i in range(episodes)
    ]
    records.append({**records[0], "episode": "broken", "failed": "it has no audio"})
    text = "".join(json.dumps(record) + "\n" for record in records)
    if packed:
        (folder / "episodes.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    else:
        (folder / "episodes.jsonl").write_text(text)
    return folder


def test_runs_side_by_side(tmp_path):
    right = {"random": 2, "nearest": 4, "blend": 7, "blend_shuffled_words": 4, "raw": 3, "centroid_mel": 5}
    one = make_run(tmp_path / "one", "percussion", "blend", right)
    two = make_run(
        tmp_path / "two", "digit", "raw", {"raw": 3, "nearest": 5, "shuffled_words": 2}, "other", packed=True
    )
    main([str(one), str(two), "--output", str(tmp_path / "table.md")])
    text = (tmp_path / "table.md").read_text()
    assert text == compare([one, two])
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert [line[0].strip("| ") for line in lines[2:8]] == [
        "raw", "blend", "nearest", "centroid_mel", "shuffled_words", "blend_shuffled_words",
    ]  # fmt: skip
    assert lines[0][1] == "percussion 5-way 5-shot, a model (40)" and lines[3][1].startswith("70.0 [")
    assert lines[3][2].startswith("–") and lines[2][2].startswith("30.0 [")
    ahead = [line for line in lines if len(line) == 4][-2:]
    assert ahead[0][1] == "blend" and ahead[0][2].startswith("+30.0 [") and ahead[0][3].startswith("+0.0 [")
    assert ahead[1][1] == "raw" and ahead[1][2].startswith("-20.0 [") and ahead[1][3].startswith("-30.0 [")
    assert "intervals of 97.50% each, so that all 2 hold together" in text


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a run's folder"):
        compare([tmp_path])
    with pytest.raises(ValueError, match="no answered episodes"):
        compare([make_run(tmp_path / "empty", "t", "raw", {}, episodes=1)][:0])
