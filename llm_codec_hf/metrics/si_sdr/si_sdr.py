# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""SI-SDR."""

import numpy as np

from llm_codec_hf.metrics.audio_metric import AudioMetric


class SiSdr(AudioMetric):
    """
    Scale-invariant signal-to-distortion ratio in dB (more is better), of the signals without their means.

    Of equal signals it is infinite: they fail, as do signals that have nothing in common.
    """

    source = "Le Roux, Wisdom, Erdogan, Hershey, SDR - half-baked or well done?, arXiv 1811.02508, equation 5"

    def score_item(self, prediction, reference, sampling_rate):
        prediction, reference = (samples - samples.mean(dtype=np.float64) for samples in (prediction, reference))
        target = (prediction @ reference) / (reference @ reference) * reference
        noise = prediction - target
        with np.errstate(divide="ignore"):
            return 10 * np.log10((target @ target) / (noise @ noise))
