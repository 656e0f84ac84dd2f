# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Losses of reconstruction and of guidance. Each is a scalar, the mean over the items of a batch: the mean of what two
halves of a batch give is what the whole gives.

Paper (arXiv 2406.10056) and released configuration differ. The configuration compares spectrograms of `FULL_BAND` and
`SUB_BAND`, has sizes for a mel loss, which it turns off, and no guidance.
"""

import torch
import torch.nn.functional as F

from ..signals.filter_bank import analyse
from ..signals.spectrograms import (
    FLOOR,
    Sizes,
    check_alike,
    log_distance,
    mel_magnitude,
    multi_resolution_stft_loss,
    resolutions,
    stft_magnitude,
)

# Sizes of the released configuration, in samples; of a band's samples in `SUB_BAND`.
FULL_BAND = {"fft_sizes": (512, 1024, 2048), "hop_lengths": (120, 240, 300), "win_lengths": (480, 960, 1200)}
SUB_BAND = {"fft_sizes": (128, 256, 256), "hop_lengths": (20, 40, 50), "win_lengths": (80, 120, 200)}
NUM_BANDS = 6


# ---- Reconstruction


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
        fft_sizes: Samples of a transform, per resolution.
        num_mels: Mel bands of each resolution.
        hop_lengths: Samples between two frames; a quarter of the window by default.
        win_lengths: Samples of a window; those of the transform by default.
        floor: Magnitudes below it count as it.

    Returns:
        A scalar.

    Raises:
        ValueError: If shapes or numbers of sizes differ, or the audio is too short.
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
        ValueError: If shapes do not fit.
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
        ValueError: If shapes do not fit.
    """
    if frame_features.dim() != 3 or frame_features.shape[:2] != layer.shape[:2]:
        raise ValueError(
            f"A layer (batch, latent_dim, frames) of the shape {tuple(layer.shape)} needs frame features "
            f"{(*layer.shape[:2], 'frames')}; got {tuple(frame_features.shape)}."
        )
    target = F.interpolate(frame_features.float(), size=layer.shape[-1], mode="nearest")
    return F.mse_loss(layer.float(), target)
