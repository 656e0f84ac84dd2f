# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Tasks whose answers are audio: what is made and written, heard and measured, and that no stop loses any of it."""

import hashlib
import json
import logging

import numpy as np
import pytest
import soundfile as sf
import torch

pytest.importorskip("scipy", reason="statistics need scipy (the extra `eval`)")
pytest.importorskip("accelerate", reason="runs need accelerate (the extra `eval`)")
pytest.importorskip("evaluate", reason="metrics need evaluate (the extra `eval`)")

from llm_codec_hf.backend_llm_codec import InProcessBackend  # noqa: E402
from llm_codec_hf.evaluation import audio_answers, run  # noqa: E402
from llm_codec_hf.evaluation.audio_answers import answer_audio, heard_label, target_id, written_label  # noqa: E402
from llm_codec_hf.evaluation.clips import load_clips  # noqa: E402
from llm_codec_hf.evaluation.report import write_report  # noqa: E402
from llm_codec_hf.evaluation.run import Systems, encode_named, evaluate  # noqa: E402
from llm_codec_hf.evaluation.sampling import make_episodes  # noqa: E402
from llm_codec_hf.evaluation.statistics import mean, summarize  # noqa: E402
from llm_codec_hf.evaluation.tasks import Task  # noqa: E402

RATE, SECONDS = 16000, 0.48
SAMPLES, GROUPS = 7680, 4
WORDS = {"1": "One.", "2": "Two!", "3": "three"}
QUESTIONS = {"0+1": "1", "1+1": "2", "1+2": "3", "3-2": "1", "3-1": "2", "6-3": "3"}


def tone(frequency: float, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * frequency * np.arange(SAMPLES) / RATE)


class Tones:
    """Hears a tone of n · 400 Hz as the digit n, whatever else there is, and nothing in other clips."""

    def __init__(self):
        self.heard = 0

    def transcribe(self, waveform, sampling_rate, language=None):
        self.heard += 1
        peak = np.abs(np.fft.rfft(waveform)).argmax() * sampling_rate / len(waveform)
        return WORDS.get(f"{peak / 400:g}", "")


class Parrot:
    """A language model that answers the k-th request with the k-th of some clips, again and again."""

    def __init__(self, processor, clips):
        self.answers = [processor.codes_to_ids(codes) for codes in clips]

    def generate(self, requests, progress=None):
        return [self.answers[i % len(self.answers)] for i in range(len(requests))]


@pytest.fixture
def digits(tmp_path) -> Task:
    for digit in WORDS:
        (tmp_path / "digits" / digit).mkdir(parents=True)
        for take, level in enumerate((0.3, 0.6)):
            sf.write(tmp_path / "digits" / digit / f"{take}.wav", tone(400 * int(digit), level), RATE)
    source = {"folder": "digits", "root": str(tmp_path)}
    return Task.from_dict(
        {
            "name": "digits",
            "description": "Tones that stand for digits.",
            "source": source,
            "labels": list(WORDS),
            "ways": 3,
            "shots": 1,
            "episodes": 12,
            "queries_per_support": 6,
            "instruction": False,
            "layers": [0, 1, 2],
            "seconds": SECONDS,
            "output": "audio",
            "prompt": "an audio of {label}",
            "questions": QUESTIONS,
        }
    )


