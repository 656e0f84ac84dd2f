# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Baselines without a language model, on numbers that are written by hand."""

import numpy as np
import pytest
import torch

from llm_codec_hf.embedded import whisper_features
from llm_codec_hf.evaluation import baselines
from llm_codec_hf.evaluation.baselines import (
    BASELINES,
    MERGED,
    Features,
    baseline_answers,
    merged_words,
    nearest_centroids,
)

OWNERS = np.array([0, 0, 1, 1])


def test_centroids_by_hand():
    examples = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 5.0], [6.0, 5.0]])
    found = nearest_centroids(examples, OWNERS, np.array([[1.0, 1.0], [6.0, 4.0]]), 3)
    spread = examples.std(axis=0)
    expected = [[0.0, (4 / spread[0]) ** 2 + (4 / spread[1]) ** 2], [(5 / spread[0]) ** 2 + (3 / spread[1]) ** 2]]
    assert found["centroid"][0, :2].tolist() == pytest.approx(expected[0], rel=1e-4)
    assert found["centroid"][1, 0] == pytest.approx(expected[1][0], rel=1e-4)
    assert np.isinf(found["centroid"][:, 2]).all()  # it has no examples


def test_simpleshot_centres_and_takes_the_direction_alone():
    examples = np.array([[10.0, 11.0], [10.0, 12.0], [10.0, 9.0], [10.0, 8.0]])  # the centre is (10, 10)
    far = nearest_centroids(examples, OWNERS, np.array([[10.0, 99.0], [10.0, 9.9]]), 2)["simpleshot"]
    np.testing.assert_allclose(far, [[0.0, 4.0], [4.0, 0.0]], atol=1e-12)


def test_every_baseline_answers(codec):
    """Tones and noise are told apart by their spectra; latents of random weights need not tell them apart."""
    rng = np.random.default_rng(0)
    time = np.arange(8000) / 16000
    clips = {f"tone {i}": 0.3 * np.sin(2 * np.pi * (300 + i) * time) for i in range(4)}
    clips |= {f"noise {i}": 0.1 * rng.standard_normal(8000) for i in range(4)}
    features = Features(codec)
    codes = {}
    for name, samples in clips.items():
        samples = samples.astype(np.float32)
        features.add(name, samples)
        codes[name] = codec.encode(torch.from_numpy(samples)[None, None]).audio_codes[0]
    examples = [(f"{kind} {i}", kind) for i in range(2) for kind in ("tone", "noise")]
    answers = baseline_answers(examples, ["tone 3", "noise 3"], ["tone", "noise"], codes, features)
    assert set(answers) == {name for name in BASELINES if features.whisper or "whisper" not in name}
    for name in ("centroid_mel", "simpleshot_mel"):
        assert answers[name] == ["tone", "noise"], name


def test_without_whisper_the_others_answer(codec, monkeypatch):
    def missing(*_):
        raise ImportError("there is no package of that name")

    monkeypatch.setattr(baselines, "make_whisper_features", missing)
    features = Features(codec)
    features.add("a", np.zeros(4000, dtype=np.float32))
    assert set(features.of["a"]) == {"latents", "mel"}
    assert whisper_features.make_whisper_features is not missing


def test_merged_words(codec):
    """Each word keeps to the cluster of its entry; a book of few words stays as it is."""
    merged = merged_words(codec)
    size = codec.config.codebook_sizes[0]
    assert merged.shape == (size,) and len(set(merged.tolist())) == min(size, MERGED)
