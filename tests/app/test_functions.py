# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What the app's tabs compute, without Gradio and without a browser."""

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("gradio", reason="the extra `app` is not installed")

from llm_codec_hf.app import comparing
from llm_codec_hf.app.classifying import classify
from llm_codec_hf.app.clips import (
    Example,
    pcm,
    read_clip,
    shipped_audio,
    shipped_clip,
    shipped_examples,
    shipped_names,
)
from llm_codec_hf.app.listening import Heard, Step, listen
from llm_codec_hf.app.models import EMBEDDED, Choice, Models
from llm_codec_hf.app.speaking import speak

KICK = "kick/bd_808"


@pytest.fixture(scope="module")
def models(codec_dir, language_model_dir) -> Models:
    return Models([str(codec_dir)], [str(language_model_dir)], ["cpu"])


@pytest.fixture(scope="module")
def pipe(models):
    return models.pipeline(models.first)


@pytest.fixture
def noise(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, (8000 * 12, 2))
    soundfile.write(tmp_path / "noise.wav", samples, 8000)
    return tmp_path / "noise.wav"


def heard_of(codec, path) -> tuple[list[Step], Heard]:
    *steps, heard = listen(codec, path)
    return steps, heard


def test_the_first_choice_is_what_was_offered(models, codec_dir, language_model_dir):
    assert models.first == Choice(codec_dir.name, language_model_dir.name, "cpu")
    assert list(models.codecs) == [codec_dir.name, EMBEDDED]
    assert models.codec(models.first) is models.codec(models.first)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"codec": "/etc"}, "There is no codec '/etc' here: choose one of"),
        ({"language_model": "gpt2"}, "There is no language model 'gpt2' here"),
        ({"device": "cuda:7"}, "There is no device 'cuda:7' here: choose one of cpu"),
    ],
)
def test_nothing_else_can_be_chosen(models, changed, message):
    with pytest.raises(ValueError, match=message):
        models.pipeline(Choice(**{**vars(models.first), **changed}))


def test_listening_is_what_the_codec_makes_of_a_clip(models, noise):
    codec = models.codec(models.first)
    model, processor = codec
    steps, heard = heard_of(codec, noise)
    assert len(steps) > 4  # long audio is seen to go on
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == 1
    audio, rate = soundfile.read(noise, dtype="float32")
    expected = processor.feature_extractor.prepare(audio.T, rate, resample=True, channels="mean")
    np.testing.assert_allclose(heard.original, expected, atol=1e-6)
    with torch.no_grad():
        codes = model.encode(torch.from_numpy(expected)[None, None]).audio_codes
        assert heard.words == processor.codes_to_words(codes[0], layers=(0,))[0]
        for layers, version in zip(((0, 1, 2), (0, 1), (0,)), heard.versions, strict=True):
            rows = processor.code_layout.rows(layers)
            alone = model.decode(codes.masked_fill(~rows[:, None], -1), length=len(expected)).audio_values[0, 0]
            np.testing.assert_allclose(version.samples, alone.numpy(), atol=1e-4)
    rates = [version.bitrate for version in heard.versions]
    assert rates[0] == pytest.approx(model.config.bitrate)
    assert rates == sorted(rates, reverse=True)
    assert heard.picture().shape[2] == 4


def test_a_clip_of_some_samples(models, tmp_path):
    soundfile.write(tmp_path / "short.wav", np.zeros(3), 16000)
    _, heard = heard_of(models.codec(models.first), tmp_path / "short.wav")
    assert [len(version.samples) for version in heard.versions] == [3, 3, 3]
    assert heard.picture().size


def test_too_long_is_told_before_it_is_computed(models, noise):
    with pytest.raises(ValueError, match=r"noise.wav: The audio is 12 s long; up to 5 s are taken here"):
        next(listen(models.codec(models.first), noise, seconds=5))
    with pytest.raises(ValueError, match="12 s long"):
        read_clip(noise, models.codec(models.first).processor.feature_extractor, seconds=5)


def test_clips_that_ship(models):
    assert len(shipped_names()) == 15
    rate, samples = shipped_audio(KICK)
    assert samples.dtype == np.int16
    assert samples.shape == (soundfile.info(shipped_clip(KICK)).frames, soundfile.info(shipped_clip(KICK)).channels)
    for name in ("kick/../../../codec/config", "/etc/hostname"):
        with pytest.raises(ValueError, match="ships with the package"):
            shipped_clip(name)
    examples = shipped_examples(models.codec(models.first).processor.feature_extractor, "an audio of a {label}")
    assert [example.label for example in examples[:3]] == [f"an audio of a {x}" for x in ("cymbal", "kick", "tabla")]
    assert len(examples) == 9


def test_samples_are_clipped_and_not_scaled():
    assert pcm(np.array([0.5, 2.0, -2.0, 0.0])).tolist() == [16384, 32767, -32767, 0]


def test_classifying_is_what_the_pipeline_says(pipe):
    examples = shipped_examples(pipe.feature_extractor)[:6]
    query = read_clip(shipped_clip(KICK), pipe.feature_extractor)
    answer = classify(pipe, examples, query)
    said = pipe(query, examples=[(example.audio, example.label) for example in examples])
    assert answer.scores == {entry["label"]: entry["score"] for entry in said}
    assert answer.nearest_scores["kick"] == 1  # the query is one of the examples
    assert answer.prompt.count("Input:") == 7
    assert answer.prompt.rstrip().endswith("Output:")
    assert answer.tokens > len(answer.words)
    with pytest.raises(ValueError, match="There are no examples yet"):
        classify(pipe, [], query)


def test_speaking_is_what_the_pipeline_makes(pipe):
    examples = shipped_examples(pipe.feature_extractor, "an audio of a {label}")[:2]
    pieces = list(speak(pipe, "an audio of a kick", examples, 0.96))
    assert len(pieces) > 1
    whole = pipe(
        "an audio of a kick",
        examples=[(example.label, example.audio) for example in examples],
        output="audio",
        layout="time_major",
        seconds=0.96,
    )
    np.testing.assert_allclose(np.concatenate(pieces), whole["audio"], atol=1e-5)


def test_a_text_is_never_read_as_a_file(pipe, tmp_path):
    examples = shipped_examples(pipe.feature_extractor, "an audio of a {label}")[:2]
    secret = tmp_path / "secret.txt"
    secret.write_text("of another visitor")
    for text in (str(secret), "https://example.com/a.wav", "a.wav"):
        with pytest.raises(ValueError, match="the name of a file or an address"):
            list(speak(pipe, text, examples, 0.48))
        with pytest.raises(ValueError, match="the name of a file or an address"):
            list(speak(pipe, "a kick", [Example(text, "", examples[0].audio)], 0.48))
    with pytest.raises(ValueError, match="The text is empty"):
        list(speak(pipe, " ", examples, 0.48))
    with pytest.raises(ValueError, match="up to 10 s"):
        list(speak(pipe, "a kick", examples, 11))


def test_what_is_not_installed_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "")
    comparing.why_missing.cache_clear()
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 24000).astype(np.float32)
    found = dict(zip(comparing.COMPARED, comparing.compare(samples, 24000), strict=True))
    comparing.why_missing.cache_clear()
    assert len(found["opus-6"].samples) == 24000
    assert 3000 < found["opus-6"].bitrate < 20000
    assert found["codec2-700c"].samples is None
    assert "the program c2enc is not installed" in found["codec2-700c"].missing
