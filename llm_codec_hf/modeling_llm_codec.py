# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""LLM-Codec: audio in words of a language model ("UniAudio 1.5", arXiv 2406.10056)."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedAudioTokenizerBase
from transformers.utils import ModelOutput, auto_docstring, can_return_tuple

from .configuration_llm_codec import BLOCK_REACH, CONV_REACH, DILATIONS, KERNEL_SIZE, LLMCodecConfig
from .streaming_llm_codec import LLMCodecStreamingMixin


@dataclass
class LLMCodecEncoderOutput(ModelOutput):
    r"""
    audio_codes (`torch.LongTensor` of shape `(batch_size, codes_per_group, groups)`):
        Row 0 is layer 0, the next rows are the later layers in time order (1, 2 and 4 rows originally); −1 where the
        mask is 0.
    audio_codes_mask (`torch.LongTensor` of shape `(batch_size, groups)`):
        1 for the groups that an item has alone, 0 for those that it has only because another item is longer.
    latents (`torch.FloatTensor` of shape `(batch_size, latent_dim, frames)`, *optional*):
        The encoder's output before quantization; returned when `output_latents=True`.
    """

    audio_codes: torch.LongTensor | None = None
    audio_codes_mask: torch.LongTensor | None = None
    latents: torch.FloatTensor | None = None


@dataclass
class LLMCodecDecoderOutput(ModelOutput):
    r"""
    audio_values (`torch.FloatTensor` of shape `(batch_size, 1, samples)`): Audio in −1 … 1.
    """

    audio_values: torch.FloatTensor | None = None


@dataclass
class LLMCodecOutput(ModelOutput):
    r"""
    audio_values (`torch.FloatTensor` of shape `(batch_size, 1, samples)`): Reconstruction, of the input's length.
    audio_codes (`torch.LongTensor` of shape `(batch_size, codes_per_group, groups)`): As in `encode`.
    audio_codes_mask (`torch.LongTensor` of shape `(batch_size, groups)`): As in `encode`.
    commitment_loss (`torch.FloatTensor` of shape `(batch_size,)`):
        Mean squared distance of the latents to their (fixed) codebook entries, summed over layers.
    codebook_loss (`torch.FloatTensor` of shape `(batch_size,)`):
        The same distance with the latents fixed; moves codebooks only where a trainer passes its own.
    quantized_layers (`tuple[torch.FloatTensor]`, each of shape `(batch_size, latent_dim, frames)`):
        Every layer's entries at the full frame rate; their sum is what the decoder reads.
    """

    audio_values: torch.FloatTensor | None = None
    audio_codes: torch.LongTensor | None = None
    audio_codes_mask: torch.LongTensor | None = None
    commitment_loss: torch.FloatTensor | None = None
    codebook_loss: torch.FloatTensor | None = None
    quantized_layers: tuple[torch.FloatTensor, ...] | None = None


# Float32 rounding of a latent relative to its length, as differences of scores see it: three times what was measured.
# Matrices of other shapes are summed in other orders. Where the best two scores differ by less, float64 decides.
ROUNDING = 2e-6


# ---- Layers work on `(batch, time, channels)`, where pointwise and strided convolutions are matrix products as they
# ---- stand. A batch gives each item what it gets alone, where zeros surround it: so whatever a layer computed past an
# ---- item's own length is set to zero again before the next layer that looks sideways.


def length_mask(lengths: torch.LongTensor, size: int) -> torch.BoolTensor:
    """`(batch,)` lengths → `(batch, size)`, true inside each length."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def zero_past_end(hidden_states: torch.Tensor, frame_mask: torch.BoolTensor | None) -> torch.Tensor:
    """Zeroes `(batch, time, channels)` outside a mask of `(batch, frames)`; time is any whole multiple of frames."""
    if frame_mask is None:
        return hidden_states
    mask = frame_mask.repeat_interleave(hidden_states.shape[1] // frame_mask.shape[1], dim=1)
    return hidden_states.masked_fill(~mask[..., None], 0.0)


class LLMCodecSnake(nn.Module):
    """Snake, x + sin²(αx) / α, with one α a channel (arXiv 2006.08195)."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        alpha = self.alpha.flatten()
        sine = (alpha * hidden_states).sin_()  # in place: these passes over memory are what Snake costs
        return torch.addcdiv(hidden_states, sine.square_(), alpha + 1e-9)


