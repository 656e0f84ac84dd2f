# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""STOI."""

import warnings

import numpy as np

from llm_codec_hf.metrics.audio_metric import AudioMetric


class Stoi(AudioMetric):
    """
    Short-time objective intelligibility (at most 1; more is better), by the package `pystoi`.

    Fails where less than 0.4 s of the reference is left without its pauses.
    """

    source = "Taal, Hendriks, Heusdens, Jensen, IEEE TASLP 19(7), 2011, doi:10.1109/TASL.2011.2114881"
    packages = ("pystoi",)

    def score_item(self, prediction, reference, sampling_rate):
        from pystoi import stoi

        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # pystoi's answer to too little speech: a warning and 1e-5
            return stoi(reference.astype(np.float64), prediction.astype(np.float64), sampling_rate)
