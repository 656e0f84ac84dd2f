# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What all audio metrics share: how waveforms come in, what is an item that cannot be scored, what goes out."""

import importlib
import inspect
import math
from abc import ABC, abstractmethod
from statistics import fmean, stdev
from typing import Any

import datasets
import evaluate
import numpy as np
from transformers.utils import logging

logger = logging.get_logger(__name__)

WAVEFORM = datasets.Sequence(datasets.Value("float32"))
TEXT = datasets.Value("string")

INPUTS = """
Args:
    predictions (`list`): Waveforms, `(samples,)` each; `None` for an item of which there is none: it has failed.
    references (`list`): One per prediction: waveforms of the same length, or texts for `wer`; none for `dnsmos`.
    sampling_rate (`int`): Of all waveforms, in Hz.

Returns:
    `dict`:
    - `mean`: of the scores; `None` where no item could be scored.
    - `std`: standard deviation of a sample (over n − 1); `None` for fewer than two scores.
    - `scores`: one per item, `None` where it failed.
    - `failed`: `index` and `reason` of each item that has no score. Neither `mean` nor `std` knows of them.
    - `details`: where the metric knows more of an item: a dict per item, `None` where it failed.
"""


class AudioMetric(evaluate.Metric, ABC):
    """
    A metric of waveforms, item by item. A subclass documents itself in its docstring, names its source, and scores.

    An item fails, with a reason, if a waveform is missing, empty, not finite or silent, if prediction and reference
    differ in length, if the score is not finite, and if scoring it raises. It is never scored, nor replaced.

    Attributes:
        source: The publication that defines the metric.
        references: What the references are: `WAVEFORM`, `TEXT`, or `None` for a metric that takes none.
        packages: What must be importable, checked when the metric is loaded.
        required_rate: The only sampling rate that the metric is defined for, in Hz; `None` for any.
    """

    source: str
    references: datasets.Value | datasets.Sequence | None = WAVEFORM
    packages: tuple[str, ...] = ()
    required_rate: int | None = None

    @abstractmethod
    def score_item(self, prediction: np.ndarray, reference: Any, sampling_rate: int, **options) -> float | dict:
        """
        Scores one item whose waveforms passed the checks.

        Args:
            prediction: float32, `(samples,)`.
            reference: The same, or a text, or `None`.
            sampling_rate: In Hz.
            options: Further arguments of `compute`.

        Returns:
            The score, or a dict of `score` and what else is known of the item, which becomes its `details`.
        """

    def _info(self) -> evaluate.MetricInfo:
        features = {"predictions": WAVEFORM}
        if self.references is not None:
            features["references"] = self.references
        info = evaluate.MetricInfo(
            description=inspect.getdoc(self),
            citation=self.source,
            inputs_description=INPUTS,
            features=datasets.Features(features),
        )
        # Lists of Python floats, the default, take nine times the memory; NumPy's format stumbles over a missing
        # waveform. Set afterwards, as `MetricInfo` itself allows a format for single values alone.
        info.format = "arrow"
        return info

    def _download_and_prepare(self, dl_manager) -> None:
        for package in self.packages:
            try:
                importlib.import_module(package)
            except ImportError as error:
                raise ImportError(
                    f"The metric {self.name} needs `{package}` ({error}): run `pip install 'llm-codec-hf[eval]'`."
                ) from error

    def _compute(self, *, predictions, references=None, sampling_rate: int, **options) -> dict[str, Any]:
        if self.required_rate not in (None, sampling_rate):
            raise ValueError(
                f"The metric {self.name} is defined at {self.required_rate} Hz, but the waveforms have "
                f"{sampling_rate} Hz: resample them."
            )
        scores, details, failed = [], [], []
        for index, prediction in enumerate(predictions):
            try:
                prediction = waveform(prediction, "prediction")
                reference = None if references is None else references[index]
                if self.references is WAVEFORM:
                    reference = waveform(reference, "reference")
                    if len(prediction) != len(reference):
                        raise ValueError(
                            f"the prediction has {len(prediction)} samples, the reference {len(reference)}"
                        )
                elif reference is not None:
                    reference = reference.as_py()
                result = self.score_item(prediction, reference, sampling_rate, **options)
                known = result if isinstance(result, dict) else {"score": float(result)}
                if not math.isfinite(known["score"]):
                    raise ValueError(f"the score is {known['score']}")
            except Exception as error:  # whatever it is, it stands in the result
                known = None
                failed.append({"index": index, "reason": f"{type(error).__name__}: {error}"})
            scores.append(known and known["score"])
            details.append(known)
        if failed:
            logger.warning("%s: %d of %d items failed and are not scored.", self.name, len(failed), len(scores))
        scored = [score for score in scores if score is not None]
        result = {
            "mean": fmean(scored) if scored else None,
            "std": stdev(scored) if len(scored) > 1 else None,
            "scores": scores,
            "failed": failed,
        }
        if any(known and len(known) > 1 for known in details):
            result["details"] = details
        return result


def waveform(values, name: str) -> np.ndarray:
    """
    An Arrow list → float32, `(samples,)`.

    Raises:
        ValueError: for none, an empty one, one that is not finite, and one that is silent: no sample of it reaches half
            a step of 16-bit PCM.
    """
    if not values.is_valid:
        raise ValueError(f"there is no {name}")
    samples = values.values.to_numpy(zero_copy_only=False)
    if not len(samples):
        raise ValueError(f"the {name} is empty")
    if not np.isfinite(samples).all():
        raise ValueError(f"the {name} is not finite in {(~np.isfinite(samples)).sum()} of {len(samples)} samples")
    if np.abs(samples).max() < 2**-16:
        raise ValueError(f"the {name} is silent")
    return samples


__all__ = ["TEXT", "WAVEFORM", "AudioMetric"]
