# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Losses of reconstruction and of guidance. Each is a scalar, the mean over the items of a batch: the mean of what two
halves of a batch give is what the whole gives.

Paper (arXiv 2406.10056) and released configuration differ. The configuration compares spectrograms of `FULL_BAND` and
`SUB_BAND`, has sizes for a mel loss (`RELEASED_MEL`), which it turns off, and no guidance.
"""

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from transformers.audio_utils import mel_filter_bank

from .filter_bank import analyse

# Sizes of the released configuration, in samples; of a band's samples in `SUB_BAND`.
FULL_BAND = {"fft_sizes": (512, 1024, 2048), "hop_lengths": (120, 240, 300), "win_lengths": (480, 960, 1200)}
SUB_BAND = {"fft_sizes": (128, 256, 256), "hop_lengths": (20, 40, 50), "win_lengths": (80, 120, 200)}
RELEASED_MEL = {"fft_sizes": (1024,), "hop_lengths": (160,), "win_lengths": (800,), "num_mels": (80,)}
NUM_BANDS = 6

FLOOR = 1e-2  # magnitudes below it count as it: what is that quiet is left to the decoder

Sizes = Sequence[int]


# ---- Spectrograms


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
        ValueError: for another shape, and fewer samples than a transform needs.
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


# ---- Reconstruction


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
        fft_sizes: Samples of a transform, a resolution each; `**FULL_BAND` are the released configuration's sizes.
        hop_lengths: Samples between two frames; a quarter of the window by default.
        win_lengths: Samples of a window; those of the transform by default.

    Returns:
        A scalar.

    Raises:
        ValueError: where shapes or numbers of sizes differ, and for audio that is too short.
    """
    check_alike(reconstruction, audio)
    total = 0.0
    for sizes in resolutions(fft_sizes, hop_lengths, win_lengths):
        estimate, target = stft_magnitude(reconstruction, *sizes), stft_magnitude(audio, *sizes)
        # a floor of the norm, so that a silent item weighs no more than a very quiet one
        convergence = (estimate - target).norm(dim=(1, 2)) / target.norm(dim=(1, 2)).clamp(min=1.0)
        total = total + convergence.mean() + log_distance(estimate, target, FLOOR)
    return total / len(fft_sizes)


def sub_band_stft_loss(
    reconstruction: torch.Tensor,
    audio: torch.Tensor,
    num_bands: int = NUM_BANDS,
    fft_sizes: Sizes = SUB_BAND["fft_sizes"],
    hop_lengths: Sizes | None = SUB_BAND["hop_lengths"],
    win_lengths: Sizes | None = SUB_BAND["win_lengths"],
) -> torch.Tensor:
    """
    `multi_resolution_stft_loss` of the bands of a PQMF, averaged over bands: a quiet band counts as a loud one.

    Source: Multi-band MelGAN (arXiv 2005.05106). Sizes are in samples of a band.
    """
    check_alike(reconstruction, audio)
    estimate, target = (analyse(x, num_bands).flatten(0, 1)[:, None] for x in (reconstruction, audio))
    return multi_resolution_stft_loss(estimate, target, fft_sizes, hop_lengths, win_lengths)


def mel_loss(
    reconstruction: torch.Tensor,
    audio: torch.Tensor,
    sampling_rate: int,
    fft_sizes: Sizes = (2048, 1024, 512, 256, 128),
    num_mels: Sizes = (128, 80, 64, 40, 20),
    hop_lengths: Sizes | None = None,
    win_lengths: Sizes | None = None,
    floor: float = FLOOR,
) -> torch.Tensor:
    """
    Mean absolute difference of natural-log mel magnitudes, averaged over resolutions.

    Source: DAC (arXiv 2306.06546); here without windows so short that a bin is wider than a mel band.

    Args:
        reconstruction: `(batch, 1, samples)`.
        audio: `(batch, 1, samples)`.
        sampling_rate: Of both, in Hz.
        fft_sizes: Samples of a transform, a resolution each; `**RELEASED_MEL` is the released configuration's one.
        num_mels: Mel bands of each resolution.
        hop_lengths: Samples between two frames; a quarter of the window by default.
        win_lengths: Samples of a window; those of the transform by default.
        floor: Magnitudes below it count as it.

    Returns:
        A scalar.

    Raises:
        ValueError: where shapes or numbers of sizes differ, and for audio that is too short.
    """
    check_alike(reconstruction, audio)
    if len(num_mels) != len(fft_sizes):
        raise ValueError(f"{len(fft_sizes)} fft_sizes need as many num_mels; got {len(num_mels)}.")
    total = 0.0
    for sizes, bands in zip(resolutions(fft_sizes, hop_lengths, win_lengths), num_mels):
        estimate, target = (
            mel_magnitude(stft_magnitude(x, *sizes), bands, sampling_rate) for x in (reconstruction, audio)
        )
        total = total + log_distance(estimate, target, floor)
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


# ---- Guidance


def semantic_loss(
    layer: torch.Tensor, text_features: torch.Tensor, mask: torch.BoolTensor | None = None
) -> torch.Tensor:
    """
    Mean squared error between the mean over time of layer 0's output and an embedding of what is said.

    Source: UniAudio 1.5 (arXiv 2406.10056).

    Args:
        layer: Layer 0's output at any rate, `(batch, latent_dim, frames)`.
        text_features: `(batch, latent_dim)`.
        mask: Items that have a text, `(batch,)`; all by default. The others count as 0 and get no gradient, so that
            an item weighs the same whatever items are beside it.

    Returns:
        A scalar.

    Raises:
        ValueError: where shapes do not fit.
    """
    if text_features.shape != layer.shape[:2]:
        raise ValueError(
            f"A layer (batch, latent_dim, frames) of the shape {tuple(layer.shape)} needs text features "
            f"{tuple(layer.shape[:2])}; got {tuple(text_features.shape)}."
        )
    error = layer.float().mean(dim=-1) - text_features.float()
    if mask is not None:
        error = error.masked_fill(~mask[:, None], 0.0)
    return error.square().mean()


def consistency_loss(layer: torch.Tensor, frame_features: torch.Tensor) -> torch.Tensor:
    """
    Mean squared error between layer 1's output and a speech encoder's frames, interpolated (nearest) to its rate.

    Source: UniAudio 1.5 (arXiv 2406.10056).

    Args:
        layer: Layer 1's output at the full rate, `(batch, latent_dim, frames)`.
        frame_features: `(batch, latent_dim, encoder_frames)` of the same span of time.

    Returns:
        A scalar.

    Raises:
        ValueError: where shapes do not fit.
    """
    if frame_features.dim() != 3 or frame_features.shape[:2] != layer.shape[:2]:
        raise ValueError(
            f"A layer (batch, latent_dim, frames) of the shape {tuple(layer.shape)} needs frame features "
            f"{(*layer.shape[:2], 'frames')}; got {tuple(frame_features.shape)}."
        )
    target = F.interpolate(frame_features.float(), size=layer.shape[-1], mode="nearest")
    return F.mse_loss(layer.float(), target)
