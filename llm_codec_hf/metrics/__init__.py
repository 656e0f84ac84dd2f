# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Audio metrics as modules of the `evaluate` library: `evaluate.load(folder)` of each folder here, or `load_metric(name)`.

They load from the installed package, without network. [`AudioMetric`] says what `compute` returns.
"""

from pathlib import Path

from ..extras import require

METRICS = ("dnsmos", "feature_r2", "mel_distance", "mr_stft", "pesq", "si_sdr", "stoi", "wer")


def load_metric(name: str, **kwargs):
    """
    Loads an audio metric.

    ```python
    >>> load_metric("stoi").compute(predictions=decoded, references=clips, sampling_rate=16000)
    {'mean': 0.91, 'std': 0.02, 'scores': [0.89, None, 0.93], 'failed': [{'index': 1, 'reason': '…'}]}
    ```

    Args:
        name (`str`): One of `METRICS`.
        kwargs: Passed on to `evaluate.load`. Waveforms stay in memory, unless several processes share a computation.

    Returns:
        `evaluate.EvaluationModule`.

    Raises:
        ValueError: for a name that is none of `METRICS`.
        ImportError: If `evaluate` or a package of the metric is missing.
    """
    if name not in METRICS:
        raise ValueError(f"There is no metric {name!r}: choose one of {', '.join(METRICS)}.")
    require("eval", f"The metric {name}", "datasets", "evaluate", "requests")
    import evaluate

    kwargs.setdefault("keep_in_memory", kwargs.get("num_process", 1) == 1)
    return evaluate.load(str(Path(__file__).parent / name), **kwargs)


__all__ = ["METRICS", "load_metric"]
