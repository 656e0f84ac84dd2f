# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A run that is refused leaves nothing behind that refuses the corrected one."""

import json

import pytest

from llm_codec_cli import main


@pytest.fixture
def clips(wav, tmp_path):
    """Six clips of each of two labels."""
    for i in range(12):
        wav(f"clips/{('dog', 'cat')[i % 2]}/{i}.wav", samples=3000, seed=i)
    return tmp_path / "clips"


@pytest.mark.e2e
def test_evaluate(clips, codec_dir, language_model_dir, tmp_path, capsys):
    results = tmp_path / "results"
    command = ["evaluate", str(clips), "--episodes", "2", "--queries_per_support", "2", "--shots", "1"]
    command += ["--model", str(codec_dir), "--language_model", str(language_model_dir), "--device", "cpu"]
    command += ["--output_dir", str(results), "--scoring", "raw"]
    for refused, status, message in [
        (["--ways", "5"], 1, "needs 5 labels"),
        (["--ways", "2", "--shots", "20"], 1, "21 are needed"),
        (["--ways", "2", "--batch_size", "0"], 2, "`batch_size` is 1 or more"),
        (["--ways", "2", "--scoring", "nonsense"], 1, "There is no way of answering 'nonsense'"),
    ]:
        assert main([*command, *refused]) == status, refused
        assert message in capsys.readouterr().err
        assert not results.exists(), refused
    # as a run that was stopped before its first answer, or an earlier version's refused one, has left it
    results.mkdir()
    (results / "config.json").write_text(json.dumps({"tasks": ["others"]}))
    (results / "part-000.jsonl").write_text("")
    assert main([*command, "--ways", "2"]) == 0
    assert len((results / "episodes.jsonl").read_text().splitlines()) == 2
    assert main([*command, "--ways", "2", "--seed", "1"]) == 1  # these answers would be lost
    assert "holds another run: tasks differ" in capsys.readouterr().err


def test_train(clips, language_model_dir, tmp_path, capsys):
    run, empty = tmp_path / "run", tmp_path / "empty"
    empty.mkdir()
    command = ["train", "--output_dir", str(run), "--language_model", str(language_model_dir)]
    for refused, status, message in [
        (["--data", str(empty)], 1, "no audio"),
        (["--data", str(clips), "--codec", '{"encoderdim": 4}'], 1, "encoderdim"),
        (["--data", str(clips), "--max_steps", "0"], 2, "`max_steps` must be above 0"),
    ]:
        assert main([*command, *refused]) == status, refused
        assert message in capsys.readouterr().err
        assert not run.exists(), refused
