# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Layers that encoders and decoders are made of.

They work on `(batch, time, channels)`, where pointwise and strided convolutions are matrix products as they stand. A
batch gives each item what it gets alone, where zeros surround it: so whatever a layer computed past an item's own
length is set to zero again before the next layer that looks sideways.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_llm_codec import LLMCodecConfig
from .geometry_llm_codec import CONV_REACH, KERNEL_SIZE


def length_mask(lengths: torch.LongTensor, size: int) -> torch.BoolTensor:
    """`(batch,)` lengths → `(batch, size)`, true inside each length."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def zero_past_end(hidden_states: torch.Tensor, frame_mask: torch.BoolTensor | None) -> torch.Tensor:
    """Zeroes `(batch, time, channels)` outside a mask of `(batch, frames)`; time is any whole multiple of frames."""
    if frame_mask is None:
        return hidden_states
    mask = frame_mask.repeat_interleave(hidden_states.shape[1] // frame_mask.shape[1], dim=1)
    return hidden_states.masked_fill(~mask[..., None], 0.0)


class LLMCodecFloat32Buffers(nn.Module):
    """A module whose own tensors stay in float32 whatever dtype the model is moved to."""

    def _apply(self, fn, recurse=True):
        # `model.half()` and `model.to(dtype)` move these tensors but leave their float32
        def keep_float32(tensor):
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(keep_float32, recurse)


def initialize_uniformly(module: nn.Module, inputs: int) -> None:
    """Draws a convolution's weight, of so many inputs per output, and sets its bias to zero."""
    init.uniform_(module.weight, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs))
    if module.bias is not None:
        init.zeros_(module.bias)


class LLMCodecSnake(nn.Module):
    """Snake, x + sin²(αx) / α, with one α per channel (arXiv 2006.08195)."""

    compile_in_training = True  # each of its shapes gets a kernel of its own

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def initialize(self) -> None:
        init.ones_(self.alpha)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        alpha = self.alpha.flatten()
        sine = (alpha * hidden_states).sin_()  # in place: these passes over memory are what Snake costs
        return torch.addcdiv(hidden_states, sine.square_(), alpha + 1e-9)


class LLMCodecConv(nn.Conv1d):
    """A convolution that keeps the length."""

    weight_norm_dim = 0

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

    def initialize(self) -> None:
        initialize_uniformly(self, self.weight[0].numel())

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
            if torch.compiler.is_compiling() or time % dilation:  # a program for any length asks for none
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

    def initialize(self) -> None:
        initialize_uniformly(self, self.weight[..., 0].numel())

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

    def initialize(self) -> None:
        initialize_uniformly(self, self.weight[..., 0].numel())

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
