# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
A fast encoder and decoder of our own, not of the paper: log mel spectra and ConvNeXt blocks (arXiv 2201.03545) at the
rate of the latent frames, and ConvNeXt blocks with an inverse spectrogram, as in Vocos (arXiv 2306.00814).

Both keep what the original's promise: no statistics over time, no reflection at edges, zeros past an item's end before
every layer that looks sideways, and windows whose overlap sums to a constant. So a batch gives what each item gets
alone, and chunks give what the whole gives. Spectra and their inverse are products with fixed bases, which every
exporter knows and which work in float64, too.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init
from transformers.audio_utils import mel_filter_bank
from transformers.modeling_layers import GradientCheckpointingLayer

from .backbone_llm_codec import LLMCodecDecoder, LLMCodecEncoder
from .configuration_llm_codec import LLMCodecConfig
from .layers_llm_codec import LLMCodecFloat32Buffers, zero_past_end

# Mel magnitudes below it count little. A logarithm multiplies rounding where little stands beside much: at 1e-2, about
# what noise of -64 dB has, rounding of float32 stays that of float32.
MEL_FLOOR = 1e-2
MAX_LOG_MAGNITUDE = 6.0  # a sine at full scale has 5.1 with a window of 640 samples


class LLMCodecMelSpectrum(LLMCodecFloat32Buffers):
    """`(batch, samples)` → log mel magnitudes `(batch, spectra, num_mels)`, about −0.2 … 2.5, in float32 at least."""

    def __init__(self, fft_size: int, hop_length: int, num_mels: int, sampling_rate: int):
        super().__init__()
        self.hop_length, self.sampling_rate = hop_length, sampling_rate
        bins = fft_size // 2 + 1
        self.register_buffer("basis", torch.empty(fft_size, 2 * bins, dtype=torch.float32), persistent=False)
        self.register_buffer("mel_filters", torch.empty(bins, num_mels, dtype=torch.float32), persistent=False)

    def initialize(self) -> None:
        fft_size, (bins, num_mels) = len(self.basis), self.mel_filters.shape
        basis = fourier_basis(fft_size) * torch.hann_window(fft_size, dtype=torch.float64)[:, None]
        filters = mel_filter_bank(
            bins, num_mels, 0.0, self.sampling_rate / 2, self.sampling_rate, norm="slaney", mel_scale="slaney"
        )
        scale = self.sampling_rate / 2 / num_mels  # of triangles whose area is 1 Hz: their height is now about 1
        init.copy_(self.basis, basis)
        init.copy_(self.mel_filters, torch.tensor(filters * scale))

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        fft_size = len(self.basis)
        padding = (fft_size - self.hop_length) // 2
        with torch.autocast(audio.device.type, enabled=False):
            audio = audio.to(torch.promote_types(audio.dtype, torch.float32))
            frames = F.pad(audio, (padding, padding)).unfold(1, fft_size, self.hop_length)
            real, imaginary = (frames @ self.basis.to(audio.dtype)).chunk(2, dim=-1)
            # the small constant bounds the gradient of the root where a bin is empty
            magnitude = (real.square() + imaginary.square() + 1e-9).sqrt()
            return 0.25 * (magnitude @ self.mel_filters.to(audio.dtype) + MEL_FLOOR).log() + 1.0


class LLMCodecInverseSpectrum(LLMCodecFloat32Buffers):
    """Real and imaginary parts, `(batch, spectra, 2 * bins)`, → `(batch, samples)`, of windows that overlap."""

    def __init__(self, fft_size: int, hop_length: int):
        super().__init__()
        self.hop_length = hop_length
        bins = fft_size // 2 + 1
        self.register_buffer("basis", torch.empty(2 * bins, fft_size, dtype=torch.float32), persistent=False)

    def initialize(self) -> None:
        fft_size = self.basis.shape[1]
        bins = fft_size // 2 + 1
        # every bin but the first and, where there is one, the last stands for two, of which one is its conjugate
        count = torch.full((bins,), 2.0, dtype=torch.float64)
        count[0] = 1.0
        if fft_size % 2 == 0:
            count[-1] = 1.0
        window = torch.hann_window(fft_size, dtype=torch.float64)  # periodic: shifted by hops it sums to a constant
        overlap = window.sum() / self.hop_length
        basis = (fourier_basis(fft_size) * count.repeat(2) / fft_size).T * (window / overlap)
        init.copy_(self.basis, basis)

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        fft_size, hop = self.basis.shape[1], self.hop_length
        overlapping, padding = fft_size // hop, (fft_size - hop) // 2
        batch, count, _ = spectra.shape
        frames = (spectra @ self.basis.to(spectra.dtype)).view(batch, count, overlapping, hop)
        # hop i of a frame falls on the first hop of the frame that comes i later
        audio = sum(F.pad(frames[:, :, i], (0, 0, i, overlapping - 1 - i)) for i in range(overlapping))
        return audio.flatten(1)[:, padding : padding + count * hop]


