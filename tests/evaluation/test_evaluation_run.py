# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A run from clips to report: what is asked and answered, and that nothing is lost or doubled when it is killed."""

import json
import os
import random
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import processes
import pytest
import soundfile as sf
import torch
import yaml
from conftest import SHARED
from language_models import Bigram, full_pass
from transformers import pipeline

from llm_codec_cli import main, make_parser
from llm_codec_cli.fields import given_fields
from llm_codec_hf.backend_llm_codec import InProcessBackend
from llm_codec_hf.evaluation.answers import Prompts, answer_labels, match_prefix, nearest_label, score_labels
from llm_codec_hf.evaluation.clips import Source, load_clips
from llm_codec_hf.evaluation.configuration import EvaluationConfig
from llm_codec_hf.evaluation.run import Systems, encode_named, evaluate
from llm_codec_hf.evaluation.sampling import make_episodes
from llm_codec_hf.evaluation.tasks import Task
from llm_codec_hf.requests_llm_codec import LanguageModelError
from llm_codec_hf.scoring_llm_codec import CONTENT_FREE, FURTHER, SCORINGS, calibrated, shuffled_queries

LABELS = {"low": 200, "mid": 900, "high": 3000}


@pytest.fixture(scope="module")
def clips_dir(tmp_path_factory) -> Path:
    """Twelve noisy tones a label."""
    folder, rng = tmp_path_factory.mktemp("audio") / "tones", np.random.default_rng(0)
    for label, frequency in LABELS.items():
        (folder / label).mkdir(parents=True)
        for i in range(12):
            t = np.arange(rng.integers(3000, 8000)) / 16000
            x = 0.3 * np.sin(2 * np.pi * frequency * rng.uniform(0.8, 1.2) * t) + 0.02 * rng.standard_normal(len(t))
            sf.write(folder / label / f"{i:02d}.wav", x, 16000)
    return folder


@pytest.fixture
def task(clips_dir) -> Task:
    source = Source(folder=clips_dir.name, root=str(clips_dir.parent))
    return Task("tones", "Tones.", source, ways=(2, 3), shots=(1, 2), episodes=24, queries_per_support=6)


@pytest.fixture(scope="module")
def systems(codec, processor, language_model) -> Systems:
    return Systems(codec, processor, InProcessBackend(language_model), {"codec": "tiny", "language_model": "tiny"})


