# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The original's encoder and decoder ("UniAudio 1.5", arXiv 2406.10056): Snake convolutions and local attention."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .backbone_llm_codec import LLMCodecDecoder, LLMCodecEncoder
from .configuration_llm_codec import LLMCodecConfig
from .geometry_llm_codec import BLOCK_REACH, DILATIONS
from .layers_llm_codec import (
    LLMCodecConv,
    LLMCodecDownsample,
    LLMCodecLocalAttention,
    LLMCodecSnake,
    LLMCodecUpsample,
    position_noise,
    zero_past_end,
)


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
            return self.forward_untiled(hidden_states, frame_mask, noise)
        if frame_mask is not None:
            frame_mask = frame_mask.repeat_interleave(steps // frame_mask.shape[1], dim=1)
        tiles = []
        for start in range(0, steps, size):
            stop = min(start + size, steps)
            first, last = max(start - reach, 0), min(stop + reach, steps)
            tile = self.forward_untiled(
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

    def forward_untiled(
        self, hidden_states: torch.Tensor, frame_mask: torch.BoolTensor | None, noise: None
    ) -> torch.Tensor:
        for unit in self.residual_units:
            hidden_states = unit(hidden_states, frame_mask)
        return self.conv(self.snake(zero_past_end(hidden_states, frame_mask)))


class LLMCodecConvEncoder(LLMCodecEncoder):
    """`(batch, 1, samples)` → `(batch, latent_dim, frames)`."""

    rounding = 2e-6  # three times what was measured

    def __init__(self, config: LLMCodecConfig):
        super().__init__(config)
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
        input_values = input_values.transpose(1, 2).to(self.conv_in.weight.dtype)
        hidden_states = self.conv_in(zero_past_end(input_values, frame_mask))
        for block in self.blocks:
            hidden_states = block(hidden_states, frame_mask)
        if self.attention is not None:
            hidden_states = self.attention(hidden_states, frame_mask)
        return self.conv_out(zero_past_end(hidden_states, frame_mask)).transpose(1, 2)

    @torch.no_grad()
    def shift_output(self, offset: torch.Tensor) -> None:
        self.conv_out.bias += offset


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

    def forward_untiled(
        self, hidden_states: torch.Tensor, frame_mask: torch.BoolTensor | None, noise: torch.Tensor | None
    ) -> torch.Tensor:
        hidden_states = self.conv(self.snake(zero_past_end(hidden_states, frame_mask)))
        if noise is not None:
            hidden_states = self.noise(hidden_states, noise)
        for unit in self.residual_units:
            hidden_states = unit(hidden_states, frame_mask)
        return hidden_states


class LLMCodecConvDecoder(LLMCodecDecoder):
    """`(batch, latent_dim, frames)` → `(batch, 1, samples)`."""

    def __init__(self, config: LLMCodecConfig):
        super().__init__(config)
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

    @torch.no_grad()
    def shift_input(self, offset: torch.Tensor) -> None:
        convs = list(self.conv_in) if isinstance(self.conv_in, nn.Sequential) else [self.conv_in]
        for conv in convs:
            # what the offset adds to the output of a convolution, taken from its bias at the last
            taps = offset[None, :, None].expand(-1, -1, conv.kernel_size[0])
            offset = F.conv1d(taps, conv.weight, groups=conv.groups)[0, :, 0]
        conv.bias -= offset
