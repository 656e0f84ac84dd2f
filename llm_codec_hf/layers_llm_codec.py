# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Encoder and decoder.

Layers work on `(batch, time, channels)`, where pointwise and strided convolutions are matrix products as they stand. A
batch gives each item what it gets alone, where zeros surround it: so whatever a layer computed past an item's own
length is set to zero again before the next layer that looks sideways.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_llm_codec import BLOCK_REACH, CONV_REACH, DILATIONS, KERNEL_SIZE, LLMCodecConfig


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
