# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""How much of what Whisper hears in a clip is left."""

from functools import cache

import torch

from llm_codec_hf.embedded.whisper_features import WhisperFeatures, make_whisper_features
from llm_codec_hf.metrics.audio_metric import AudioMetric

LAYER = 4
LEAST_DEVIATION = 0.05  # of a channel over time; quieter ones would weigh by their rounding


class FeatureR2(AudioMetric):
    """
    Coefficient of determination of Whisper base's hidden states (at most 1; more is better): how well those of the
    decoded clip, after layer 4, say those of the original. 0 is what a constant reaches, so a clip can be below.

    R² is over the time of a clip, per channel, averaged over channels. Speech that a recogniser understands is near 1
    here, where signal-to-noise ratios and STOI may be low.

    `compute` also takes `whisper` ([`WhisperFeatures`], *optional*), another encoder than Whisper base.
    """

    source = "Features: Radford et al., Robust speech recognition via large-scale weak supervision, arXiv 2212.04356"
    required_rate = 16_000

    def _compute(self, *, predictions, references, sampling_rate, whisper=None):
        return super()._compute(
            predictions=predictions,
            references=references,
            sampling_rate=sampling_rate,
            whisper=whisper or whisper_base(),
        )

    def score_item(self, prediction, reference, sampling_rate, whisper):
        layer = min(LAYER, whisper.num_layers)
        with torch.no_grad():
            estimate, target = (
                whisper(torch.tensor(audio)[None, None], [layer])[layer][0] for audio in (prediction, reference)
            )
        variance = target.var(dim=0, correction=0).clamp(min=LEAST_DEVIATION**2)
        return 1.0 - ((estimate - target).square().mean(dim=0) / variance).mean().item()


@cache
def whisper_base() -> WhisperFeatures:
    """Whisper base's encoder, loaded once per process."""
    return make_whisper_features()
