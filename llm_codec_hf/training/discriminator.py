# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
The adversary: a multi-frequency discriminator of mel spectrograms, and its losses.

The paper (arXiv 2406.10056) says little of it; the released configuration gives hop lengths, channels, `domain: double`
and `mel_scale: true`. The rest is ours, after the spectrogram discriminators of UnivNet (arXiv 2106.07889) and EnCodec
(arXiv 2210.13438): a sub-discriminator per hop length, with windows of four hops; as many convolutions as there are
channels; `double` read as linear and log magnitude, two channels of the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from transformers.audio_utils import hertz_to_mel

from ..signals.spectrograms import mel_magnitude, stft_magnitude

SLOPE = 0.1  # of the leaky ReLU, HiFi-GAN's (arXiv 2010.05646)
MAX_MELS = 128
LOG_FLOOR = 1e-4  # of magnitudes, of which white noise has about its root mean square

Logits = list[torch.Tensor]
Features = list[list[torch.Tensor]]
Adversary = Literal["least_squares", "hinge"]


@dataclass
class DiscriminatorOutput:
    """
    Args:
        logits: A map of time and frequency per sub-discriminator, `(batch, 1, frames', bands')`; real audio's are high.
        features: Of every sub-discriminator what each convolution gives, `(batch, channels, frames', bands')`.
    """

    logits: Logits
    features: Features


class SpectrogramDiscriminator(nn.Module):
    """
    Two-dimensional convolutions over a mel spectrogram, of linear and log magnitudes. All but the first halve time and
    frequency. It has 128 mel bands, or as many as its window tells apart.

    Its windows and mel filters are no buffers: what distributed training copies between processes in every pass must
    not be what the pass before needs for its gradients.

    Args:
        hop_length (`int`): Of the spectrogram; its windows are of four.
        channels (`Sequence[int]`): Of every convolution.
        sampling_rate (`int`): Of the audio, in Hz.
    """

    def __init__(self, hop_length: int, channels: Sequence[int], sampling_rate: int):
        super().__init__()
        self.hop_length, self.sampling_rate = hop_length, sampling_rate
        self.fft_size = 4 * hop_length
        self.num_mels = resolved_mels(self.fft_size, sampling_rate)
        widths = [2, *channels]
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, 3, stride=2 if i else 1, padding=1))
            for i, (before, after) in enumerate(zip(widths, widths[1:]))
        )
        self.conv_out = weight_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, audio: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """`(batch, 1, samples)` → logits and features, as in [`DiscriminatorOutput`]."""
        hidden, features = self.spectrogram(audio), []
        for conv in self.convs:
            hidden = F.leaky_relu(conv(hidden), SLOPE)
            features.append(hidden)
        return self.conv_out(hidden), features

    def spectrogram(self, audio: torch.Tensor) -> torch.Tensor:
        """`(batch, 1, samples)` → `(batch, 2, frames, bands)`; of noise about the same in any window."""
        # 3/8 is the mean square of a Hann window
        magnitude = stft_magnitude(audio, self.fft_size) / (3 / 8 * self.fft_size) ** 0.5
        # a bin's weights in its two triangles sum up to 1, so a band sums up so many bins on average
        bins = magnitude.shape[1] / self.num_mels
        magnitude = mel_magnitude(magnitude, self.num_mels, self.sampling_rate) / bins
        return torch.stack([magnitude, magnitude.clamp(min=LOG_FLOOR).log()], dim=1).transpose(2, 3)


class MultiFrequencyDiscriminator(nn.Module):
    """
    A [`SpectrogramDiscriminator`] per hop length. The defaults are the released configuration's.

    Args:
        hop_lengths (`Sequence[int]`): Of the spectrograms. Audio must be longer than two of the longest hop.
        channels (`Sequence[int]`): Of the convolutions of each.
        sampling_rate (`int`): Of the audio, in Hz.

    Raises:
        ValueError: If there are no hop lengths or no channels.
    """

    def __init__(
        self,
        hop_lengths: Sequence[int] = (32, 64, 128, 256, 512, 1024),
        channels: Sequence[int] = (64, 128, 256, 512, 512, 512),
        sampling_rate: int = 16000,
    ):
        super().__init__()
        if not hop_lengths or not channels:
            raise ValueError(f"A discriminator has hop lengths and channels; got {hop_lengths!r} and {channels!r}.")
        self.discriminators = nn.ModuleList(
            SpectrogramDiscriminator(hop_length, channels, sampling_rate) for hop_length in hop_lengths
        )

    def forward(self, audio: torch.Tensor) -> DiscriminatorOutput:
        """
        Args:
            audio: `(batch, 1, samples)`.

        Raises:
            ValueError: If the audio has another shape or is too short.
        """
        logits, features = zip(*(discriminator(audio) for discriminator in self.discriminators))
        return DiscriminatorOutput(list(logits), list(features))


def resolved_mels(fft_size: int, sampling_rate: int) -> int:
    """Mel bands that a transform tells apart: the lowest ones, which are the narrowest, hold a bin each at least."""
    top, bin_width = (hertz_to_mel(hertz, "htk") for hertz in (sampling_rate / 2, sampling_rate / fft_size))
    return max(1, min(MAX_MELS, int(1.5 * top / bin_width)))


# ---- Losses: means over the items and, that weights need not depend on their number, over the sub-discriminators


def discriminator_loss(real_logits: Logits, fake_logits: Logits, kind: Adversary) -> torch.Tensor:
    """
    What the discriminator learns by.

    Source: least squares (arXiv 1611.04076) with the targets 1 and 0, without halves; hinge (arXiv 1705.02894).

    Args:
        real_logits: Of the audio, one per sub-discriminator.
        fake_logits: Of the reconstruction, detached.
        kind: `"least_squares"` or `"hinge"`.

    Returns:
        A scalar.

    Raises:
        ValueError: If there is no such kind.
    """
    check_kind(kind)
    losses = []
    for real, fake in zip(real_logits, fake_logits, strict=True):
        real, fake = real.float(), fake.float()
        if kind == "least_squares":
            losses.append((real - 1).square().mean() + fake.square().mean())
        else:
            losses.append(F.relu(1 - real).mean() + F.relu(1 + fake).mean())
    return torch.stack(losses).mean()


def generator_adversarial_loss(fake_logits: Logits, kind: Adversary) -> torch.Tensor:
    """
    The codec's adversarial loss on the discriminator's logits; arguments and errors as in [`discriminator_loss`].
    """
    check_kind(kind)
    if kind == "least_squares":
        return torch.stack([(fake.float() - 1).square().mean() for fake in fake_logits]).mean()
    return torch.stack([-fake.float().mean() for fake in fake_logits]).mean()


def feature_matching_loss(real_features: Features, fake_features: Features) -> torch.Tensor:
    """
    Mean absolute difference of features, averaged over layers and sub-discriminators. The audio's are fixed.

    Source: MelGAN (arXiv 1910.06711); means in place of sums.
    """
    pairs = [
        (real, fake)
        for reals, fakes in zip(real_features, fake_features, strict=True)
        for real, fake in zip(reals, fakes, strict=True)
    ]
    return torch.stack([F.l1_loss(fake.float(), real.detach().float()) for real, fake in pairs]).mean()


def check_kind(kind: str) -> None:
    if kind not in ("least_squares", "hinge"):
        raise ValueError(f"The adversary is least_squares or hinge; got {kind!r}.")
