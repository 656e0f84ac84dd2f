# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Mel distance."""

from functools import cache

import numpy as np
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from llm_codec_hf.metrics.audio_metric import AudioMetric

WINDOW, HOP, BANDS, FLOOR = 1024, 256, 80, 1e-5


class MelDistance(AudioMetric):
    """
    Mean absolute difference of natural-log mel magnitudes (0 and up; less is better).

    80 bands (Slaney's) from 0 Hz to half the sampling rate, of Hann windows of 1024 samples every 256; magnitudes of
    less than 1e-5 count as 1e-5.
    """

    source = "Kong, Kim, Bae, HiFi-GAN, arXiv 2010.05646, equation 5"

    def score_item(self, prediction, reference, sampling_rate):
        return np.abs(log_mel(prediction, sampling_rate) - log_mel(reference, sampling_rate)).mean()


@cache
def mel_filters(sampling_rate: int) -> np.ndarray:
    """`(WINDOW / 2 + 1, BANDS)`."""
    return mel_filter_bank(WINDOW // 2 + 1, BANDS, 0.0, sampling_rate / 2, sampling_rate, "slaney", "slaney")


def log_mel(samples: np.ndarray, sampling_rate: int) -> np.ndarray:
    """`(samples,)` → `(BANDS, frames)`."""
    return spectrogram(
        samples,
        window_function(WINDOW, "hann"),
        frame_length=WINDOW,
        hop_length=HOP,
        power=1.0,
        mel_filters=mel_filters(sampling_rate),
        mel_floor=FLOOR,
        log_mel="log",
        dtype=np.float64,
    )
