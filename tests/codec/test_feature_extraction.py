# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The feature extractor: kinds of audio, padding, and what it refuses."""

import io
import math

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor

from llm_codec_hf import LLMCodecFeatureExtractor, feature_extraction_llm_codec


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
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        features = extractor(np.array([info.min, 0, info.max], dtype), sampling_rate=16000, return_tensors="pt")
        values = features["input_values"].flatten()
        assert values.tolist() == pytest.approx([-1, 0, 1], abs=1e-2 if dtype == np.int8 else 1e-4)
    unsigned = extractor(np.array([0, 128, 255], np.uint8), sampling_rate=16000)["input_values"][0][0]
    assert unsigned.tolist() == [-1, 0, 127 / 128]


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
    with pytest.raises(ValueError, match="has 1 channel; .* got 1"):
        extractor(stereo[0], sampling_rate=16000, channels=1)
    for channels in ("left", -1, True, 0.0, (0,)):
        with pytest.raises(ValueError, match="`channels` is 'mean' or the number"):
            extractor(stereo[0], sampling_rate=16000, channels=channels)
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
        (np.zeros(5, np.int64), "int8, uint8, int16 or int32 samples; got int64"),
        (np.zeros(5, bool), "got bool"),
        (np.zeros(5, complex), "got complex"),
        (np.array([1e300, 0.0]), "peak of 1e"),
        (torch.zeros(5, device="meta"), "is no array"),
        (bytearray(100), "got bytearray. Files are read by the pipeline"),
        (memoryview(b"RIFF"), "got memoryview"),
        (io.BytesIO(b"RIFF"), "got BytesIO"),
        ({"array": [0.0]}, "got dict"),
        (iter([0.0]), "samples; got object"),
        (0.5, r"the shape \(samples,\)"),
        (np.array([12000.0, -30000.0]), "peak of 30000"),
        ("dog.wav", "floats"),
        ([[0.0, 1.0], [[0.0], [1.0, 2.0]]], "Clip 1 is no array"),
    ],
)
def test_bad_audio_is_refused(extractor, audio, message):
    with pytest.raises(ValueError, match=message):
        extractor(audio, sampling_rate=16000)


RATES = [float("inf"), -float("inf"), float("nan"), 0, -16000, 0.001, 1e-300, 2e6, True, "16000", 16000 + 0j, [16000]]


@pytest.mark.parametrize("rate", RATES)
def test_rates_that_are_none_are_refused_at_once(extractor, rate):
    for call in (extractor, extractor.prepare):
        with pytest.raises(ValueError, match="`sampling_rate` is a number of Hz from 1 to 1000000"):
            call(np.ones(5, "f4"), sampling_rate=rate, resample=True)
    with pytest.raises(ValueError, match="`sampling_rate` is a number"):
        LLMCodecFeatureExtractor(sampling_rate=rate)


def test_odd_rates(extractor):
    for rate in (1, 11025.5, np.float32(44100), np.int64(8000), 1_000_000):
        values = extractor.prepare(clip(300), rate, resample=True)
        assert len(values) == math.ceil(300 * 16000 / float(rate))
    with pytest.raises(ValueError, match="would have 16000000000 samples"):
        extractor.prepare(np.zeros(10**6, np.float32), 1, resample=True)


@pytest.mark.parametrize("scale", [5, 127, 255])
def test_integer_samples_as_floats_are_refused(extractor, scale):
    samples = np.rint(scale * clip(1000) / np.abs(clip(1000)).max()).astype(np.float32)
    with pytest.raises(ValueError, match=f"a peak of {scale}, but floating-point audio"):
        extractor(samples, sampling_rate=16000)


def test_floats_beyond_one(extractor, monkeypatch):
    warnings = []
    monkeypatch.setattr(feature_extraction_llm_codec.logger, "warning_once", warnings.append)
    samples = clip(1000) / np.abs(clip(1000)).max()
    for peak in (1.4, 3.9):  # an MP3 may well have the first
        np.testing.assert_array_equal(extractor.prepare(peak * samples, 16000), (peak * samples).astype(np.float32))
    (warning,) = warnings
    assert "normalised" in warning
    with pytest.raises(ValueError, match="up to 4 is taken"):
        extractor(4.1 * samples, sampling_rate=16000)


