# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec classify`: what the pipeline answers, in lines."""

import json

import pytest
from transformers import pipeline


@pytest.fixture
def expected(codec, processor, language_model, examples):
    """What the pipeline answers, given examples by their names."""
    pipe = pipeline("audio-fewshot", model=codec, processor=processor, language_model=language_model)

    def answer(query, names, **kwargs):
        return pipe(str(query), examples=[(str(examples / name), name[:3]) for name in names.split()], **kwargs)

    return answer


def scores(lines):
    return [(label, float(score)) for label, score in (line.split("\t")[-2:] for line in lines)]


def as_scores(answer):
    return [(line["label"], pytest.approx(line["score"], abs=6e-5)) for line in answer]


@pytest.mark.parametrize(
    ("options", "names", "arguments"),
    [
        ([], "cat/1.wav dog/1.wav cat/2.wav dog/2.wav cat/3.wav", {}),
        (["--shots", "1"], "cat/1.wav dog/1.wav", {}),
        (["--shots", "2", "--labels", "dog,cat"], "dog/1.wav cat/1.wav dog/2.wav cat/2.wav", {}),
        (["--layers", "0,1,2", "--shots", "1"], "cat/1.wav dog/1.wav", {"layers": (0, 1, 2)}),
        (["--no_instruction", "--labels", "cat"], "cat/1.wav cat/2.wav cat/3.wav", {"instruction": False}),
    ],
)
def test_classify(cli, wav, examples, language_model_dir, expected, options, names, arguments):
    query = wav(seed=9)
    command = ["classify", query, "--examples", examples, "--language_model", language_model_dir, *options]
    status, out, _ = cli(*command)
    answer = expected(query, names, **arguments)
    assert status == 0
    assert scores(out) == as_scores(answer)
    (line,) = cli(*command, "--json")[1]
    assert json.loads(line) == {
        "audio": str(query),
        "labels": [{"label": line["label"], "score": pytest.approx(line["score"], abs=1e-6)} for line in answer],
    }


def test_classify_several_queries(cli, wav, examples, language_model_dir, expected):
    queries = [wav("a.wav", seed=9), wav("b.wav", samples=9000, sampling_rate=22050, channels=2)]
    command = ["classify", *queries, "--examples", examples, "--shots", 1, "--language_model", language_model_dir]
    _, out, _ = cli(*command)
    assert [line.split("\t")[0] for line in out] == [str(query) for query in queries for _ in range(2)]
    assert scores(out) == [pair for query in queries for pair in as_scores(expected(query, "cat/1.wav dog/1.wav"))]
    assert [json.loads(line)["audio"] for line in cli(*command, "--json")[1]] == [str(query) for query in queries]


def test_classify_errors(refused, wav, examples, language_model_dir, tmp_path):
    def classify(query, folder, *options, lm=("--language_model", language_model_dir), status=2):
        return refused("classify", query, "--examples", folder, *lm, *options, status=status)

    query = wav()
    assert "There is no folder" in classify(query, tmp_path / "missing")
    assert "has no subfolders" in classify(query, examples / "dog")
    assert "There is no label 'cow'" in classify(query, examples, "--labels", "dog,cow")
    assert "The label 'dog' has 2 clips, 3 wanted." in classify(query, examples, "--shots", 3)
    assert "--model needs --language_model too" in classify(query, examples, lm=())
    assert "missing.wav" in classify(tmp_path / "missing.wav", examples, status=1)
    (examples / "dog" / "0.wav").write_text("no audio")
    assert "dog/0.wav: This is not audio" in classify(query, examples, status=1)
    (examples / "empty").mkdir()
    assert "The label 'empty' has 0 clips, 1 wanted." in classify(query, examples)
