# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Reconstruction losses."""

import torch
import torch.nn.functional as F


def stft_magnitude(audio: torch.Tensor, fft_size: int) -> torch.Tensor:
    """`(batch, 1, samples)` → magnitudes `(batch, fft_size / 2 + 1, frames)`: Hann windows, hop a quarter."""
    window = torch.hann_window(fft_size, device=audio.device)
    spectrum = torch.stft(audio[:, 0], fft_size, fft_size // 4, window=window, return_complex=True)
    # the small constant bounds the gradient of the root where a bin is empty
    return (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt()


def multi_resolution_stft_loss(
    reconstruction: torch.Tensor, audio: torch.Tensor, fft_sizes: tuple[int, ...] = (2048, 1024, 512, 256, 128)
) -> torch.Tensor:
    """
    Spectral convergence plus mean absolute difference of log magnitudes, averaged over resolutions.

    Source: Parallel WaveGAN (arXiv 1910.11480), equations 4-6.

    Args:
        reconstruction: `(batch, 1, samples)`.
        audio: `(batch, 1, samples)`.
        fft_sizes: Window lengths in samples.

    Returns:
        A scalar.
    """
    total = 0.0
    for fft_size in fft_sizes:
        estimate, target = stft_magnitude(reconstruction, fft_size), stft_magnitude(audio, fft_size)
        # a floor of the norm, so that a silent item weighs no more than a very quiet one
        convergence = (estimate - target).norm(dim=(1, 2)) / target.norm(dim=(1, 2)).clamp(min=1.0)
        total = total + convergence.mean() + F.l1_loss(estimate.clamp(min=1e-2).log(), target.clamp(min=1e-2).log())
    return total / len(fft_sizes)
