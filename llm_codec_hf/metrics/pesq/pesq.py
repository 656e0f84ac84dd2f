# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""PESQ."""

from llm_codec_hf.metrics.audio_metric import AudioMetric

# seconds. The ITU's code has room for 50 utterances of 0.2 s with as much between them; more, and the process crashes.
LONGEST = 20


class Pesq(AudioMetric):
    """
    Perceptual evaluation of speech quality, wide band (1.02 … 4.64, as listeners' mean opinion; more is better), by the
    package `pesq`.

    It aligns the two in time and level itself. Fails where it finds no speech, below a quarter of a second and above
    20 s.
    """

    source = "ITU-T Recommendation P.862.2 (2007)"
    packages = ("pesq",)
    required_rate = 16000

    def score_item(self, prediction, reference, sampling_rate):
        from pesq import pesq

        if (seconds := len(reference) / sampling_rate) > LONGEST:
            raise ValueError(f"the clip has {seconds:.1f} s, more than {LONGEST} s: cut it into sentences")
        return pesq(sampling_rate, reference, prediction, "wb")