def fourier_basis(size: int) -> torch.Tensor:
    """`(size, 2 * bins)` in float64: cosines, then negative sines, of a discrete Fourier transform of real samples."""
    steps = torch.outer(torch.arange(size), torch.arange(size // 2 + 1)) % size  # exact, so that angles are, too
    angles = steps.double() * (2 * math.pi / size)
    return torch.cat([angles.cos(), -angles.sin()], dim=1)


def exactly(layer: nn.Linear, hidden_states: torch.Tensor) -> torch.Tensor:
    """A last layer in the precision of its weights: mixed precision would round latents, magnitudes and phases."""
    with torch.autocast(hidden_states.device.type, enabled=False):
        return layer(hidden_states.to(layer.weight.dtype))


class LLMCodecDepthwiseConv(nn.Conv1d):
    """A convolution of each channel alone, `(batch, time, channels)`, that sees `lookahead` steps ahead."""

    def __init__(self, channels: int, kernel_size: int, lookahead: int):
        super().__init__(channels, channels, kernel_size, groups=channels)
        self.reach = (kernel_size - 1 - lookahead, lookahead)

    def initialize(self) -> None:
        init.uniform_(self.weight, -1 / math.sqrt(self.weight.shape[-1]), 1 / math.sqrt(self.weight.shape[-1]))
        init.zeros_(self.bias)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        time = hidden_states.shape[1]
        padded = F.pad(hidden_states, (0, 0, *self.reach))
        if padded.dtype == torch.float64:  # for which libraries convolve channel by channel
            taps = range(self.weight.shape[-1])
            return self.bias + sum(padded[:, i : i + time] * self.weight[:, 0, i] for i in taps)
        # in two dimensions, since only there channels come last: a quarter of the time
        padded = padded.transpose(1, 2)[:, :, None]
        return F.conv2d(padded, self.weight[:, :, None], self.bias, groups=self.groups)[:, :, 0].transpose(1, 2)


class LLMCodecConvNeXtBlock(GradientCheckpointingLayer):
    """A depthwise convolution, then two pointwise layers around a GELU, scaled per channel, plus the input."""

    def __init__(self, channels: int, options: dict, num_layers: int):
        super().__init__()
        self.num_layers = num_layers
        self.conv = LLMCodecDepthwiseConv(channels, options["kernel_size"], options["lookahead"])
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, options["expansion"] * channels)
        self.project = nn.Linear(options["expansion"] * channels, channels)
        self.scale = nn.Parameter(torch.empty(channels))

    def initialize(self) -> None:
        init.constant_(self.scale, 1 / self.num_layers)  # so that all blocks together begin as one does alone

    def forward(self, hidden_states: torch.Tensor, frame_mask: torch.BoolTensor | None = None) -> torch.Tensor:
        hidden = self.norm(self.conv(zero_past_end(hidden_states, frame_mask)))
        return hidden_states + self.scale * self.project(F.gelu(self.expand(hidden)))


class LLMCodecSpectralBranch(nn.Module):
    """Log mel spectra `(batch, spectra, num_mels)` → latent channels `(batch, frames, channels)`."""

    def __init__(self, options: dict, hidden_size: int, num_layers: int, channels: int):
        super().__init__()
        self.stride = options["stride"]
        self.stem = nn.Linear(3 * self.stride * options["num_mels"], hidden_size)
        self.norm_in = nn.LayerNorm(hidden_size)
        self.blocks = nn.ModuleList(LLMCodecConvNeXtBlock(hidden_size, options, num_layers) for _ in range(num_layers))
        self.norm_out = nn.LayerNorm(hidden_size)
        self.head = nn.Linear(hidden_size, channels)

    def forward(self, spectra: torch.Tensor, frame_mask: torch.BoolTensor | None) -> torch.Tensor:
        # a latent frame's own spectra, and as many before and after
        padded = F.pad(spectra, (0, 0, self.stride, self.stride)).to(self.stem.weight.dtype)
        hidden_states = self.norm_in(self.stem(padded.unfold(1, 3 * self.stride, self.stride).flatten(2)))
        for block in self.blocks:
            hidden_states = block(hidden_states, frame_mask)
        return exactly(self.head, self.norm_out(hidden_states))


class LLMCodecSpectralEncoder(LLMCodecEncoder):
    """
    Log mel spectra and ConvNeXt blocks, `(batch, 1, samples)` → `(batch, latent_dim, frames)`.

    With `semantic_channels` the first latent channels come from a branch with weights of its own, which can learn what
    is heard, undisturbed by how it sounds.
    """

    rounding = 1e-5  # three times what was measured

    def __init__(self, config: LLMCodecConfig):
        super().__init__(config)
        options = config.encoder_options
        self.spectrum = LLMCodecMelSpectrum(
            options["fft_size"], options["fft_hop_length"], options["num_mels"], config.sampling_rate
        )
        semantic = options["semantic_channels"]
        self.semantic = None
        if semantic:
            sizes = options["semantic_hidden_size"], options["semantic_num_layers"]
            self.semantic = LLMCodecSpectralBranch(options, *sizes, semantic)
        sizes = options["hidden_size"], options["num_layers"]
        self.acoustic = LLMCodecSpectralBranch(options, *sizes, config.latent_dim - semantic)

    def forward(self, input_values: torch.Tensor, frame_mask: torch.BoolTensor | None = None) -> torch.Tensor:
        spectra = zero_past_end(self.spectrum(input_values[:, 0]), frame_mask)  # silence's logarithm is not zero
        latents = self.acoustic(spectra, frame_mask)
        if self.semantic is not None:
            latents = torch.cat([self.semantic(spectra, frame_mask), latents], dim=-1)
        return latents.transpose(1, 2)

    @torch.no_grad()
    def shift_output(self, offset: torch.Tensor) -> None:
        if self.semantic is not None:
            semantic = len(self.semantic.head.bias)
            self.semantic.head.bias += offset[:semantic]
            offset = offset[semantic:]
        self.acoustic.head.bias += offset


class LLMCodecSpectralDecoder(LLMCodecDecoder):
    """ConvNeXt blocks and an inverse spectrogram, `(batch, latent_dim, frames)` → `(batch, 1, samples)`."""

    def __init__(self, config: LLMCodecConfig):
        super().__init__(config)
        options = config.decoder_options
        self.reach = (options["kernel_size"] - 1 - options["lookahead"], options["lookahead"])
        hidden, fine, num_layers = options["hidden_size"], options["fine_hidden_size"], options["num_layers"]
        depth = num_layers + options["fine_num_layers"]
        self.stride = options["stride"]
        self.conv_in = nn.Linear(options["kernel_size"] * config.latent_dim, hidden)
        self.norm_in = nn.LayerNorm(hidden)
        self.blocks = nn.ModuleList(LLMCodecConvNeXtBlock(hidden, options, depth) for _ in range(num_layers))
        self.up = nn.Linear(hidden, self.stride * fine)
        self.norm_fine = nn.LayerNorm(fine)
        self.fine_blocks = nn.ModuleList(
            LLMCodecConvNeXtBlock(fine, options, depth) for _ in range(options["fine_num_layers"])
        )
        self.norm_out = nn.LayerNorm(fine)
        self.head = nn.Linear(fine, 2 * (options["fft_size"] // 2 + 1))
        self.spectrum = LLMCodecInverseSpectrum(options["fft_size"], options["fft_hop_length"])

    def forward(
        self,
        latents: torch.Tensor,
        frame_mask: torch.BoolTensor | None = None,
        noises: list[torch.Tensor | None] | None = None,
    ) -> torch.Tensor:
        padded = F.pad(zero_past_end(latents.transpose(1, 2), frame_mask), (0, 0, *self.reach))
        hidden_states = self.norm_in(self.conv_in(padded.unfold(1, sum(self.reach) + 1, 1).flatten(2)))
        for block in self.blocks:
            hidden_states = block(hidden_states, frame_mask)
        batch, frames, _ = hidden_states.shape
        hidden_states = self.norm_fine(self.up(hidden_states).view(batch, frames * self.stride, -1))
        for block in self.fine_blocks:
            hidden_states = block(hidden_states, frame_mask)
        logits = exactly(self.head, self.norm_out(hidden_states))
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            log_magnitude, phase = logits.chunk(2, dim=-1)
            magnitude = log_magnitude.clamp(max=MAX_LOG_MAGNITUDE).exp()
            spectra = torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], dim=-1)
            audio = torch.tanh(self.spectrum(zero_past_end(spectra, frame_mask)))[..., None]
            return zero_past_end(audio, frame_mask).transpose(1, 2).to(latents.dtype)

    @torch.no_grad()
    def shift_input(self, offset: torch.Tensor) -> None:
        # every tap of the first convolution sees the offset
        self.conv_in.bias -= self.conv_in.weight @ offset.repeat_interleave(sum(self.reach) + 1)