@pytest.fixture
def noisy(tmp_path) -> Task:
    """Tones in noise at 6 dB, which clips cover whole; the last one is silent where it should be a tone."""
    rows, rng = [], np.random.default_rng(0)
    (tmp_path / "noisy").mkdir()
    for i in range(8):
        clean = tone(300 + 50 * i) * (i < 7)
        noise = rng.standard_normal(SAMPLES)
        noise -= noise @ tone(300 + 50 * i) / (SAMPLES / 8) * tone(300 + 50 * i)  # at right angles
        noise *= np.sqrt(1 / 8 / np.mean(noise**2) / 10**0.6)
        sf.write(tmp_path / "noisy" / f"{i}.wav", 0.5 * (clean + noise), RATE, "FLOAT")
        sf.write(tmp_path / "noisy" / f"{i}_clean.wav", 0.5 * clean, RATE, "FLOAT")
        rows.append({"file_name": f"{i}.wav", "clean": f"{i}_clean.wav", "group": f"g{i}"})
    (tmp_path / "noisy" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"folder": "noisy", "root": str(tmp_path), "target": "clean", "label": None}
    fields = {"ways": 1, "shots": 1, "episodes": 7, "queries_per_support": 7, "instruction": False}
    fields |= {"layers": [0, 1, 2], "seconds": SECONDS, "output": "audio"}
    return Task.from_dict({"name": "noisy", "description": "Tones in noise.", "source": source} | fields)


@pytest.fixture
def systems(codec, processor, language_model) -> Systems:
    return Systems(codec, processor, InProcessBackend(language_model), {"codec": "tiny", "language_model": "tiny"})


@pytest.fixture(autouse=True)
def no_dnsmos(monkeypatch):
    monkeypatch.setattr(audio_answers, "UNREFERENCED", ())  # it takes seconds a clip


def prepared(task, systems):
    """The first support set of a task, its clips and their codes."""
    clips = load_clips(task)
    episodes = make_episodes(task, clips, task.ways[0], task.shots[0])
    block = [episode for episode in episodes if episode.support == episodes[0].support]
    codes, broken = encode_named(systems, clips, [block])
    assert not broken
    return block, {clip.id: clip for clip in clips}, codes


def answered(task, systems, folder, backend=None, **kwargs):
    block, clips, codes = prepared(task, systems)
    backend = backend or systems.backend
    records = answer_audio(
        block, clips, codes, systems.processor, systems.codec, backend, task, folder, **{"recognizer": Tones()} | kwargs
    )
    return block, codes, records


@pytest.mark.parametrize("layers", [(0, 1, 2), (0,)])
def test_what_is_made_is_the_models_own_continuation(
    digits, systems, codec, processor, language_model, tmp_path, layers
):
    """Against one prompt at a time, written and decoded by hand."""
    object.__setattr__(digits, "layers", layers)
    block, codes, records = answered(digits, systems, tmp_path)
    backend = InProcessBackend(language_model)
    examples = [(f"an audio of {label}", codes[clip]) for clip, label in block[0].examples]
    grammar = processor.audio_grammar(GROUPS, layers=layers)
    rows = [0] if layers == (0,) else range(7)
    for episode, record in zip(block, records):
        prompt = processor.few_shot_prompt(examples, f"an audio of {episode.query}", instruction=False, layers=layers)
        (ids,) = backend.generate(
            [audio_answers.GenerateRequest(prompt, grammar.max_ids, constraint=grammar, seed=episode.seed)]
        )
        whole = torch.full((1, 7, GROUPS), -1)
        whole[0, rows] = grammar.read(ids)
        with torch.no_grad():
            expected = codec.decode(whole, length=SAMPLES).audio_values[0, 0]
        samples, rate = sf.read(tmp_path / record["audio"])
        assert rate == RATE and samples.shape == (SAMPLES,)
        np.testing.assert_allclose(samples, expected, atol=2**-15)
        assert record["audio"] == f"audio/{episode.id.replace('/', '__')}.wav" and record["failed"] is None
        assert record["predictions"]["written"] == written_label(
            [(codes[c], n) for c, n in block[0].examples], whole[0]
        )
    assert len(list((tmp_path / "audio").iterdir())) == len(block)  # no temporary ones are left