def test_channels_that_cancel_are_refused(extractor):
    for opposite in (clip(), (clip() * 2**15).astype(np.int16)):
        stereo = np.stack([opposite, -opposite])
        with pytest.raises(ValueError, match="channels that cancel: their mean is silent"):
            extractor(stereo, sampling_rate=16000, channels="mean")
        assert extractor(stereo, sampling_rate=16000, channels=0)["input_values"][0].any()
    silence = np.zeros((2, 50), np.float32)
    assert not extractor(silence, sampling_rate=16000, channels="mean")["input_values"][0].any()


def lengths(features):
    return [(values.shape[-1], int(mask.sum())) for values, mask in zip(*features.values())]


def test_length_options(extractor):
    def of(*samples, **options):
        return lengths(extractor([clip(n) for n in samples], sampling_rate=16000, **options))

    assert of(50, 20, truncation=True, max_length=30) == [(30, 30), (30, 20)]
    assert of(50, 20, truncation=True, max_length=30, padding=False) == [(30, 30), (20, 20)]
    assert of(5, 20, padding="max_length", max_length=30) == [(30, 5), (30, 20)]
    # cut to 10, and then padded to a multiple of 16
    assert of(50, 5, truncation=True, max_length=10, pad_to_multiple_of=16) == [(16, 10), (16, 5)]
    assert of(5, 20, padding=False, pad_to_multiple_of=16) == [(16, 5), (32, 20)]
    both = {"truncation": True, "padding": "max_length"}
    assert of(50, 20, max_length=30, pad_to_multiple_of=16, **both) == [(32, 30), (32, 20)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truncation": True, "max_length": 0}, "`max_length` is a number of samples from 1"),
        ({"truncation": True, "max_length": -3}, "`max_length` is a number of samples from 1"),
        ({"truncation": True, "max_length": True}, "`max_length` is a number of samples from 1"),
        ({"truncation": True, "max_length": 5.0}, "`max_length` is a number of samples from 1"),
        ({"truncation": True}, "`truncation` needs `max_length`"),
        ({"truncation": "yes", "max_length": 5}, "`truncation` is True or False"),
        ({"padding": "max_length"}, "`padding` needs `max_length`"),
        ({"padding": "max_length", "max_length": 5}, "Clip 0 has 50 samples, more than the `max_length` of 5"),
        ({"padding": "max_length", "max_length": 10**12}, "`max_length` is a number of samples from 1"),
        ({"padding": "max_length", "max_length": 2**31}, "are more than the 2147483648 of a batch"),
        ({"max_length": 5}, "`max_length` needs `truncation=True`"),
        ({"padding": "longish"}, "`padding` is True, False, 'longest'"),
        ({"padding": None}, "`padding` is True, False, 'longest'"),
        ({"pad_to_multiple_of": 0}, "`pad_to_multiple_of` is a number"),
        ({"pad_to_multiple_of": -4}, "`pad_to_multiple_of` is a number"),
        ({"pad_to_multiple_of": 2.0}, "`pad_to_multiple_of` is a number"),
        ({"pad_to_multiple_of": "8"}, "`pad_to_multiple_of` is a number"),
        ({"return_tensors": "tf"}, "`return_tensors` is 'pt' or 'np'"),
        ({"resample": "no"}, "`resample` is True or False"),
    ],
)
def test_options_that_mean_nothing_are_refused(extractor, options, message):
    with pytest.raises(ValueError, match=message):
        extractor([clip(50), clip(20)], sampling_rate=16000, **options)


def test_a_clip_is_prepared_once(extractor):
    stereo = np.stack([clip(441, 1), clip(441, 2)])
    prepared = extractor.prepare(stereo, 44100, resample=True, channels="mean")
    assert prepared.dtype == np.float32 and prepared.shape == (160,)
    together = extractor.pad_clips([prepared, clip(160)], return_tensors="np")
    alone = extractor(stereo, 44100, resample=True, channels="mean", return_tensors="np")
    np.testing.assert_array_equal(together["input_values"][:1], alone["input_values"])
    for other in (prepared.astype(np.float64), prepared[None], prepared[:0], prepared.tolist(), torch.zeros(5)):
        with pytest.raises(ValueError, match="Clip 1 must be float32 of the shape"):
            extractor.pad_clips([prepared, other])


def test_stereo_extractor_is_refused():
    with pytest.raises(ValueError, match="mono"):
        LLMCodecFeatureExtractor(feature_size=2)


def test_saved_and_loaded(codec_dir):
    extractor = AutoFeatureExtractor.from_pretrained(codec_dir)
    assert type(extractor) is LLMCodecFeatureExtractor
    assert extractor.sampling_rate == 16000
