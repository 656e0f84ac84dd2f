# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The feature extractor: kinds of audio, padding, and what it refuses."""

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor

from llm_codec_hf import LLMCodecFeatureExtractor


@pytest.fixture
def extractor():
    return LLMCodecFeatureExtractor()


def clip(n=100, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def test_kinds_of_one_clip(extractor):
    x = clip()
    for audio in (x, x.tolist(), torch.from_numpy(x), x.astype(np.float64), x[None], [x], (x,)):
        features = extractor(audio, sampling_rate=16000, return_tensors="np")
        assert features["input_values"].shape == (1, 1, 100)
        assert features["input_values"].dtype == np.float32
        np.testing.assert_array_equal(features["input_values"][0, 0], x)
        np.testing.assert_array_equal(features["padding_mask"], np.ones((1, 100)))


def test_integers_are_scaled_to_one(extractor):
    for dtype in (np.int16, np.int32):
        info = np.iinfo(dtype)
        features = extractor(np.array([info.min, 0, info.max], dtype), sampling_rate=16000, return_tensors="pt")
        values = features["input_values"].flatten()
        assert values.tolist() == pytest.approx([-1, 0, 1], abs=1e-4)


@pytest.mark.parametrize("side", ["right", "left"])
def test_batch(side):
    extractor = LLMCodecFeatureExtractor(padding_side=side)
    clips = [clip(5), clip(8), clip(1)]
    features = extractor(clips, sampling_rate=16000, return_tensors="pt", pad_to_multiple_of=10)
    assert features["input_values"].shape == (3, 1, 10)
    assert features["padding_mask"].sum(1).tolist() == [5, 8, 1]
    for x, values, mask in zip(clips, features["input_values"], features["padding_mask"]):
        np.testing.assert_array_equal(values[0][mask.bool()].numpy(), x)
        assert not values[0][~mask.bool()].any()
        assert mask.bool()[0 if side == "right" else -1]


def test_without_padding(extractor):
    features = extractor([clip(5), clip(8)], sampling_rate=16000, padding=False)
    assert [values.shape for values in features["input_values"]] == [(1, 5), (1, 8)]
    with pytest.raises(ValueError, match=r"\[5, 8\]"):
        extractor([clip(5), clip(8)], sampling_rate=16000, padding=False, return_tensors="pt")


def test_resampling(extractor):
    t = np.arange(44100) / 44100
    sine = np.sin(2 * np.pi * 440 * t).astype(np.float32)
    with pytest.raises(ValueError, match="16000 Hz, got 44100 Hz"):
        extractor(sine, sampling_rate=44100)
    values = extractor(sine, sampling_rate=44100, resample=True, return_tensors="np")["input_values"][0, 0]
    assert len(values) == 16000
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(values - expected)[100:-100].max() < 1e-3  # a resampler rings at the ends


def test_channels(extractor):
    stereo = np.stack([clip(50, 1), clip(50, 2)])
    with pytest.raises(ValueError, match="2 channels"):
        extractor(stereo, sampling_rate=16000)
    with pytest.raises(ValueError, match="got 2"):
        extractor(stereo, sampling_rate=16000, channels=2)
    mean = extractor(stereo, sampling_rate=16000, channels="mean")["input_values"][0][0]
    np.testing.assert_allclose(mean, stereo.mean(0), rtol=1e-6)
    second = extractor([stereo, stereo], sampling_rate=16000, channels=1)["input_values"][1][0]
    np.testing.assert_array_equal(second, stereo[1])


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.array([0.0, np.nan]), "1 NaN or infinite samples of 2"),
        ([clip(), np.array([np.inf, 0.0])], "Clip 1 has 1 NaN or infinite"),
        (np.zeros(0, np.float32), "empty"),
        ([], "empty"),
        ([clip(), np.zeros(0, np.float32)], "Clip 1 is empty"),
        (np.zeros((1, 2, 3)), r"\(1, 2, 3\)"),
        (np.zeros((50, 2)), "transpose"),
        (np.zeros(5, np.uint8), "uint8"),
        (np.array([12000.0, -30000.0]), "peak of 30000"),
        ("dog.wav", "floats"),
        ([[0.0, 1.0], [[0.0], [1.0, 2.0]]], "Clip 1 is no array"),
    ],
)
def test_bad_audio_is_refused(extractor, audio, message):
    with pytest.raises(ValueError, match=message):
        extractor(audio, sampling_rate=16000)


def test_stereo_extractor_is_refused():
    with pytest.raises(ValueError, match="mono"):
        LLMCodecFeatureExtractor(feature_size=2)


def test_saved_and_loaded(codec_dir):
    extractor = AutoFeatureExtractor.from_pretrained(codec_dir)
    assert type(extractor) is LLMCodecFeatureExtractor
    assert extractor.sampling_rate == 16000