def test_what_is_heard(digits, systems, processor, tmp_path):
    """The model repeats the demonstrations, so what is heard in its audio is what the codec leaves of them."""
    block, clips, codes = prepared(digits, systems)
    recognizer = Tones()
    parrot = Parrot(processor, [codes[clip] for clip, _ in block[0].examples])
    block, codes, records = answered(digits, systems, tmp_path, parrot, recognizer=recognizer)
    labels = [label for _, label in block[0].examples]
    through = {record["truth"]: record["predictions"]["codec"] for record in records}
    for i, (episode, record) in enumerate(zip(block, records)):
        said = labels[i % 3]
        assert QUESTIONS[record["query"]] == record["truth"] == episode.truth
        assert record["predictions"]["written"] == said and record["predictions"]["heard"] == through[said]
        assert record["predictions"]["original"] == record["truth"]
        assert record["heard"]["original"] == WORDS[record["truth"]]
        assert set(record["predictions"]) == {"heard", "written", "shuffled_words", "codec", "original", "random"}
        assert record["metrics"] == {} and record["labels"] == list(episode.labels)
    assert recognizer.heard == 3 + 3  # equal clips are heard once
    heard, shuffled = ([record["predictions"][name] for record in records] for name in ("heard", "shuffled_words"))
    assert sorted(map(str, heard)) == sorted(map(str, shuffled))


def test_queries_that_are_clips_are_asked_by_their_label(digits, systems, processor, tmp_path):
    object.__setattr__(digits, "questions", {})
    object.__setattr__(digits, "episodes", 3)
    block, codes, records = answered(digits, systems, tmp_path)
    examples = [(f"an audio of {label}", codes[clip]) for clip, label in block[0].examples]
    for episode, record in zip(block, records):
        prompt = processor.few_shot_prompt(
            examples, f"an audio of {episode.truth}", instruction=False, layers=(0, 1, 2)
        )
        ids = np.asarray(prompt, dtype="<i8").tobytes()
        assert record["prompt_sha256"] == hashlib.sha256(ids).hexdigest()
        assert record["predictions"]["original"] == episode.truth  # heard in the query's own clip


@pytest.mark.e2e
def test_what_is_measured(noisy, systems, processor, tmp_path):
    block, clips, codes = prepared(noisy, systems)
    targets = [codes[target_id(episode.query)] for episode in block]
    block, codes, records = answered(noisy, systems, tmp_path, Parrot(processor, targets))
    assert {record["truth"] for record in records} == {"audio"}
    silent = [record for record in records if record["query"] == "7.wav"]
    for record in records:
        metrics = record["metrics"]
        assert set(metrics) == {"generated", "shuffled", "input", "input_codec", "codec"}
        assert metrics["generated"] == metrics["codec"]  # the model wrote the target's own codes
        assert record["predictions"] == {} and record["heard"] == {}
        if record not in silent:
            assert metrics["input"]["si_sdr"] == pytest.approx(6, abs=0.05)
            assert metrics["shuffled"] != metrics["generated"]
        listed = {(failure["of"], failure["metric"]) for failure in record["metric_failures"]}
        null = {(of, name) for of, values in metrics.items() for name, value in values.items() if value is None}
        assert listed == null
    for record in silent:
        assert record["metrics"]["input"]["mel_distance"] is None
        assert any("the reference is silent" in failure["reason"] for failure in record["metric_failures"])


@pytest.mark.e2e
def test_dnsmos_of_all_that_sounds(digits, systems, tmp_path, monkeypatch):
    pytest.importorskip("speechmos", reason="DNSMOS needs speechmos (the extra `eval`)")
    monkeypatch.setattr(audio_answers, "UNREFERENCED", ("dnsmos",))
    object.__setattr__(digits, "seconds", 0.6)  # the package repeats it to 9.6 s; 0.48 s to 15.36, six times the work
    object.__setattr__(digits, "questions", {"0+1": "1"})
    object.__setattr__(digits, "episodes", 1)
    _, _, (record,) = answered(digits, systems, tmp_path)
    assert set(record["metrics"]) == {"generated", "codec", "original"}
    assert all(1 <= of["dnsmos"] <= 5 for of in record["metrics"].values())
    assert "shuffled_words" not in record["predictions"]  # there is no other question