def records_of(folder) -> list[dict]:
    """What was answered, without how long it took."""
    records = [json.loads(line) for line in (Path(folder) / "episodes.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


def block_of(task, systems, ways=3, shots=2):
    clips = load_clips(task)
    episodes = make_episodes(task, clips, ways, shots)
    block = [episode for episode in episodes if episode.support == episodes[0].support]
    return block, encode_named(systems, clips, [block])[0]


def test_answers_by_hand(task, systems, processor, language_model):
    block, codes = block_of(task, systems)
    assert len(block) == 6
    records = answer_labels(block, codes, processor, systems.backend, task, "content_free", ["generated"])
    first, labels = block[0], list(block[0].labels)
    label_ids = [processor.label_ids(label) for label in labels]
    examples = [(codes[clip], label) for clip, label in first.examples]

    def log_probs(query):
        prompt = processor.few_shot_prompt(examples, query, labels)
        return torch.tensor([full_pass(language_model, prompt, ids) for ids in label_ids])

    raw = torch.stack([log_probs(codes[episode.query]) for episode in block])
    support = [clip for clip, _ in examples]
    shuffled = shuffled_queries(support, sorted(clip.shape[1] for clip in support)[3], 8, task.seed)
    expected = {
        "raw": raw,
        "length_normalized": raw / torch.tensor([len(ids) for ids in label_ids]),
        "content_free": calibrated(raw, torch.stack([log_probs(text) for text in CONTENT_FREE])),
        "support_shuffled": calibrated(raw, torch.stack([log_probs(query) for query in shuffled])),
        "batch": calibrated(raw, raw),
    }
    for name, scores in expected.items():
        got = torch.tensor([record["scores"][name] for record in records])
        torch.testing.assert_close(got, scores, atol=2e-4, rtol=0)  # rounded to 5 digits; sums of float32
        best = [labels[k] for k in got.argmax(dim=1).tolist()]
        assert [record["predictions"][name] for record in records] == best
    for episode, record in zip(block, records):
        assert record["predictions"]["nearest"] == nearest_label(examples, codes[episode.query])
        assert record["predictions"]["generated"] in labels and record["failed"] is None
    # each query's answer is another's, once
    answers = [record["predictions"]["content_free"] for record in records]
    assert sorted(r["predictions"]["shuffled_words"] for r in records) == sorted(answers)
    assert len({record["prompt_sha256"] for record in records}) == len(block)


@pytest.mark.parametrize("seed", [0, 5])
def test_the_pipeline_gives_the_same_scores(clips_dir, systems, language_model, seed):
    """To the last digit, for clips of any length: what is measured is what is shipped."""
    source = Source(folder=clips_dir.name, root=str(clips_dir.parent))
    task = Task("tones", "Tones.", source, ways=(3,), shots=(2,), queries_per_support=6, episodes=6, seed=seed)
    block, codes = block_of(task, systems)
    lengths = {name: clip.shape[1] for name, clip in codes.items()}
    assert len({lengths[name] for name, _ in block[0].examples}) > 1 and len({lengths[e.query] for e in block}) > 1
    prompts = Prompts(block[0], codes, systems.processor, task)
    queries = [codes[episode.query] for episode in block]
    scores, _ = score_labels(queries, prompts, prompts, prompts, systems.backend, "raw", task.seed, FURTHER)
    pipe = pipeline("audio-fewshot", model=systems.codec, processor=systems.processor, language_model=language_model)
    for way in SCORINGS:
        answers = pipe(
            [str(clips_dir / episode.query) for episode in block],
            examples=[(str(clips_dir / name), label) for name, label in block[0].examples],
            candidate_labels=list(block[0].labels),
            scoring=way,
            seed=seed,
            batch_size=len(block),
        )
        for answer, expected in zip(answers, scores[way].softmax(dim=-1).tolist(), strict=True):
            assert {entry["label"]: entry["score"] for entry in answer} == dict(zip(block[0].labels, expected)), way


def test_the_original_way_and_free_text(task, systems, processor):
    """A model that writes "low" and its end whatever it reads."""
    block, codes = block_of(task, systems)  # of all three labels
    ids, size = processor.label_ids("low"), len(processor.tokenizer)
    logits = torch.zeros(size, size)
    query = processor.few_shot_query(codes[block[0].query])  # its last id is that of every prompt
    assert len({query[-1], *ids}) == len(ids) + 1
    for last, following in zip([query[-1], *ids], ids):
        logits[last, following] = 50
    backend = InProcessBackend(Bigram(logits))
    for way in ("prefix_match", "uniaudio"):
        records = answer_labels(block, codes, processor, backend, task, way)
        assert {record["predictions"][way] for record in records} == {"low"}
        assert all(record["scores"] == {} for record in records)
        assert {"text_only", "shuffled_labels", "shuffled_words"} <= set(records[0]["predictions"])


def test_a_chat_server_is_asked_in_words(task, systems):
    """The conversation ends with the query's words; what it answers is read like free text."""
    block, codes = block_of(task, systems)

    class Chat:
        def chat(self, conversations, max_new_tokens):
            last = [conversation[-1] for conversation in conversations]
            assert all(message["role"] == "user" for message in last)
            texts = [systems.processor.codes_to_text(codes[episode.query], 0) for episode in block]
            if len(last) == len(block) and last[0]["content"]:
                assert [message["content"] for message in last] == texts
            return ["low, I think"] * len(last)

    records = answer_labels(block, codes, systems.processor, Chat(), task, "chat")
    assert {record["predictions"]["chat"] for record in records} == {"low"}


def test_what_a_text_begins_with():
    assert match_prefix(" kick drum\n", ["k", "d"], ["kick", "kick drum"]) == "d"  # the longest
    assert match_prefix("kicks", ["k", "d"], ["kick", "kick drum"]) == "k"
    assert match_prefix("a kick", ["k"], ["kick"]) is None and match_prefix("", ["k"], ["kick"]) is None


@pytest.mark.e2e
def test_a_run_and_its_folder(task, systems, tmp_path):
    summary = evaluate([task], systems, tmp_path / "run", generated=["generated", "uniaudio"], arguments={"a": 1})
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.json", "versions.json", "episodes.jsonl", "skipped.json", "summary.json", "report.md"} <= names
    assert not any(name.startswith("part-") or name.endswith(".tmp") for name in names)
    records = records_of(tmp_path / "run")
    assert len(records) == len({record["episode"] for record in records}) == 4 * 24
    assert summary == json.loads((tmp_path / "run" / "summary.json").read_text())
    for record in records:
        assert record["query"] not in record["support"] and record["truth"] in record["labels"]
    assert str(task.source.root) not in (tmp_path / "run" / "config.json").read_text()
    report = (tmp_path / "run" / "report.md").read_text()
    assert "shuffled-words control" in report and str(task.source.root) not in report
    # the same again, and what is done is not asked again
    before = (tmp_path / "run" / "episodes.jsonl").read_bytes()
    evaluate([task], systems, tmp_path / "run", generated=["generated", "uniaudio"], arguments={"a": 1})
    assert (tmp_path / "run" / "episodes.jsonl").read_bytes() == before
    evaluate([task], systems, tmp_path / "again", generated=["generated", "uniaudio"])
    assert records_of(tmp_path / "again") == records


@pytest.mark.e2e
def test_another_run_is_refused(task, systems, tmp_path):
    evaluate([task], systems, tmp_path)
    with pytest.raises(ValueError, match="holds another run: scoring differ"):
        evaluate([task], systems, tmp_path, scoring="raw")
    with pytest.raises(ValueError, match="no way of answering 'best'; there are raw, "):
        evaluate([task], systems, tmp_path, scoring="best")


@pytest.mark.e2e
def test_a_refused_run_leaves_nothing_that_blocks_the_corrected_one(task, systems, tmp_path):
    with pytest.raises(ValueError, match="needs 5 labels"):
        evaluate([replace(task, ways=(5,))], systems, tmp_path / "run")
    with pytest.raises(ValueError, match="`temperature` is a finite number, 0 or more; got -1"):
        evaluate([task], systems, tmp_path / "run", generation={"temperature": -1})
    with pytest.raises(ValueError, match="`generation` has no field 'temprature'"):
        evaluate([task], systems, tmp_path / "run", generation={"temprature": 1})
    assert not (tmp_path / "run").exists()
    evaluate([replace(task, ways=(2,), shots=(1,), episodes=6)], systems, tmp_path / "run", scoring="raw")
    assert len(records_of(tmp_path / "run")) == 6


def test_a_broken_clip_fails_its_episodes_alone(
    task, systems, clips_dir, codec_dir, language_model_dir, tmp_path, capsys
):
    path = clips_dir / "low" / "00.wav"
    whole = path.read_bytes()
    sf.write(path, np.full(4000, np.nan), 16000, subtype="FLOAT")
    try:
        summary = evaluate([task], systems, tmp_path)
        assert main(command(clips_dir, codec_dir, language_model_dir, tmp_path / "told")) == 1
    finally:
        path.write_bytes(whole)
    assert " of 80 episodes failed; the report says why." in capsys.readouterr().err
    records = records_of(tmp_path)
    failed = [record for record in records if record["failed"]]
    assert len(records) == 96 and 0 < len(failed) < 96
    assert all("low/00.wav" in record["failed"] and not record["predictions"] for record in failed)
    assert json.dumps(summary).count("low/00.wav")


def test_episodes_that_the_language_model_fails_are_counted_as_failed(task, codec, processor, tmp_path):
    """A NaN for one query's words fails that query alone; a model of nothing but NaN fails all."""
    task = replace(task, ways=(2,), shots=(1,), episodes=12)
    size = len(processor.tokenizer)
    names = {"codec": "tiny", "language_model": "bigram"}
    systems = Systems(codec, processor, InProcessBackend(Bigram(torch.randn(size, size))), names)
    clips = load_clips(task)
    block = make_episodes(task, clips, 2, 1)[:6]
    codes = encode_named(systems, clips, [block])[0]
    victim = block[0]

    class Fussy(InProcessBackend):
        """Fails at the query of one episode."""

        def score(self, requests, progress=None):
            query = processor.few_shot_query(codes[victim.query])
            if any(request.prompt[-len(query) :] == query for request in requests):
                raise LanguageModelError("Fussy in float32 gives NaN or infinite scores")
            return super().score(requests, progress)

    fussy = Systems(codec, processor, Fussy(systems.backend.model), names)
    summary = evaluate([task], fussy, tmp_path / "one", scoring="raw")
    failed = {record["episode"]: record["failed"] for record in records_of(tmp_path / "one") if record["failed"]}
    assert victim.id in failed and len(failed) < 12 and all("Fussy" in reason for reason in failed.values())
    assert len(summary["failures"]) == len(failed)
    systems.backend.model.embedding.weight.data[:] = float("nan")
    summary = evaluate([task], systems, tmp_path / "all")
    records = records_of(tmp_path / "all")
    assert len(records) == 12 and all("Bigram in float32 gives NaN" in record["failed"] for record in records)
    assert all(not record["scores"] and not record["predictions"] for record in records)
    assert "**No episode was scored.**" in (tmp_path / "all" / "report.md").read_text()


# ---- Processes


def command(task_dir, codec_dir, language_model_dir, output_dir, *more) -> list[str]:
    arguments = [str(task_dir), "--ways", "2", "--shots", "1", "2", "--episodes", "40", "--queries_per_support", "4"]
    arguments += ["--model", str(codec_dir), "--language_model", str(language_model_dir), "--device", "cpu"]
    return ["evaluate", *arguments, "--output_dir", str(output_dir), *more]


@pytest.mark.e2e
def test_killed_and_resumed(clips_dir, codec_dir, language_model_dir, tmp_path, capsys):
    assert main(command(clips_dir, codec_dir, language_model_dir, tmp_path / "whole")) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "whole" / "report.md")
    config = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert config["generation"] == {"temperature": 0.0, "top_p": 1.0} and config["arguments"]["dtype"] == "float32"
    assert config["command"].endswith("--output_dir OUTPUT_DIR") and str(tmp_path / "whole") not in config["command"]
    expected = records_of(tmp_path / "whole")
    rng, part = random.Random(0), tmp_path / "killed" / "part-000.jsonl"
    arguments = command(clips_dir, codec_dir, language_model_dir, tmp_path / "killed")
    size = sum(len(json.dumps(record)) for record in expected)
    for until in sorted(rng.uniform(0.02, 0.8) for _ in range(3)):
        process = processes.start("llm_codec_cli", *arguments)
        while process.exitcode is None and not (part.is_file() and part.stat().st_size > until * size):
            time.sleep(0.002)
        process.kill()
        process.join()
    assert part.stat().st_size > 0 and not (tmp_path / "killed" / "episodes.jsonl").exists()
    with open(part, "a") as file:
        file.write('{"episode": "tones/2-way-1-sh')  # stopped in the middle of a line
    main(arguments)
    assert records_of(tmp_path / "killed") == expected


@pytest.mark.slow
def test_two_processes_write_the_same(clips_dir, codec_dir, language_model_dir, tmp_path):
    arguments = command(clips_dir, codec_dir, language_model_dir, tmp_path / "one")
    main(arguments)
    config = make_parser(arguments).parse_args(arguments)  # the same as a file
    fields = given_fields(config, EvaluationConfig) | {"num_processes": 2, "output_dir": "elsewhere"}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(fields))
    two = ["evaluate", str(tmp_path / "run.yaml"), "--output_dir", str(tmp_path / "two")]
    done = processes.run("llm_codec_cli", *two, tmp_path=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "| 40/40 [" in done.stderr  # half of the episodes is the first one's
    assert records_of(tmp_path / "two") == records_of(tmp_path / "one")
    shown = json.loads((tmp_path / "two" / "config.json").read_text())["command"]
    assert f"evaluate {clips_dir} --ways 2 --shots 1 2 --episodes 40" in shown and "--num_processes 2" in shown


@pytest.mark.slow
def test_ctrl_c_of_two_processes_ends_with_one_line(clips_dir, codec_dir, language_model_dir, tmp_path):
    arguments = command(clips_dir, codec_dir, language_model_dir, tmp_path / "run", "--num_processes", "2")
    arguments[arguments.index("--episodes") + 1] = "4000"
    told = tmp_path / "told"
    running = processes.start("llm_codec_cli", *arguments, stderr=told)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "run").glob("*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(running.pid, signal.SIGINT)
    running.join(60)
    assert running.exitcode == 130
    last = [line for line in re.split("[\r\n]+", told.read_text()) if line and "it/s" not in line and "|" not in line]
    assert last[-1].startswith("llm-codec: interrupted") and not any("Traceback" in line for line in last), last
    before = sorted(p.read_bytes() for p in (tmp_path / "run").glob("*.jsonl"))
    time.sleep(1)
    assert sorted(p.read_bytes() for p in (tmp_path / "run").glob("*.jsonl")) == before  # nobody goes on


def test_command_line(clips_dir, tmp_path, capsys):
    assert main(["evaluate", "--list"]) == 0
    assert "percussion\t" in capsys.readouterr().out
    assert main(["evaluate", str(clips_dir)]) == 2 and "--output_dir" in capsys.readouterr().err
    assert main(["evaluate"]) == 2 and "--list" in capsys.readouterr().err
    assert main(["evaluate", "percussion", "--output_dir", str(tmp_path)]) == 1
    assert "root=" in capsys.readouterr().err


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared")
def test_what_the_original_episodes_are_worth(capsys):
    assert main(["evaluate", "--scp", str(SHARED / "original" / "acc_9way_1_shot.scp")]) == 0
    out = capsys.readouterr().out
    assert "Always answering 'american' is right in 41.5%" in out
    assert "9 queries are a demonstration of some episode" in out and "9 distinct demonstrations" in out


def test_original_kind_of_episodes_run(clips_dir, codec_dir, language_model_dir, tmp_path, capsys):
    lines = [
        "low/00.wav,high/00.wav,low/01.wav",
        "low/00.wav,high/00.wav,high/01.wav",
        "mid/01.wav,low/01.wav,mid/02.wav",
    ]
    (tmp_path / "few.scp").write_text("\n".join(lines))
    models = ["--model", str(codec_dir), "--language_model", str(language_model_dir), "--device", "cpu"]
    arguments = ["evaluate", "--scp", str(tmp_path / "few.scp"), "--audio_root", str(clips_dir), *models]
    assert main([*arguments, "--output_dir", str(tmp_path / "run"), "--scoring", "raw"]) == 0
    records = records_of(tmp_path / "run")
    assert [record["query"] for record in records] == ["low/01.wav", "high/01.wav", "mid/02.wav"]
    assert "3 episodes" in capsys.readouterr().out
