# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Magnitude and mel spectrograms, and distances between them."""

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from transformers.audio_utils import mel_filter_bank

FLOOR = 1e-2  # magnitudes below it count as it: what is that quiet is left to the decoder

Sizes = Sequence[int]


def stft_magnitude(
    audio: torch.Tensor, fft_size: int, hop_length: int | None = None, win_length: int | None = None
) -> torch.Tensor:
    """
    `(batch, 1, samples)` → magnitudes `(batch, fft_size / 2 + 1, frames)` in float32, frames centred on every hop.

    Args:
        audio: `(batch, 1, samples)`.
        fft_size: Samples of a transform.
        hop_length: Samples between two frames; a quarter of the window by default.
        win_length: Samples of the Hann window; `fft_size` by default.

    Raises:
        ValueError: If the audio has another shape, or fewer samples than a transform needs.
    """
    win_length = win_length or fft_size
    if audio.dim() != 3 or audio.shape[1] != 1 or audio.shape[2] <= fft_size // 2:
        raise ValueError(
            f"A spectrogram of {fft_size} samples a frame takes audio (batch, 1, samples) of more than "
            f"{fft_size // 2} samples; got the shape {tuple(audio.shape)}."
        )
    with torch.autocast(audio.device.type, enabled=False):
        window = hann_window(win_length, audio.device)
        spectrum = torch.stft(
            audio[:, 0].float(), fft_size, hop_length or win_length // 4, win_length, window, return_complex=True
        )
        # the small constant bounds the gradient of the root where a bin is empty
        return (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt()


def mel_magnitude(magnitude: torch.Tensor, num_mels: int, sampling_rate: int) -> torch.Tensor:
    """What `stft_magnitude` gives, `(batch, bins, frames)`, → its sums in triangles, `(batch, num_mels, frames)`."""
    filters = mel_filters(magnitude.shape[1], num_mels, sampling_rate, magnitude.device)
    with torch.autocast(magnitude.device.type, enabled=False):
        return filters @ magnitude


# What is kept is made outside of inference mode, so that it serves training, whoever asks first.


@cache
def hann_window(length: int, device: torch.device) -> torch.Tensor:
    with torch.inference_mode(False):
        return torch.hann_window(length, device=device)


@cache
def mel_filters(num_bins: int, num_mels: int, sampling_rate: int, device: torch.device) -> torch.Tensor:
    """`(num_mels, num_bins)`, triangles of height 1 from 0 Hz to half the sampling rate, on HTK's scale."""
    filters = mel_filter_bank(num_bins, num_mels, 0.0, sampling_rate / 2, sampling_rate)
    with torch.inference_mode(False):
        return torch.tensor(filters.T, dtype=torch.float32, device=device)


def multi_resolution_stft_loss(
    reconstruction: torch.Tensor,
    audio: torch.Tensor,
    fft_sizes: Sizes = (2048, 1024, 512, 256, 128),
    hop_lengths: Sizes | None = None,
    win_lengths: Sizes | None = None,
) -> torch.Tensor:
    """
    Spectral convergence plus mean absolute difference of log magnitudes, averaged over resolutions.

    Source: Parallel WaveGAN (arXiv 1910.11480), equations 4-6.

    Args:
        reconstruction: `(batch, 1, samples)`.
        audio: `(batch, 1, samples)`.
        fft_sizes: Samples of a transform, per resolution; `**FULL_BAND` are the released configuration's sizes.
        hop_lengths: Samples between two frames; a quarter of the window by default.
        win_lengths: Samples of a window; those of the transform by default.

    Returns:
        A scalar.

    Raises:
        ValueError: If shapes or numbers of sizes differ, or the audio is too short.
    """
    check_alike(reconstruction, audio)
    total = 0.0
    for sizes in resolutions(fft_sizes, hop_lengths, win_lengths):
        estimate, target = stft_magnitude(reconstruction, *sizes), stft_magnitude(audio, *sizes)
        # a floor of the norm, so that a silent item weighs no more than a very quiet one
        convergence = (estimate - target).norm(dim=(1, 2)) / target.norm(dim=(1, 2)).clamp(min=1.0)
        total = total + convergence.mean() + log_distance(estimate, target, FLOOR)
    return total / len(fft_sizes)


def log_distance(estimate: torch.Tensor, target: torch.Tensor, floor: float) -> torch.Tensor:
    """Mean absolute difference of natural logarithms of magnitudes, of which those below the floor count as it."""
    return F.l1_loss(estimate.clamp(min=floor).log(), target.clamp(min=floor).log())


def resolutions(
    fft_sizes: Sizes, hop_lengths: Sizes | None, win_lengths: Sizes | None
) -> list[tuple[int, int | None, int | None]]:
    """The sizes of each resolution, as `stft_magnitude` takes them."""
    defaults = [None] * len(fft_sizes)
    hop_lengths, win_lengths = hop_lengths or defaults, win_lengths or defaults
    if not fft_sizes or not len(fft_sizes) == len(hop_lengths) == len(win_lengths):
        raise ValueError(
            "Spectrograms need a resolution, and a hop and a window each; got "
            f"{len(fft_sizes)} fft_sizes, {len(hop_lengths)} hop_lengths and {len(win_lengths)} win_lengths."
        )
    return list(zip(fft_sizes, hop_lengths, win_lengths))


def check_alike(reconstruction: torch.Tensor, audio: torch.Tensor) -> None:
    # a loss of tensors that only broadcast would be a number, too
    if reconstruction.shape != audio.shape:
        raise ValueError(
            "A loss compares audio of one shape; got a reconstruction of the shape "
            f"{tuple(reconstruction.shape)} and audio of {tuple(audio.shape)}."
        )