@pytest.mark.parametrize(
    "text, label",
    [
        ("Two.", "2"),
        ("2", "2"),
        (" two, two", None),  # the normaliser makes one number of them: 22
        ("It is TWO!", "2"),
        ("One or two?", None),
        ("twenty two", None),
        ("zero", "0"),
        ("The end.", "stop"),
        ("end", None),
        ("", None),
    ],
)
def test_heard_text_to_label(digits, text, label):
    object.__setattr__(digits, "labels", {"0": "zero", "1": "one", "2": "2", "stop": "the end"})
    assert heard_label(text, list(digits.labels), digits) == label


def test_written_label_is_of_the_demonstration_with_most_codes():
    first, second = torch.tensor([[1, 2], [3, 4]]), torch.tensor([[1, 5], [6, 4]])
    examples = [(first, "a"), (second, "b")]
    assert written_label(examples, torch.tensor([[1, 5], [6, 9]])) == "b"
    assert written_label(examples, torch.tensor([[1, 0], [0, 4]])) == "a"  # the first of equals
    assert written_label(examples, torch.tensor([[-1, -1], [6, 4]])) == "b"
    assert written_label(examples, torch.tensor([[0, 1], [2, 0]])) is None


@pytest.mark.e2e
def test_missing_packages_leave_out_with_a_warning(noisy, digits, systems, tmp_path, monkeypatch, caplog):
    def load(name):
        if name == "stoi":
            raise ImportError("The metric stoi needs `pystoi`: run `pip install 'llm-codec-hf[eval]'`.")
        return loaded(name)

    def no_packages():
        raise ImportError("The default recogniser needs `faster-whisper`: run `pip install 'llm-codec-hf[eval]'`.")

    loaded = audio_answers.load_metric
    monkeypatch.setattr(audio_answers, "load_metric", load)
    monkeypatch.setattr(audio_answers, "Recognizer", no_packages)
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    for cached in (audio_answers._metric, audio_answers.default_recognizer):
        cached.cache_clear()
    with caplog.at_level(logging.WARNING):
        _, _, measured = answered(noisy, systems, tmp_path)
        _, _, heard = answered(digits, systems, tmp_path, recognizer=None)
        answered(digits, systems, tmp_path, recognizer=None)
    assert all("stoi" not in values for record in measured for values in record["metrics"].values())
    assert not any(failure["metric"] == "stoi" for record in measured for failure in record["metric_failures"])
    assert all(set(record["predictions"]) == {"written", "shuffled_words", "random"} for record in heard)
    assert caplog.text.count("without the metric stoi. The metric stoi needs `pystoi`") == 1
    assert caplog.text.count("llm-codec-hf[eval]") == 2
    for cached in (audio_answers._metric, audio_answers.default_recognizer):
        cached.cache_clear()
    assert summarize(heard, "raw")["settings"][0]["scoring"] == "written"


# ---- Runs


def test_a_folder_names_targets(noisy, tmp_path):
    clips = load_clips(noisy)
    assert [clip.id for clip in clips] == [f"{i}.wav" for i in range(8)]
    np.testing.assert_allclose(clips[2].load_target(RATE), 0.5 * tone(400), atol=1e-6)
    (tmp_path / "noisy" / "3_clean.wav").unlink()
    assert load_clips(noisy).skipped == [("3.wav", "there is no such file")]


