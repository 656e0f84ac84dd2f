# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A clip through other codecs of like rates, whose programs are there."""

from functools import cache
from typing import NamedTuple

import numpy as np
import soxr

from ..metrics.baselines import BASELINES, RATE, as_long, why_left_out

COMPARED = ("opus-6", "opus-3", "codec2-1200", "codec2-700c")


class Compared(NamedTuple):
    """
    Attributes:
        title: Of the codec.
        samples: float32 `(samples,)` at the rate of what came in; None where the codec cannot run.
        bitrate: Measured on this clip, without a container's headers, in bit/s.
        missing: Why it cannot run.
    """

    title: str
    samples: np.ndarray | None
    bitrate: float | None
    missing: str | None


@cache
def why_missing(name: str) -> str | None:
    """Why a codec of `COMPARED` cannot run here, or None."""
    return why_left_out(BASELINES[name])


def compare(samples: np.ndarray, rate: int) -> list[Compared]:
    """
    Sends a clip through Opus and Codec2.

    Args:
        samples: float32 `(samples,)`.
        rate: In Hz.

    Returns:
        One per codec of `COMPARED`, in this order.
    """
    at_theirs = soxr.resample(samples, rate, RATE) if rate != RATE else samples
    found = []
    for name in COMPARED:
        baseline, missing = BASELINES[name], why_missing(name)
        if missing is None:
            try:
                coded = baseline.code(at_theirs)
            except (ValueError, OSError) as error:  # a clip that is too short for a frame
                missing = str(error)
        if missing is not None:
            found.append(Compared(baseline.title, None, None, missing))
            continue
        decoded = soxr.resample(coded.samples, RATE, rate) if rate != RATE else coded.samples
        found.append(Compared(baseline.title, as_long(decoded, len(samples)), coded.bits * RATE / len(at_theirs), None))
    return found


__all__ = ["COMPARED", "Compared", "compare"]
