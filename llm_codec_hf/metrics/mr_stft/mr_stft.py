# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Multi-resolution STFT distance."""

import torch

from llm_codec_hf.metrics.audio_metric import AudioMetric
from llm_codec_hf.signals.spectrograms import multi_resolution_stft_loss


class MrStft(AudioMetric):
    """
    Multi-resolution STFT distance (0 and up; less is better): spectral convergence plus mean absolute difference of
    natural-log magnitudes, averaged over windows of 2048, 1024, 512, 256 and 128 samples; the loss that codecs are
    trained with here.

    Fails for clips of less than 1025 samples, half the longest window.
    """

    source = "Yamamoto, Song, Kim, Parallel WaveGAN, arXiv 1910.11480, equations 4-6"

    def score_item(self, prediction, reference, sampling_rate):
        if len(reference) < 1025:
            raise ValueError(f"{len(reference)} samples are too few: 1025 are needed")
        prediction, reference = (torch.from_numpy(samples.copy())[None, None] for samples in (prediction, reference))
        return multi_resolution_stft_loss(prediction, reference).item()