@pytest.mark.e2e
def test_a_run_reports_both_kinds(noisy, digits, systems, tmp_path, monkeypatch):
    recognizer = Tones()
    monkeypatch.setattr(audio_answers, "default_recognizer", lambda: recognizer)
    object.__setattr__(digits, "episodes", 13)  # the last one is alone in its support set
    summary = evaluate([digits, noisy], systems, tmp_path / "run")
    digit, noise = summary["settings"]
    assert (digit["scoring"], noise["scoring"]) == ("heard", None) and noise["methods"] == {}
    assert digit["methods"]["original"]["accuracy"] == 1 and digit["chance"] == pytest.approx(1 / 3)
    assert set(digit["differences"]) == {"shuffled_words"} and digit["scored"] == 13
    lines = (tmp_path / "run" / "episodes.jsonl").read_text().splitlines()
    scores = [r["metrics"]["input"]["si_sdr"] for r in map(json.loads, lines) if r["task"] == "noisy"]
    scored = [score for score in scores if score is not None]
    estimate = noise["metrics"]["si_sdr"]["input"]
    assert estimate["mean"] == pytest.approx(np.mean(scored)) and estimate["low"] < estimate["mean"] < estimate["high"]
    assert (estimate["n"], estimate["failed"]) == (len(scored), len(scores) - len(scored))
    assert set(noise["metric_differences"]["si_sdr"]) == {"shuffled", "input_codec"}
    text = (tmp_path / "run" / "report.md").read_text()
    assert "This run has no control" not in text
    assert "Where it answers in audio, they are what was `heard`" in text
    assert "| 1-way 1-shot | si_sdr (more is better) |" in text and f"{len(scored)} of {len(scores)}" in text
    assert "The audio it makes is nearer to its own target than to another query's in" in text
    assert "What a metric could not score:" in text and "the reference is silent" in text
    assert "Two!" in text and "| query | right | generated | codec | original | file |" in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert all(len({line.replace(r"\|", "").count("|") for line in table}) == 1 for table in tables)
    assert write_report(tmp_path / "run") == summary


@pytest.mark.e2e
@pytest.mark.parametrize("place", ["behind the second clip", "before the second record"])
def test_a_stopped_run_loses_no_audio(digits, systems, tmp_path, monkeypatch, place):
    monkeypatch.setattr(audio_answers, "default_recognizer", Tones)
    evaluate([digits], systems, tmp_path / "whole")
    module, name = (audio_answers, "write_whole_wav") if "clip" in place else (run, "_append")
    calls, going = [], getattr(module, name)

    def stop(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        going(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, name, stop)
        evaluate([digits], systems, tmp_path / "stopped")
    written = (tmp_path / "stopped" / "part-000.jsonl").read_text().splitlines()
    assert len(written) == (0 if "clip" in place else 6)
    assert all((tmp_path / "stopped" / json.loads(line)["audio"]).is_file() for line in written)
    evaluate([digits], systems, tmp_path / "stopped")

    def records(folder):
        lines = (tmp_path / folder / "episodes.jsonl").read_text().splitlines()
        return [json.loads(line) | {"seconds": None} for line in lines]

    assert records("stopped") == records("whole") and len(records("whole")) == 12
    names = sorted(path.name for path in (tmp_path / "whole" / "audio").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "stopped" / "audio").iterdir()) and len(names) == 12
    for name in names:
        assert (tmp_path / "whole" / "audio" / name).read_bytes() == (
            tmp_path / "stopped" / "audio" / name
        ).read_bytes()


def test_draws_are_the_episodes_own(digits, systems, tmp_path):
    drawn = {"generation": {"temperature": 1.0, "top_p": 0.9}}
    _, _, first = answered(digits, systems, tmp_path / "a", **drawn)
    _, _, again = answered(digits, systems, tmp_path / "b", **drawn)
    _, _, greedy = answered(digits, systems, tmp_path / "c")
    audio = [[(tmp_path / f / r["audio"]).read_bytes() for r in rs] for f, rs in zip("abc", (first, again, greedy))]
    assert audio[0] == audio[1] != audio[2] and len(set(audio[0])) == len(audio[0])


# ---- Means


def test_mean_by_hand():
    # residuals ±1 in two supports: variance 2/1 · (4 + 4) / 16, t(1) = 12.7062
    estimate = mean([1, 1, 3, 3], ["a", "a", "b", "b"], ["x", "x", "x", "x"])
    assert estimate == pytest.approx((2, 2 - 12.70620474, 2 + 12.70620474))
    assert mean([1.5], ["a"], ["x"]) == (1.5, None, None)
    with pytest.raises(ValueError, match="0 answers"):
        mean([], [], [])
