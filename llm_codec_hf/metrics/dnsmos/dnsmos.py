# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""DNSMOS."""

from llm_codec_hf.metrics.audio_metric import AudioMetric


class Dnsmos(AudioMetric):
    """
    The quality of speech that a network predicts listeners to hear (1 … 5; more is better), without a reference, by the
    package `speechmos`. The score is P.835's overall quality; `details` has `signal` and `background` quality of P.835,
    and `p808`.

    The package doubles clips until they have 9.01 s or more. Fails where a sample is outside −1 … 1.
    """

    source = "Reddy, Gopal, Cutler, DNSMOS P.835, arXiv 2110.01763; DNSMOS, arXiv 2010.15258"
    references = None
    packages = ("speechmos.dnsmos",)
    required_rate = 16000

    def score_item(self, prediction, reference, sampling_rate):
        from speechmos import dnsmos

        names = {"ovrl_mos": "score", "sig_mos": "signal", "bak_mos": "background", "p808_mos": "p808"}
        answer = dnsmos.run(prediction, sampling_rate)
        return {name: float(answer[key]) for key, name in names.items()}