class LLMCodecConv(nn.Conv1d):
    """A convolution that keeps the length."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = KERNEL_SIZE,
        dilation: int = 1,
        depthwise: bool = False,
        bias: bool = True,
    ):
        groups = in_channels if depthwise else 1
        super().__init__(in_channels, out_channels, kernel_size, dilation=dilation, groups=groups, bias=bias)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        if self.kernel_size == (1,):
            return F.linear(hidden_states, self.weight.squeeze(-1), self.bias)
        time, (dilation,), weight, bias = hidden_states.shape[1], self.dilation, self.weight, self.bias
        if self.groups > 1 and hidden_states.dtype == torch.float64:  # for which libraries convolve channel by channel
            padded = F.pad(hidden_states, (0, 0, CONV_REACH * dilation, CONV_REACH * dilation))
            return bias + sum(
                padded[:, i * dilation : i * dilation + time] * weight[:, 0, i] for i in range(KERNEL_SIZE)
            )
        if self.groups > 1 and dilation > 1:
            # Steps t, t + dilation, … see each other alone. As channels of their own they need no dilation, with which
            # depthwise convolutions take 10 times as long on CPUs.
            if time % dilation:
                hidden_states = F.pad(hidden_states, (0, 0, 0, -time % dilation))
            hidden_states = hidden_states.unflatten(1, (-1, dilation)).flatten(2)
            weight, bias, dilation = weight.repeat(dilation, 1, 1), bias.repeat(dilation), 1
        hidden_states = F.conv2d(  # in two dimensions, since only there channels come last
            hidden_states.transpose(1, 2)[:, :, None],
            weight[:, :, None],
            bias,
            padding=(0, CONV_REACH * dilation),
            dilation=(1, dilation),
            groups=weight.shape[0] if self.groups > 1 else 1,
        )
        return hidden_states[:, :, 0].transpose(1, 2).reshape(len(hidden_states), -1, self.out_channels)[:, :time]


class LLMCodecDownsample(nn.Module):
    """
    A convolution of stride r and kernel 2r: one matrix product with every r steps and another with the next r.

    `weight` is `(2, r · in_channels, out_channels)`, `pack` makes it of the weight of a `Conv1d`.
    """

    weight_norm_dim = 2

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.stride, self.padding = stride, math.ceil(stride / 2)
        self.weight = nn.Parameter(torch.empty(2, stride * in_channels, out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels))

    @staticmethod
    def pack(weight: torch.Tensor) -> torch.Tensor:
        out_channels, _, kernel_size = weight.shape
        return weight.permute(2, 1, 0).reshape(2, -1, out_channels)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        batch = len(hidden_states)
        padded = F.pad(hidden_states, (0, 0, self.padding, self.stride - self.padding))
        return adjacent_products(padded.view(batch, -1, self.weight.shape[1]), self.weight, self.bias)


class LLMCodecUpsample(nn.Module):
    """
    A transposed convolution of stride r and kernel 2r: r steps at a time are two matrix products with adjacent steps.

    `weight` is `(2, in_channels, r · out_channels)`, for the earlier step first; `pack` makes it of the weight of a
    `ConvTranspose1d`.
    """

    weight_norm_dim = 1

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.stride, self.padding = stride, math.ceil(stride / 2)
        self.weight = nn.Parameter(torch.empty(2, in_channels, stride * out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels))

    @staticmethod
    def pack(weight: torch.Tensor) -> torch.Tensor:
        in_channels, out_channels, kernel_size = weight.shape
        taps = weight.permute(2, 0, 1).unflatten(0, (2, -1))  # (2, r, in, out): those of this step, of the one before
        return taps.flip(0).transpose(1, 2).reshape(2, in_channels, -1)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        batch, time, _ = hidden_states.shape
        padded = F.pad(hidden_states, (0, 0, 1, 1))
        steps = adjacent_products(padded, self.weight, self.bias.repeat(self.stride))
        return steps.view(batch, -1, len(self.bias))[:, self.padding : self.padding + time * self.stride]


def adjacent_products(hidden_states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """`(batch, n + 1, in)` and `(2, in, out)` → `(batch, n, out)`: x[t] · weight[0] + x[t + 1] · weight[1] + bias."""
    earlier, later = hidden_states[:, :-1].flatten(0, 1), hidden_states[:, 1:].flatten(0, 1)
    product = torch.addmm(bias, earlier, weight[0])
    product.addmm_(later.to(product.dtype), weight[1].to(product.dtype))  # other dtypes under autocast
    return product.unflatten(0, (len(hidden_states), -1))


class LLMCodecResidualUnit(nn.Module):
    def __init__(self, channels: int, dilation: int, depthwise: bool):
        super().__init__()
        self.snake1 = LLMCodecSnake(channels)
        self.conv1 = LLMCodecConv(channels, channels, dilation=dilation, depthwise=depthwise)
        self.snake2 = LLMCodecSnake(channels)
        self.conv2 = LLMCodecConv(channels, channels, kernel_size=1)

    def forward(self, hidden_states: torch.Tensor, frame_mask: torch.BoolTensor | None = None) -> torch.Tensor:
        residual = self.snake1(zero_past_end(hidden_states, frame_mask))  # snake(0) = 0
        return hidden_states + self.conv2(self.snake2(self.conv1(residual)))


def residual_units(channels: int, depthwise: bool) -> nn.ModuleList:
    return nn.ModuleList(LLMCodecResidualUnit(channels, dilation, depthwise) for dilation in DILATIONS)


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.BoolTensor | None,
    scaling: float,
    **kwargs,
) -> tuple[torch.Tensor, torch.Tensor]:
    scores = query @ key.transpose(-1, -2) * scaling
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1)
    return (weights @ value).transpose(1, 2), weights


class LLMCodecLocalAttention(nn.Module):
    """Attention inside windows that do not overlap and do not see each other, plus the input."""

    def __init__(self, config: LLMCodecConfig, channels: int):
        super().__init__()
        self.config = config  # `set_attn_implementation` writes into it
        self.window_size = config.attn_window_size
        self.head_dim = config.attn_head_dim
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.out = nn.Linear(channels, channels, bias=False)

    def rotate(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Rotary embedding (arXiv 2104.09864), half-split, of `(…, window_size, head_dim)`; positions start at 0."""
        dtype = torch.promote_types(hidden_states.dtype, torch.float32)
        half = torch.arange(0, self.head_dim, 2, device=hidden_states.device, dtype=dtype)
        positions = torch.arange(self.window_size, device=hidden_states.device, dtype=dtype)
        angles = positions[:, None] * 10000.0 ** (-half / self.head_dim)
        cos, sin = angles.cos().to(hidden_states.dtype), angles.sin().to(hidden_states.dtype)
        first, second = hidden_states.chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    def forward(self, hidden_states: torch.Tensor, frame_mask: torch.BoolTensor | None = None) -> torch.Tensor:
        batch, frames, channels = hidden_states.shape
        missing = -frames % self.window_size  # only a decoder of a part of a window has missing frames
        if missing and frame_mask is None:
            frame_mask = hidden_states.new_ones(batch, frames, dtype=torch.bool)
        windows = F.pad(hidden_states, (0, 0, 0, missing)).reshape(-1, self.window_size, channels)
        query, key, value = (
            x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for x in self.qkv(self.norm(windows)).chunk(3, dim=-1)
        )
        attn_mask = None
        if frame_mask is not None:
            # frames past the end are no keys; they see themselves, so that their own softmax stays finite
            attn_mask = F.pad(frame_mask, (0, missing)).reshape(-1, 1, 1, self.window_size)
            attn_mask = attn_mask | torch.eye(self.window_size, device=attn_mask.device, dtype=torch.bool)
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        scaling = self.head_dim**-0.5
        attended, _ = attention(
            self, self.rotate(query), self.rotate(key), value, attn_mask, scaling=scaling, is_causal=False
        )
        attended = self.out(attended.flatten(-2))
        return hidden_states + attended.reshape(batch, -1, channels)[:, :frames]


