# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
A pseudo-quadrature mirror filter bank (PQMF): audio in bands of equal width, each at its own low sampling rate.

Source: Nguyen, "Near-perfect-reconstruction pseudo-QMF banks" (IEEE Transactions on Signal Processing 42, 1994); the
prototype is that of Lin and Vaidyanathan, "A Kaiser window approach for the design of prototype filters of cosine
modulated filterbanks" (IEEE Signal Processing Letters 5, 1998).
"""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

ORDER = 16  # times the number of bands: taps of a filter, less one
KAISER_BETA = 9.0  # what a band lets through of those that do not adjoin it: -90 dB


def analyse(audio: torch.Tensor, num_bands: int) -> torch.Tensor:
    """
    `(batch, 1, samples)` → `(batch, num_bands, ceil(samples / num_bands))`, the lowest band first, in float32.

    A sinusoid in the middle of a band keeps its amplitude.
    """
    filters = filter_bank(num_bands, audio.device)
    with torch.autocast(audio.device.type, enabled=False):
        return F.conv1d(audio.float(), filters, stride=num_bands, padding=filters.shape[-1] // 2)


@cache
def filter_bank(num_bands: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """
    Filters of the analysis, `(num_bands, 1, taps)`, as `conv1d` takes them.

    Raises:
        ValueError: If there are fewer than two bands.
    """
    if num_bands < 2:
        raise ValueError(f"A filter bank has two bands or more; got {num_bands}.")
    prototype = design_prototype(num_bands)
    time = np.arange(len(prototype)) - len(prototype) // 2
    band = np.arange(num_bands)[:, None]
    angle = (2 * band + 1) * np.pi / (2 * num_bands) * time
    phase = (-1.0) ** band * np.pi / 4
    # `conv1d` correlates, so its filter is turned
    filters = (2 * prototype * np.cos(angle + phase))[:, None, ::-1]
    with torch.inference_mode(False):  # what is kept must serve training, whoever asks first
        return torch.tensor(filters.copy(), dtype=torch.float32, device=device)


def design_prototype(num_bands: int) -> np.ndarray:
    """
    The low-pass filter that the bands are shifts of: a Kaiser-windowed sinc, `(ORDER * num_bands + 1,)` in float64.

    Its cutoff, about half a band, is where the bands sum up flattest: where the filter's correlation with itself, moved
    by 2, 4, ... times `num_bands`, is least.
    """
    order = ORDER * num_bands
    time = np.arange(order + 1) - order / 2
    window = np.kaiser(order + 1, KAISER_BETA)

    def low_pass(cutoff: float) -> np.ndarray:
        taps = cutoff * np.sinc(cutoff * time) * window
        return taps / np.sqrt(2 * num_bands * np.square(taps).sum())  # bands that sum up to 1

    def ripple(cutoff: float) -> float:
        taps = low_pass(cutoff)
        return np.abs(np.correlate(taps, taps, "full")[order + 2 * num_bands :: 2 * num_bands]).max()

    low, high = 0.5 / num_bands, 1.0 / num_bands
    for _ in range(8):
        grid = np.linspace(low, high, 33)
        best = int(np.argmin([ripple(cutoff) for cutoff in grid]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 32)]
    return low_pass(grid[best])