class LLMCodecBlock(GradientCheckpointingLayer):
    """
    What encoder and decoder blocks share: both change the rate by `stride`, and both depend on no more than
    `BLOCK_REACH` steps at the higher rate, and one at the lower, on either side.
    """

    # Numbers in a tile: 4 MB that stay in a CPU's cache, so that a minute of audio takes 0.6 of the time.
    tile_size = 2**20

    stride: int
    input_steps: int
    output_steps: int

    def forward(
        self,
        hidden_states: torch.Tensor,
        frame_mask: torch.BoolTensor | None = None,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`(batch, input_steps · n, in)` → `(batch, output_steps · n, out)`, in tiles of n where they pay."""
        steps, reach = hidden_states.shape[1] // self.input_steps, math.ceil(BLOCK_REACH / self.stride) + 1
        size = max(self.tile_size // (self.channels * self.stride * len(hidden_states)), 4 * reach)
        size -= (size + 2 * reach) % max(DILATIONS)  # dilated convolutions then need not pad
        on_cpu = hidden_states.device.type == "cpu"
        if size >= steps or not on_cpu or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self.whole(hidden_states, frame_mask, noise)
        if frame_mask is not None:
            frame_mask = frame_mask.repeat_interleave(steps // frame_mask.shape[1], dim=1)
        tiles = []
        for start in range(0, steps, size):
            stop = min(start + size, steps)
            first, last = max(start - reach, 0), min(stop + reach, steps)
            tile = self.whole(
                hidden_states[:, first * self.input_steps : last * self.input_steps],
                None if frame_mask is None else frame_mask[:, first:last],
                None if noise is None else noise[:, first * self.output_steps : last * self.output_steps],
            )
            tiles.append(tile[:, (start - first) * self.output_steps : (stop - first) * self.output_steps])
        return torch.cat(tiles, dim=1)


class LLMCodecEncoderBlock(LLMCodecBlock):
    def __init__(self, channels: int, stride: int, depthwise: bool):
        super().__init__()
        self.channels, self.stride, self.input_steps, self.output_steps = channels, stride, stride, 1
        self.residual_units = residual_units(channels, depthwise)
        self.snake = LLMCodecSnake(channels)
        self.conv = LLMCodecDownsample(channels, 2 * channels, stride)

    def whole(self, hidden_states: torch.Tensor, frame_mask: torch.BoolTensor | None, noise: None) -> torch.Tensor:
        for unit in self.residual_units:
            hidden_states = unit(hidden_states, frame_mask)
        return self.conv(self.snake(zero_past_end(hidden_states, frame_mask)))


class LLMCodecEncoder(nn.Module):
    """`(batch, 1, samples)` → `(batch, latent_dim, frames)`."""

    def __init__(self, config: LLMCodecConfig):
        super().__init__()
        self.conv_in = LLMCodecConv(1, config.encoder_dim)
        self.blocks = nn.ModuleList(
            LLMCodecEncoderBlock(config.encoder_dim * 2**i, stride, config.depthwise)
            for i, stride in enumerate(config.encoder_rates)
        )
        self.attention = None
        if config.attn_window_size is not None:
            self.attention = LLMCodecLocalAttention(config, config.latent_dim)
        self.conv_out = LLMCodecConv(config.latent_dim, config.latent_dim, depthwise=config.depthwise)

    def forward(self, input_values: torch.Tensor, frame_mask: torch.BoolTensor | None = None) -> torch.Tensor:
        hidden_states = self.conv_in(zero_past_end(input_values.transpose(1, 2), frame_mask))
        for block in self.blocks:
            hidden_states = block(hidden_states, frame_mask)
        if self.attention is not None:
            hidden_states = self.attention(hidden_states, frame_mask)
        return self.conv_out(zero_past_end(hidden_states, frame_mask)).transpose(1, 2)


def position_noise(stream: int, length: int, device: torch.device, offset: int = 0) -> torch.Tensor:
    """
    Standard normal noise, `(length,)` in float32, that is a function of the sample's position alone, so an item's
    noise depends neither on its batch nor on where a chunk was cut.

    A counter-based generator: a hash of the position (lowbias32 by Chris Wellons, public domain), then Box-Muller.
    Products stay below 2^63, so int64 arithmetic is exact on every device.

    Args:
        stream (`int`): Number of an independent sequence; every noise block has its own.
        length (`int`): Number of samples.
        device (`torch.device`): Where to draw.
        offset (`int`): Position of the first sample.
    """
    position = torch.arange(offset, offset + length, device=device, dtype=torch.int64)

    def uniform(salt: int) -> torch.Tensor:
        x = (position + (2 * stream + salt) * 0x9E3779B9) & 0xFFFFFFFF
        for multiplier, shift in ((0x21F0AAAD, 16), (0x735A2D97, 15)):
            x = ((x ^ (x >> shift)) * multiplier) & 0xFFFFFFFF
        x = x ^ (x >> 15)
        return ((x >> 8).to(torch.float32) + 0.5) / 2**24  # 24 bits, never 0: its logarithm is finite

    return (-2 * uniform(0).log()).sqrt() * (2 * math.pi * uniform(1)).cos()


class LLMCodecNoiseBlock(nn.Module):
    """x + n · conv(x), with n the same for every channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = LLMCodecConv(channels, channels, kernel_size=1, bias=False)

    def forward(self, hidden_states: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(hidden_states, noise.to(hidden_states), self.conv(hidden_states))


class LLMCodecDecoderBlock(LLMCodecBlock):
    def __init__(self, channels: int, stride: int, depthwise: bool, noise: bool):
        super().__init__()
        self.channels, self.stride, self.input_steps, self.output_steps = channels // 2, stride, 1, stride
        self.snake = LLMCodecSnake(channels)
        self.conv = LLMCodecUpsample(channels, channels // 2, stride)
        self.noise = LLMCodecNoiseBlock(channels // 2) if noise else None
        self.residual_units = residual_units(channels // 2, depthwise)

    def whole(
        self, hidden_states: torch.Tensor, frame_mask: torch.BoolTensor | None, noise: torch.Tensor | None
    ) -> torch.Tensor:
        hidden_states = self.conv(self.snake(zero_past_end(hidden_states, frame_mask)))
        if noise is not None:
            hidden_states = self.noise(hidden_states, noise)
        for unit in self.residual_units:
            hidden_states = unit(hidden_states, frame_mask)
        return hidden_states


class LLMCodecDecoder(nn.Module):
    """`(batch, latent_dim, frames)` → `(batch, 1, samples)`."""

    def __init__(self, config: LLMCodecConfig):
        super().__init__()
        self.rates = config.decoder_rates
        if config.depthwise:
            self.conv_in = nn.Sequential(
                LLMCodecConv(config.latent_dim, config.latent_dim, depthwise=True),
                LLMCodecConv(config.latent_dim, config.decoder_dim, kernel_size=1),
            )
        else:
            self.conv_in = LLMCodecConv(config.latent_dim, config.decoder_dim)
        self.attention = None
        if config.attn_window_size is not None:
            self.attention = LLMCodecLocalAttention(config, config.decoder_dim)
        self.blocks = nn.ModuleList(
            LLMCodecDecoderBlock(config.decoder_dim // 2**i, stride, config.depthwise, config.noise)
            for i, stride in enumerate(config.decoder_rates)
        )
        last_dim = config.decoder_dim // 2 ** len(config.decoder_rates)
        self.snake = LLMCodecSnake(last_dim)
        self.conv_out = LLMCodecConv(last_dim, 1)

    def draw_noise(
        self, start: int, stop: int, device: torch.device, batch: int = 1, generator: torch.Generator | None = None
    ) -> list[torch.Tensor | None]:
        """The noise of every block for the frames `start … stop - 1`, each `(batch or 1, steps, 1)`."""
        noises, rate = [], 1
        for stream, block in enumerate(self.blocks):
            rate *= self.rates[stream]
            if block.noise is None:
                noises.append(None)
            elif generator is None:
                noises.append(position_noise(stream, (stop - start) * rate, device, start * rate)[None, :, None])
            else:
                size = (batch, (stop - start) * rate, 1)
                noises.append(torch.randn(size, generator=generator, device=generator.device))
        return noises

    def forward(
        self,
        latents: torch.Tensor,
        frame_mask: torch.BoolTensor | None = None,
        noises: list[torch.Tensor | None] | None = None,
    ) -> torch.Tensor:
        hidden_states = self.conv_in(zero_past_end(latents.transpose(1, 2), frame_mask))
        if self.attention is not None:
            hidden_states = self.attention(hidden_states, frame_mask)
        for block, noise in zip(self.blocks, noises or [None] * len(self.blocks)):
            hidden_states = block(hidden_states, frame_mask, noise)
        hidden_states = self.conv_out(self.snake(zero_past_end(hidden_states, frame_mask)))
        return zero_past_end(torch.tanh(hidden_states), frame_mask).transpose(1, 2)


class LLMCodecVectorQuantizer(nn.Module):
    """
    One layer: the nearest entry by cosine; its un-normalised vector is the output.

    The codebook is the language model's embedding table after the layer's projection. It is a frozen buffer and stays
    in float32 whatever the model's dtype: codes are an argmax over thousands of near neighbours.
    """

    # Latents compared at once: their scores, originally 25 MB, stay in a CPU's cache.
    latents_at_once = 192

    def __init__(self, stride: int, codebook_size: int, latent_dim: int):
        super().__init__()
        self.stride = stride
        # A product with each of these parts of the codebook, of 256 entries or more, takes half of the time of one
        # with the whole, where latents are few.
        self.parts = max(n for n in range(1, max(1, codebook_size // 256) + 1) if codebook_size % n == 0)
        self.register_buffer("codebook", torch.empty(codebook_size, latent_dim))
        # 1 / length of each entry, kept so that no call normalises the codebook again
        self.register_buffer("codebook_inverse_norm", torch.empty(codebook_size))

    @torch.no_grad()
    def set_codebook(self, codebook: torch.Tensor) -> None:
        """Takes `(codebook_size, latent_dim)` as the codebook."""
        init.copy_(self.codebook, codebook)
        init.copy_(self.codebook_inverse_norm, inverse_norm(codebook))

    def _apply(self, fn, recurse=True):
        # `model.half()` and `model.to(dtype)` move these buffers but leave their float32
        def keep_float32(tensor):
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(keep_float32, recurse)

    def nearest(
        self, latents: torch.Tensor, codebook: torch.Tensor | None = None
    ) -> tuple[torch.LongTensor, torch.Tensor]:
        """`(batch, latent_dim, steps)` → the nearest entries, of equally near ones the first, and by how much their
        cosine exceeds the second's, times the latent's length: both `(batch, steps)`."""
        batch, _, steps = latents.shape
        codebook, scale = (
            (self.codebook, self.codebook_inverse_norm) if codebook is None else (codebook, inverse_norm(codebook))
        )
        found = [
            self._nearest(block, codebook, scale)
            for block in latents.transpose(1, 2).reshape(batch * steps, -1).split(self.latents_at_once)
        ]
        codes, margins = (torch.cat(blocks).view(batch, steps) for blocks in zip(*found))
        return codes, margins

    def _nearest(
        self, latents: torch.Tensor, codebook: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.LongTensor, torch.Tensor]:
        entries = codebook.view(self.parts, -1, codebook.shape[1])
        # the length of a latent scales all its scores alike and changes no argmax
        scores = torch.bmm(latents.expand(self.parts, -1, -1), entries.transpose(1, 2))
        scores.mul_(scale.view(self.parts, 1, -1))
        bests, places = scores.max(dim=-1)  # in each part, (parts, latents)
        best, part = bests.max(dim=0, keepdim=True)
        codes = places.gather(0, part) + part * entries.shape[1]
        others = scores.scatter_(2, places[..., None], -torch.inf).amax(dim=(0, 2))
        second = torch.maximum(others, bests.scatter(0, part, -torch.inf).amax(dim=0))
        return codes[0], best[0] - second

    def lookup(self, codes: torch.LongTensor, codebook: torch.Tensor | None = None) -> torch.Tensor:
        """`(batch, steps)` → `(batch, latent_dim, steps)`; zeros where the code is −1."""
        codebook = self.codebook if codebook is None else codebook
        entries = F.embedding(codes.clamp(min=0), codebook).transpose(1, 2)
        return entries.masked_fill((codes < 0)[:, None], 0.0)


def inverse_norm(codebook: torch.Tensor) -> torch.Tensor:
    return 1.0 / codebook.detach().norm(dim=-1).clamp(min=1e-12)


class LLMCodecQuantizer(nn.Module):
    """Residual quantization over layers of different rates (SNAC, arXiv 2410.14411; here with frozen codebooks)."""

    def __init__(self, config: LLMCodecConfig):
        super().__init__()
        self.layers = nn.ModuleList(
            LLMCodecVectorQuantizer(stride, size, config.latent_dim)
            for stride, size in zip(config.vq_strides, config.codebook_sizes)
        )

    def encode(
        self,
        latents: torch.Tensor,
        frame_mask: torch.BoolTensor | None = None,
        codebooks: list[torch.Tensor] | None = None,
    ) -> tuple[list[torch.LongTensor], torch.BoolTensor]:
        """
        Args:
            latents: `(batch, latent_dim, frames)`.
            frame_mask: `(batch, frames)`, whole groups; codes outside are −1.
            codebooks: Entries to use in place of the layers' own.

        Returns:
            Codes a layer, each `(batch, steps)`, and the groups `(batch, groups)` in which rounding may have decided.
        """
        residual, ties = latents.float(), []
        rounding = ROUNDING * residual.norm(dim=1)
        codes = []
        with torch.autocast(latents.device.type, enabled=False):
            for k, layer in enumerate(self.layers):
                codebook = codebooks[k] if codebooks is not None else None
                pooled = pool(residual, layer.stride)
                layer_codes, margins = layer.nearest(pooled, codebook)
                ties.append(margins.repeat_interleave(layer.stride, dim=1) < rounding)
                if frame_mask is not None:
                    layer_codes = layer_codes.masked_fill(~frame_mask[:, :: layer.stride], -1)
                if k + 1 < len(self.layers):
                    entries = layer.lookup(layer_codes, codebook)
                    residual = residual - entries.repeat_interleave(layer.stride, dim=-1)
                codes.append(layer_codes)
        ties = torch.stack(ties).any(dim=0)
        if frame_mask is not None:
            ties = ties & frame_mask
        return codes, ties.unflatten(1, (-1, self.layers[0].stride)).any(dim=-1)

    def encode_exactly(self, latents: torch.Tensor) -> list[torch.LongTensor]:
        """Codes a layer of a few latents `(batch, latent_dim, frames)` in float64, compared in float64 with each of the
        entries that can be the nearest."""
        residual, codes = latents, []
        for layer in self.layers:
            pooled = pool(residual, layer.stride).transpose(1, 2)
            scores = (pooled.to(layer.codebook) @ layer.codebook.T) * layer.codebook_inverse_norm
            candidates = scores.topk(min(16, scores.shape[-1])).indices.sort().values
            entries = layer.codebook[candidates].double()
            scores = (entries * pooled[:, :, None]).sum(dim=-1) / entries.square().sum(dim=-1).sqrt()
            codes.append(candidates.gather(-1, scores.argmax(dim=-1, keepdim=True)).squeeze(-1))
            entries = layer.codebook[codes[-1]].to(residual).transpose(1, 2)
            residual = residual - entries.repeat_interleave(layer.stride, dim=-1)
        return codes

    def forward(
        self,
        latents: torch.Tensor,
        codes: list[torch.LongTensor],
        frame_mask: torch.BoolTensor | None = None,
        codebooks: list[torch.Tensor] | None = None,
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor, torch.Tensor]:
        """
        Args:
            latents: `(batch, latent_dim, frames)`.
            codes: What `encode` gave for them.
            frame_mask: As in `encode`.
            codebooks: As in `encode`; a trainer passes projections that learn.

        Returns:
            Entries a layer at the full frame rate (gradients pass straight through to the latents), commitment loss and
            codebook loss, each `(batch,)`.
        """
        residual = latents.float()
        layers, commitment_loss, codebook_loss = [], 0.0, 0.0
        with torch.autocast(latents.device.type, enabled=False):
            for k, layer in enumerate(self.layers):
                mask = None if frame_mask is None else frame_mask[:, :: layer.stride]
                pooled = pool(residual, layer.stride)
                entries = layer.lookup(codes[k], codebooks[k] if codebooks is not None else None)
                commitment_loss = commitment_loss + mean_squared_error(pooled, entries.detach(), mask)
                codebook_loss = codebook_loss + mean_squared_error(entries, pooled.detach(), mask)
                # straight through: exactly the entries forward, the identity backward
                entries = entries.detach() + (pooled - pooled.detach())
                entries = entries.repeat_interleave(layer.stride, dim=-1)
                residual = residual - entries
                layers.append(entries)
        return tuple(layers), commitment_loss, codebook_loss

    def decode(self, codes: tuple[torch.LongTensor, ...]) -> torch.Tensor:
        """Codes a layer, each `(batch, groups · n)`, → the sum of their entries, `(batch, latent_dim, frames)`."""
        return sum(
            layer.lookup(layer_codes).repeat_interleave(layer.stride, dim=-1)
            for layer, layer_codes in zip(self.layers, codes)
        )


def pool(latents: torch.Tensor, stride: int) -> torch.Tensor:
    """Means of every `stride` frames of `(batch, latent_dim, frames)`."""
    return latents if stride == 1 else latents.unflatten(-1, (-1, stride)).mean(dim=-1)


def mean_squared_error(x: torch.Tensor, y: torch.Tensor, mask: torch.BoolTensor | None) -> torch.Tensor:
    """Mean over channels and (unmasked) time of `(batch, channels, time)`, an item each."""
    error = (x - y).square().mean(dim=1)
    return error.mean(dim=-1) if mask is None else (error * mask).sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)


class LLMCodecPreTrainedModel(PreTrainedAudioTokenizerBase):
    config_class = LLMCodecConfig
    base_model_prefix = "llm_codec"
    main_input_name = "input_values"
    input_modalities = ("audio",)
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _keep_in_fp32_modules_strict = ["codebook", "codebook_inverse_norm"]
    _no_split_modules = ["LLMCodecEncoderBlock", "LLMCodecDecoderBlock", "LLMCodecLocalAttention"]

    @torch.no_grad()
    def _init_weights(self, module):
        if isinstance(module, (LLMCodecConv, LLMCodecDownsample, LLMCodecUpsample)):
            inputs = module.weight[0].numel() if isinstance(module, LLMCodecConv) else module.weight[..., 0].numel()
            init.uniform_(module.weight, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs))
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, LLMCodecSnake):
            init.ones_(module.alpha)
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, LLMCodecVectorQuantizer):
            init.normal_(module.codebook)
            init.copy_(module.codebook_inverse_norm, inverse_norm(module.codebook))


@auto_docstring(custom_intro="LLM-Codec: encodes 16 kHz audio in words and tokens of a language model, and decodes it.")
class LLMCodecModel(LLMCodecStreamingMixin, LLMCodecPreTrainedModel):
    # Seconds of audio that `encode` and `decode` compute at once unless told otherwise.
    chunk_length_s = 20.0

    def __init__(self, config: LLMCodecConfig):
        super().__init__(config)
        self.encoder = LLMCodecEncoder(config)
        self.quantizer = LLMCodecQuantizer(config)
        self.decoder = LLMCodecDecoder(config)
        self.post_init()

    # ---- Codes

    def split_layers(self, audio_codes: torch.LongTensor) -> tuple[torch.LongTensor, ...]:
        """`(batch, codes_per_group, groups)` → codes a layer in time order, each `(batch, groups · n)`."""
        rows = audio_codes.split(self.config.codes_per_layer, dim=1)
        return tuple(layer.transpose(1, 2).flatten(1) for layer in rows)

    def merge_layers(self, codes: tuple[torch.LongTensor, ...]) -> torch.LongTensor:
        """Codes a layer, each `(batch, groups · n)`, → `(batch, codes_per_group, groups)`."""
        rows = [layer.unflatten(1, (-1, n)).transpose(1, 2) for layer, n in zip(codes, self.config.codes_per_layer)]
        return torch.cat(rows, dim=1)

    def _latents_of(self, audio_codes: torch.LongTensor) -> torch.Tensor:
        return self.quantizer.decode(self.split_layers(audio_codes))

    def _check_codes(self, audio_codes: torch.Tensor, audio_codes_mask: torch.Tensor | None) -> None:
        expected = f"(batch, {self.config.codes_per_group}, groups)"
        if audio_codes.dim() != 3 or audio_codes.shape[1] != self.config.codes_per_group or not audio_codes.numel():
            raise ValueError(f"`audio_codes` must have the shape {expected}, got {tuple(audio_codes.shape)}.")
        if audio_codes.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"`audio_codes` must be integers (int64), got {audio_codes.dtype}.")
        expected = (audio_codes.shape[0], audio_codes.shape[2])
        if audio_codes_mask is not None and audio_codes_mask.shape != expected:
            raise ValueError(f"`audio_codes_mask` must have the shape {expected}, got {tuple(audio_codes_mask.shape)}.")
        if torch.compiler.is_compiling():
            return
        for k, (codes, size) in enumerate(zip(self.split_layers(audio_codes), self.config.codebook_sizes)):
            if codes.min() < -1 or codes.max() >= size:
                raise ValueError(
                    f"Codes of layer {k} must be 0 … {size - 1}, or −1 where masked; got {codes.min()} … {codes.max()}."
                )

    # ---- Padding

    def _check_audio(self, input_values: torch.Tensor) -> None:
        if input_values.dim() != 3 or input_values.shape[1] != 1 or not input_values.numel():
            raise ValueError(
                f"`input_values` must be mono audio of the shape (batch, 1, samples), got {tuple(input_values.shape)}."
            )
        if not input_values.is_floating_point():
            raise ValueError(f"`input_values` must be floating-point audio in −1 … 1, got {input_values.dtype}.")
        if not torch.compiler.is_compiling() and not input_values.isfinite().all():
            raise ValueError("`input_values` holds NaN or infinite samples; clean the audio first.")

    def _check_padding_mask(self, mask: torch.Tensor, input_values: torch.Tensor) -> None:
        expected = (input_values.shape[0], input_values.shape[2])
        if mask.shape != expected:
            raise ValueError(f"`padding_mask` must have the shape {expected}, got {tuple(mask.shape)}.")

    def _prepare_audio(
        self, input_values: torch.Tensor, padding_mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.BoolTensor | None]:
        """Checks audio, moves it to the left of its padding, and pads to whole groups and windows.

        Returns:
            Audio `(batch, 1, samples)` and the mask `(batch, frames)` of each item's own padded length.
        """
        self._check_audio(input_values)
        multiple = self.config.pad_to_multiple_of
        batch, _, samples = input_values.shape
        frame_mask = None
        if padding_mask is not None:
            mask = padding_mask.reshape(batch, -1).bool()
            self._check_padding_mask(mask, input_values)
            lengths = mask.sum(dim=1)
            start = mask.int().argmax(dim=1)  # samples of left padding
            position = torch.arange(samples, device=mask.device)
            if not torch.compiler.is_compiling():
                if (lengths == 0).any():
                    raise ValueError("`padding_mask` masks every sample of an item; leave the item out of the batch.")
                if not mask.gather(1, (start[:, None] + position).clamp(max=samples - 1))[
                    length_mask(lengths, samples)
                ].all():
                    raise ValueError("`padding_mask` must be 1 on one run of samples an item, with padding at one end.")
            if torch.compiler.is_compiling() or start.any():
                input_values = input_values.gather(2, ((start[:, None] + position) % samples)[:, None])
            input_values = input_values.masked_fill(~length_mask(lengths, samples)[:, None], 0.0)
            frames = -(-samples // multiple) * multiple // self.config.hop_length
            frame_mask = length_mask(-(-lengths // multiple) * multiple // self.config.hop_length, frames)
        return F.pad(input_values, (0, -samples % multiple)), frame_mask

    def _group_mask(self, frame_mask: torch.BoolTensor | None, audio_codes: torch.Tensor) -> torch.LongTensor:
        if frame_mask is None:
            return torch.ones_like(audio_codes[:, 0])
        return frame_mask[:, :: self.config.vq_strides[0]].long()

    # ---- Chunks

    def _chunks(self, frames: int, chunk_length_s: float | None) -> list[tuple[int, int]]:
        """The first frame of each chunk, and the one after its last."""
        if chunk_length_s is None:
            chunk_length_s = self.chunk_length_s
        elif not chunk_length_s > 0:
            raise ValueError(f"`chunk_length_s` must be a positive number of seconds, got {chunk_length_s}.")
        group = self.config.vq_strides[0]
        size = max(1, int(min(chunk_length_s * self.config.frame_rate, frames)) // group) * group
        return [(start, min(start + size, frames)) for start in range(0, frames, size)]

    def _encode_frames(
        self, input_values: torch.Tensor, frame_mask: torch.BoolTensor | None, start: int, stop: int
    ) -> tuple[list[torch.LongTensor], torch.Tensor]:
        """Codes a layer and latents of the frames `start … stop - 1` of prepared audio."""
        latents = self._latents(self.encoder, input_values.to(self.dtype), frame_mask, start, stop)
        mask = None if frame_mask is None else frame_mask[:, start:stop]
        codes, ties = self.quantizer.encode(latents, mask)
        if torch.compiler.is_compiling() or latents.dtype != torch.float32:
            return codes, latents
        group = self.config.vq_strides[0]
        for item, position in ties.nonzero().tolist():
            length = input_values.shape[-1] if frame_mask is None else frame_mask[item].sum() * self.config.hop_length
            audio, first = input_values[item : item + 1, :, :length].double(), start + position * group
            exact = self.quantizer.encode_exactly(
                self._latents(self._float64_encoder, audio, None, first, first + group)
            )
            for k, layer in enumerate(self.quantizer.layers):
                n = group // layer.stride
                codes[k][item, position * n : (position + 1) * n] = exact[k][0]
        return codes, latents

    def _latents(
        self, encoder, input_values: torch.Tensor, frame_mask: torch.BoolTensor | None, start: int, stop: int
    ) -> torch.Tensor:
        """The latent frames `start … stop - 1`, of as much audio as they depend on."""
        hop, window = self.config.hop_length, self.config.pad_to_multiple_of
        first, last = self.config.encoder_span(start, stop)
        first, last = max(first // window * window, 0), min(-(-last // window) * window, input_values.shape[-1])
        mask = None if frame_mask is None else frame_mask[:, first // hop : last // hop]
        return encoder(input_values[..., first:last], mask)[..., start - first // hop : stop - first // hop]

    def _float64_encoder(self, input_values: torch.Tensor, frame_mask: None) -> torch.Tensor:
        device_type = input_values.device.type
        weights = {name: parameter.detach().double() for name, parameter in self.encoder.named_parameters()}
        with torch.autocast(device_type, enabled=False):
            return torch.func.functional_call(self.encoder, weights, (input_values, frame_mask))

    def _decode_frames(
        self,
        source: torch.Tensor,
        frame_mask: torch.BoolTensor | None,
        start: int,
        stop: int,
        noise: bool,
        noises: list[torch.Tensor | None] | None = None,
        offset: int = 0,
    ) -> torch.Tensor:
        """
        Audio of the frames `start … stop - 1` of codes or latents, before which `offset` frames were dropped. The noise
        is the positions' own, unless `noises` has that of all frames.
        """
        hop, window, group = self.config.hop_length, self.config.pad_to_multiple_of, self.config.vq_strides[0]
        frames = source.shape[-1] if source.is_floating_point() else source.shape[-1] * group
        window //= hop
        first, last = self.config.decoder_span(start * hop, stop * hop)
        first, last = max(first // window * window, 0), min(-(-last // window) * window, frames)
        if source.is_floating_point():
            latents = source[..., first:last]
        else:
            latents = self._latents_of(source[..., first // group : last // group])
        if noise and noises is None:
            noises = self.decoder.draw_noise(offset + first, offset + last, latents.device)
        elif noises is not None:
            steps = [0 if n is None else n.shape[1] // frames for n in noises]
            noises = [n if n is None else n[:, first * step : last * step] for n, step in zip(noises, steps)]
        mask = None if frame_mask is None else frame_mask[:, first:last]
        audio_values = self.decoder(latents.to(self.dtype), mask, noises)
        return audio_values[..., (start - first) * hop : (stop - first) * hop]

    # ---- Encode, decode

    @can_return_tuple
    def encode(
        self,
        input_values: torch.FloatTensor,
        padding_mask: torch.LongTensor | None = None,
        output_latents: bool = False,
        chunk_length_s: float | None = None,
    ) -> tuple | LLMCodecEncoderOutput:
        r"""
        Encodes audio. An item's codes depend neither on its batch nor on chunks: where float32 cannot tell which of two
        entries is nearer, float64 decides (unless compiled, or in half precision).

        That holds in float32 proper: on a GPU, set `torch.backends.cudnn.allow_tf32 = False` for it.

        Args:
            input_values (`torch.FloatTensor` of shape `(batch_size, 1, samples)`):
                Mono audio at `config.sampling_rate`, in −1 … 1.
            padding_mask (`torch.LongTensor` of shape `(batch_size, samples)`, *optional*):
                1 for audio, 0 for padding on either side.
            output_latents (`bool`, *optional*, defaults to `False`):
                Whether to return the latents too.
            chunk_length_s (`float`, *optional*):
                Seconds encoded at once, which bound the memory; 20 by default. The codes are the same for every length.

        Returns:
            [`LLMCodecEncoderOutput`] or a tuple of its fields.

        Raises:
            ValueError: for audio of another shape, of integers, or with samples that are not finite.
        """
        input_values, frame_mask = self._prepare_audio(input_values, padding_mask)
        frames = input_values.shape[-1] // self.config.hop_length
        codes, latents = [], []
        for start, stop in self._chunks(frames, chunk_length_s):
            chunk_codes, chunk_latents = self._encode_frames(input_values, frame_mask, start, stop)
            codes.append(self.merge_layers(chunk_codes))
            if output_latents:
                latents.append(chunk_latents)
        audio_codes = torch.cat(codes, dim=-1)
        if output_latents:
            latents = torch.cat(latents, dim=-1)
            if frame_mask is not None:
                latents = latents.masked_fill(~frame_mask[:, None], 0.0)
        return LLMCodecEncoderOutput(
            audio_codes=audio_codes,
            audio_codes_mask=self._group_mask(frame_mask, audio_codes),
            latents=latents if output_latents else None,
        )

    def dequantize(self, audio_codes: torch.LongTensor) -> torch.FloatTensor:
        """Codes `(batch, codes_per_group, groups)` → the decoder's latents, `(batch, latent_dim, frames)`."""
        self._check_codes(audio_codes, None)
        return self._latents_of(audio_codes)

    @can_return_tuple
    def decode(
        self,
        audio_codes: torch.LongTensor | None = None,
        latents: torch.FloatTensor | None = None,
        audio_codes_mask: torch.LongTensor | None = None,
        noise: bool = True,
        generator: torch.Generator | None = None,
        length: int | None = None,
        chunk_length_s: float | None = None,
    ) -> tuple | LLMCodecDecoderOutput:
        r"""
        Decodes codes, or quantized latents. Deterministic unless a `generator` is given.

        Args:
            audio_codes (`torch.LongTensor` of shape `(batch_size, codes_per_group, groups)`, *optional*):
                Codes; −1 adds nothing, so that some layers decode alone. Without a mask, groups of nothing but −1 are
                taken as padding.
            latents (`torch.FloatTensor` of shape `(batch_size, latent_dim, frames)`, *optional*):
                Quantized latents in place of codes.
            audio_codes_mask (`torch.LongTensor` of shape `(batch_size, groups)`, *optional*):
                1 for the groups of an item, followed by 0 for padding; audio past them is zero.
            noise (`bool`, *optional*, defaults to `True`):
                Whether the noise blocks of the decoder add their noise.
            generator (`torch.Generator`, *optional*):
                Source of that noise; by default it is a fixed function of a sample's position.
            length (`int`, *optional*):
                Samples to return; by default all of the groups'.
            chunk_length_s (`float`, *optional*):
                Seconds decoded at once, which bound the memory; 20 by default. The audio is the same for every length,
                within float rounding.

        Returns:
            [`LLMCodecDecoderOutput`] or a tuple of its field.

        Raises:
            ValueError: for both or neither of `audio_codes` and `latents`, for codes out of range, for another shape,
                and for a `length` that the codes do not reach.
        """
        if (audio_codes is None) == (latents is None):
            raise ValueError("`decode` takes either `audio_codes` or `latents`, got both or neither.")
        if audio_codes is not None:
            self._check_codes(audio_codes, audio_codes_mask)
            if audio_codes_mask is None and not torch.compiler.is_compiling() and (audio_codes < 0).any():
                audio_codes_mask = (audio_codes >= 0).any(dim=1)
                if not audio_codes_mask.any(dim=1).all():
                    raise ValueError("An item of `audio_codes` is −1 throughout; leave it out of the batch.")
            batch, frames = len(audio_codes), audio_codes.shape[-1] * self.config.vq_strides[0]
        else:
            batch, frames = len(latents), latents.shape[-1]
        frame_mask = None
        if audio_codes_mask is not None:
            frame_mask = audio_codes_mask.bool().repeat_interleave(self.config.vq_strides[0], dim=1)
            if frame_mask.shape != (batch, frames):
                raise ValueError(
                    f"`audio_codes_mask` {tuple(audio_codes_mask.shape)} does not fit `latents` {tuple(latents.shape)}."
                )
        noises = None
        if noise and generator is not None:
            noises = self.decoder.draw_noise(0, frames, self.device, batch, generator)
        source = audio_codes if latents is None else latents
        audio_values = [
            self._decode_frames(source, frame_mask, start, stop, noise, noises)
            for start, stop in self._chunks(frames, chunk_length_s)
        ]
        audio_values = torch.cat(audio_values, dim=-1)
        if length is not None:
            if not 0 < length <= audio_values.shape[-1]:
                raise ValueError(
                    f"`length` must be 1 … {audio_values.shape[-1]}, the samples of the codes; got {length}."
                )
            audio_values = audio_values[..., :length]
        return LLMCodecDecoderOutput(audio_values=audio_values)

    @can_return_tuple
    @auto_docstring
    def forward(
        self,
        input_values: torch.FloatTensor,
        padding_mask: torch.LongTensor | None = None,
        noise: bool = True,
        generator: torch.Generator | None = None,
        codebooks: list[torch.Tensor] | None = None,
    ) -> tuple | LLMCodecOutput:
        r"""
        input_values (`torch.FloatTensor` of shape `(batch_size, 1, samples)`):
            Mono audio at `config.sampling_rate`, in −1 … 1.
        padding_mask (`torch.LongTensor` of shape `(batch_size, samples)`, *optional*):
            1 for audio, 0 for padding on either side. The output is padded on the right.
        noise (`bool`, *optional*, defaults to `True`):
            Whether the noise blocks of the decoder add their noise.
        generator (`torch.Generator`, *optional*):
            Source of that noise; by default it is a fixed function of a sample's position.
        codebooks (`list[torch.Tensor]`, *optional*):
            Codebooks to use in place of the model's own: a trainer passes projections that learn.
        """
        samples = input_values.shape[-1]
        input_values, frame_mask = self._prepare_audio(input_values, padding_mask)
        batch, frames = len(input_values), input_values.shape[-1] // self.config.hop_length
        if codebooks is None:
            codes, latents = self._encode_frames(input_values, frame_mask, 0, frames)
        else:
            latents = self.encoder(input_values.to(self.dtype), frame_mask)
            codes, _ = self.quantizer.encode(latents, frame_mask, codebooks)
        layers, commitment_loss, codebook_loss = self.quantizer(latents, codes, frame_mask, codebooks)
        noises = self.decoder.draw_noise(0, frames, self.device, batch, generator) if noise else None
        audio_values = self.decoder(sum(layers).to(self.dtype), frame_mask, noises)
        audio_codes = self.merge_layers(codes)
        return LLMCodecOutput(
            audio_values=audio_values[..., :samples],
            audio_codes=audio_codes,
            audio_codes_mask=self._group_mask(frame_mask, audio_codes),
            commitment_loss=commitment_loss,
            codebook_loss=codebook_loss,
            quantized_layers=layers,
        )


__all__ = ["LLMCodecModel", "LLMCodecPreTrainedModel"]
