# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""LLM-Codec: audio in words of a language model ("UniAudio 1.5", arXiv 2406.10056)."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init
from transformers.modeling_utils import PreTrainedAudioTokenizerBase
from transformers.utils import ModelOutput, auto_docstring, can_return_tuple

from .configuration_llm_codec import LLMCodecConfig


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


# ---- Masks. A batch gives each item what it gets alone, where zeros surround it: so whatever a layer computed past an
# ---- item's own length is set to zero again before the next convolution that looks sideways.


def length_mask(lengths: torch.LongTensor, size: int) -> torch.BoolTensor:
    """`(batch,)` lengths → `(batch, size)`, true inside each length."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def zero_past_end(hidden_states: torch.Tensor, frame_mask: torch.BoolTensor | None) -> torch.Tensor:
    """Zeroes `(batch, channels, time)` outside a mask of `(batch, frames)`; time is any whole multiple of frames."""
    if frame_mask is None:
        return hidden_states
    mask = frame_mask.repeat_interleave(hidden_states.shape[-1] // frame_mask.shape[-1], dim=-1)
    return hidden_states.masked_fill(~mask[:, None], 0.0)


class LLMCodecSnake(nn.Module):
    """Snake, x + sin²(αx) / α, with one α a channel (arXiv 2006.08195)."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return hidden_states + torch.sin(self.alpha * hidden_states).square() / (self.alpha + 1e-9)


class LLMCodecResidualUnit(nn.Module):
    def __init__(self, channels: int, dilation: int, groups: int):
        super().__init__()
        self.snake1 = LLMCodecSnake(channels)
        self.conv1 = nn.Conv1d(channels, channels, 7, dilation=dilation, padding=3 * dilation, groups=groups)
        self.snake2 = LLMCodecSnake(channels)
        self.conv2 = nn.Conv1d(channels, channels, 1)

    def forward(self, hidden_states: torch.Tensor, frame_mask: torch.BoolTensor | None = None) -> torch.Tensor:
        residual = self.snake1(zero_past_end(hidden_states, frame_mask))  # snake(0) = 0
        return hidden_states + self.conv2(self.snake2(self.conv1(residual)))


def residual_units(channels: int, depthwise: bool) -> nn.ModuleList:
    groups = channels if depthwise else 1
    return nn.ModuleList(LLMCodecResidualUnit(channels, dilation, groups) for dilation in (1, 3, 9))


class LLMCodecLocalAttention(nn.Module):
    """Attention inside windows that do not overlap and do not see each other, plus the input."""

    def __init__(self, channels: int, window_size: int, head_dim: int):
        super().__init__()
        self.window_size = window_size
        self.head_dim = head_dim
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.out = nn.Linear(channels, channels, bias=False)

    def rotate(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Rotary embedding (arXiv 2104.09864), half-split, of `(…, window_size, head_dim)`; positions start at 0."""
        half = torch.arange(0, self.head_dim, 2, device=hidden_states.device, dtype=torch.float32)
        positions = torch.arange(self.window_size, device=hidden_states.device, dtype=torch.float32)
        angles = positions[:, None] * 10000.0 ** (-half / self.head_dim)
        cos, sin = angles.cos().to(hidden_states.dtype), angles.sin().to(hidden_states.dtype)
        first, second = hidden_states.chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    def forward(self, hidden_states: torch.Tensor, frame_mask: torch.BoolTensor | None = None) -> torch.Tensor:
        batch, channels, frames = hidden_states.shape
        missing = -frames % self.window_size  # only a decoder of a part of a window has missing frames
        if missing and frame_mask is None:
            frame_mask = hidden_states.new_ones(batch, frames, dtype=torch.bool)
        windows = F.pad(hidden_states, (0, missing)).transpose(1, 2).reshape(-1, self.window_size, channels)
        query, key, value = (
            x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for x in self.qkv(self.norm(windows)).chunk(3, dim=-1)
        )
        attn_mask = None
        if frame_mask is not None:
            # frames past the end are no keys; they see themselves, so that their own softmax stays finite
            attn_mask = F.pad(frame_mask, (0, missing)).reshape(-1, 1, 1, self.window_size)
            attn_mask = attn_mask | torch.eye(self.window_size, device=attn_mask.device, dtype=torch.bool)
        attended = F.scaled_dot_product_attention(self.rotate(query), self.rotate(key), value, attn_mask=attn_mask)
        attended = self.out(attended.transpose(1, 2).flatten(-2))
        return hidden_states + attended.reshape(batch, -1, channels)[:, :frames].transpose(1, 2)


class LLMCodecEncoderBlock(nn.Module):
    def __init__(self, channels: int, stride: int, depthwise: bool):
        super().__init__()
        self.residual_units = residual_units(channels, depthwise)
        self.snake = LLMCodecSnake(channels)
        self.conv = nn.Conv1d(channels, 2 * channels, 2 * stride, stride=stride, padding=math.ceil(stride / 2))

    def forward(self, hidden_states: torch.Tensor, frame_mask: torch.BoolTensor | None = None) -> torch.Tensor:
        for unit in self.residual_units:
            hidden_states = unit(hidden_states, frame_mask)
        return self.conv(self.snake(zero_past_end(hidden_states, frame_mask)))


class LLMCodecEncoder(nn.Module):
    """`(batch, 1, samples)` → `(batch, latent_dim, frames)`."""

    def __init__(self, config: LLMCodecConfig):
        super().__init__()
        groups = config.latent_dim if config.depthwise else 1
        self.conv_in = nn.Conv1d(1, config.encoder_dim, 7, padding=3)
        self.blocks = nn.ModuleList(
            LLMCodecEncoderBlock(config.encoder_dim * 2**i, stride, config.depthwise)
            for i, stride in enumerate(config.encoder_rates)
        )
        self.attention = None
        if config.attn_window_size is not None:
            self.attention = LLMCodecLocalAttention(config.latent_dim, config.attn_window_size, config.attn_head_dim)
        self.conv_out = nn.Conv1d(config.latent_dim, config.latent_dim, 7, padding=3, groups=groups)

    def forward(self, input_values: torch.Tensor, frame_mask: torch.BoolTensor | None = None) -> torch.Tensor:
        hidden_states = self.conv_in(zero_past_end(input_values, frame_mask))
        for block in self.blocks:
            hidden_states = block(hidden_states, frame_mask)
        if self.attention is not None:
            hidden_states = self.attention(hidden_states, frame_mask)
        return self.conv_out(zero_past_end(hidden_states, frame_mask))


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

    def __init__(self, channels: int, stream: int):
        super().__init__()
        self.stream = stream
        self.conv = nn.Conv1d(channels, channels, 1, bias=False)

    def forward(self, hidden_states: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        batch, _, length = hidden_states.shape
        if generator is None:
            noise = position_noise(self.stream, length, hidden_states.device)
        else:
            noise = torch.randn((batch, 1, length), generator=generator, device=generator.device)
        return hidden_states + noise.to(hidden_states) * self.conv(hidden_states)


class LLMCodecDecoderBlock(nn.Module):
    def __init__(self, channels: int, stride: int, depthwise: bool, noise_stream: int | None):
        super().__init__()
        self.snake = LLMCodecSnake(channels)
        self.conv = nn.ConvTranspose1d(
            channels,
            channels // 2,
            2 * stride,
            stride=stride,
            padding=math.ceil(stride / 2),
            output_padding=stride % 2,
        )
        self.noise = None if noise_stream is None else LLMCodecNoiseBlock(channels // 2, noise_stream)
        self.residual_units = residual_units(channels // 2, depthwise)

    def forward(
        self,
        hidden_states: torch.Tensor,
        frame_mask: torch.BoolTensor | None = None,
        noise: bool = True,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        hidden_states = self.conv(self.snake(zero_past_end(hidden_states, frame_mask)))
        if noise and self.noise is not None:
            hidden_states = self.noise(hidden_states, generator)
        for unit in self.residual_units:
            hidden_states = unit(hidden_states, frame_mask)
        return hidden_states


class LLMCodecDecoder(nn.Module):
    """`(batch, latent_dim, frames)` → `(batch, 1, samples)`."""

    def __init__(self, config: LLMCodecConfig):
        super().__init__()
        if config.depthwise:
            self.conv_in = nn.Sequential(
                nn.Conv1d(config.latent_dim, config.latent_dim, 7, padding=3, groups=config.latent_dim),
                nn.Conv1d(config.latent_dim, config.decoder_dim, 1),
            )
        else:
            self.conv_in = nn.Conv1d(config.latent_dim, config.decoder_dim, 7, padding=3)
        self.attention = None
        if config.attn_window_size is not None:
            self.attention = LLMCodecLocalAttention(config.decoder_dim, config.attn_window_size, config.attn_head_dim)
        self.blocks = nn.ModuleList(
            LLMCodecDecoderBlock(config.decoder_dim // 2**i, stride, config.depthwise, i if config.noise else None)
            for i, stride in enumerate(config.decoder_rates)
        )
        last_dim = config.decoder_dim // 2 ** len(config.decoder_rates)
        self.snake = LLMCodecSnake(last_dim)
        self.conv_out = nn.Conv1d(last_dim, 1, 7, padding=3)

    def forward(
        self,
        latents: torch.Tensor,
        frame_mask: torch.BoolTensor | None = None,
        noise: bool = True,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        hidden_states = self.conv_in(zero_past_end(latents, frame_mask))
        if self.attention is not None:
            hidden_states = self.attention(hidden_states, frame_mask)
        for block in self.blocks:
            hidden_states = block(hidden_states, frame_mask, noise, generator)
        hidden_states = self.conv_out(self.snake(zero_past_end(hidden_states, frame_mask)))
        return zero_past_end(torch.tanh(hidden_states), frame_mask)


class LLMCodecVectorQuantizer(nn.Module):
    """
    One layer: the nearest entry by cosine; its un-normalised vector is the output.

    The codebook is the language model's embedding table after the layer's projection. It is a frozen buffer and stays
    in float32 whatever the model's dtype: codes are an argmax over thousands of near neighbours.
    """

    # Frames compared with the codebook at once: bounds the score matrix to 1024 × entries floats.
    block_size = 1024

    def __init__(self, stride: int, codebook_size: int, latent_dim: int):
        super().__init__()
        self.stride = stride
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

    def nearest(self, latents: torch.Tensor, codebook: torch.Tensor | None = None) -> torch.LongTensor:
        """`(batch, latent_dim, steps)` → `(batch, steps)`; of equally near entries the first."""
        batch, _, steps = latents.shape
        if codebook is None:
            codebook, scale = self.codebook, self.codebook_inverse_norm
        else:
            scale = inverse_norm(codebook)
        flat = latents.transpose(1, 2).reshape(batch * steps, -1)
        # the length of a latent scales all its scores alike and changes no argmax
        blocks = [((block @ codebook.T) * scale).argmax(dim=-1) for block in flat.split(self.block_size)]
        return torch.cat(blocks).view(batch, steps)

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

    def forward(
        self,
        latents: torch.Tensor,
        frame_mask: torch.BoolTensor | None = None,
        codebooks: list[torch.Tensor] | None = None,
    ) -> tuple[list[torch.LongTensor], tuple[torch.Tensor, ...], torch.Tensor, torch.Tensor]:
        """
        Args:
            latents: `(batch, latent_dim, frames)`.
            frame_mask: `(batch, frames)`, whole groups; codes outside are −1.
            codebooks: Entries to use in place of the layers' own: a trainer passes projections that learn.

        Returns:
            Codes a layer, entries a layer at the full frame rate (gradients pass straight through to the latents),
            commitment loss and codebook loss, each `(batch,)`.
        """
        residual = latents.float()
        codes, layers, commitment_loss, codebook_loss = [], [], 0.0, 0.0
        with torch.autocast(latents.device.type, enabled=False):
            for layer, codebook in zip(self.layers, codebooks or [None] * len(self.layers)):
                mask = None if frame_mask is None else frame_mask[:, :: layer.stride]
                pooled = F.avg_pool1d(residual, layer.stride)
                layer_codes = layer.nearest(pooled, codebook)
                if mask is not None:
                    layer_codes = layer_codes.masked_fill(~mask, -1)
                entries = layer.lookup(layer_codes, codebook)
                commitment_loss = commitment_loss + mean_squared_error(pooled, entries.detach(), mask)
                codebook_loss = codebook_loss + mean_squared_error(entries, pooled.detach(), mask)
                # straight through: exactly the entries forward, the identity backward
                entries = entries.detach() + (pooled - pooled.detach())
                entries = entries.repeat_interleave(layer.stride, dim=-1)
                residual = residual - entries
                codes.append(layer_codes)
                layers.append(entries)
        return codes, tuple(layers), commitment_loss, codebook_loss

    def decode(self, codes: tuple[torch.LongTensor, ...]) -> torch.Tensor:
        """Codes a layer, each `(batch, groups · n)`, → the sum of their entries, `(batch, latent_dim, frames)`."""
        return sum(
            layer.lookup(layer_codes).repeat_interleave(layer.stride, dim=-1)
            for layer, layer_codes in zip(self.layers, codes)
        )


def mean_squared_error(x: torch.Tensor, y: torch.Tensor, mask: torch.BoolTensor | None) -> torch.Tensor:
    """Mean over channels and (unmasked) time of `(batch, channels, time)`, an item each."""
    error = (x - y).square().mean(dim=1)
    return error.mean(dim=-1) if mask is None else (error * mask).sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)


class LLMCodecPreTrainedModel(PreTrainedAudioTokenizerBase):
    config_class = LLMCodecConfig
    base_model_prefix = "llm_codec"
    main_input_name = "input_values"
    input_modalities = ("audio",)
    _keep_in_fp32_modules_strict = ["codebook", "codebook_inverse_norm"]
    _no_split_modules = ["LLMCodecEncoderBlock", "LLMCodecDecoderBlock", "LLMCodecLocalAttention"]

    @torch.no_grad()
    def _init_weights(self, module):
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
            bound = 1 / math.sqrt(module.weight[0].numel())
            init.uniform_(module.weight, -bound, bound)
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
class LLMCodecModel(LLMCodecPreTrainedModel):
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

    # ---- Padding: all of its arithmetic is here

    def _prepare_audio(
        self, input_values: torch.Tensor, padding_mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.BoolTensor | None]:
        """Checks audio, moves it to the left of its padding, and pads to whole groups and windows.

        Returns:
            Audio `(batch, 1, samples)` and the mask `(batch, frames)` of each item's own padded length.
        """
        if input_values.dim() != 3 or input_values.shape[1] != 1 or not input_values.numel():
            raise ValueError(
                f"`input_values` must be mono audio of the shape (batch, 1, samples), got {tuple(input_values.shape)}."
            )
        if not input_values.is_floating_point():
            raise ValueError(f"`input_values` must be floating-point audio in −1 … 1, got {input_values.dtype}.")
        if not torch.compiler.is_compiling() and not input_values.isfinite().all():
            raise ValueError("`input_values` holds NaN or infinite samples; clean the audio first.")
        multiple = self.config.pad_to_multiple_of
        batch, _, samples = input_values.shape
        frame_mask = None
        if padding_mask is not None:
            mask = padding_mask.reshape(batch, -1).bool()
            if mask.shape[1] != samples:
                raise ValueError(
                    f"`padding_mask` must have the shape {(batch, samples)}, got {tuple(padding_mask.shape)}."
                )
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
            moved = input_values.gather(2, ((start[:, None] + position) % samples)[:, None])
            input_values = moved.masked_fill(~length_mask(lengths, samples)[:, None], 0.0)
            frames = -(-samples // multiple) * multiple // self.config.hop_length
            frame_mask = length_mask(-(-lengths // multiple) * multiple // self.config.hop_length, frames)
        return F.pad(input_values, (0, -samples % multiple)), frame_mask

    def _group_mask(self, frame_mask: torch.BoolTensor | None, audio_codes: torch.Tensor) -> torch.LongTensor:
        if frame_mask is None:
            return torch.ones_like(audio_codes[:, 0])
        return frame_mask[:, :: self.config.vq_strides[0]].long()

    # ---- Encode, decode

    @can_return_tuple
    def encode(
        self,
        input_values: torch.FloatTensor,
        padding_mask: torch.LongTensor | None = None,
        output_latents: bool = False,
    ) -> tuple | LLMCodecEncoderOutput:
        r"""
        Encodes audio.

        Args:
            input_values (`torch.FloatTensor` of shape `(batch_size, 1, samples)`):
                Mono audio at `config.sampling_rate`, in −1 … 1.
            padding_mask (`torch.LongTensor` of shape `(batch_size, samples)`, *optional*):
                1 for audio, 0 for padding on either side.
            output_latents (`bool`, *optional*, defaults to `False`):
                Whether to return the latents too.

        Returns:
            [`LLMCodecEncoderOutput`] or a tuple of its fields.

        Raises:
            ValueError: for audio of another shape, of integers, or with samples that are not finite.
        """
        input_values, frame_mask = self._prepare_audio(input_values, padding_mask)
        latents = self.encoder(input_values.to(self.dtype), frame_mask)
        codes, *_ = self.quantizer(latents, frame_mask)
        audio_codes = self.merge_layers(codes)
        return LLMCodecEncoderOutput(
            audio_codes=audio_codes,
            audio_codes_mask=self._group_mask(frame_mask, audio_codes),
            latents=zero_past_end(latents, frame_mask) if output_latents else None,
        )

    def dequantize(self, audio_codes: torch.LongTensor) -> torch.FloatTensor:
        """Codes `(batch, codes_per_group, groups)` → the decoder's latents, `(batch, latent_dim, frames)`."""
        self._check_codes(audio_codes, None)
        return self.quantizer.decode(self.split_layers(audio_codes))

    @can_return_tuple
    def decode(
        self,
        audio_codes: torch.LongTensor | None = None,
        latents: torch.FloatTensor | None = None,
        audio_codes_mask: torch.LongTensor | None = None,
        noise: bool = True,
        generator: torch.Generator | None = None,
        length: int | None = None,
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
            latents = self.quantizer.decode(self.split_layers(audio_codes))
        frame_mask = None
        if audio_codes_mask is not None:
            frame_mask = audio_codes_mask.bool().repeat_interleave(self.config.vq_strides[0], dim=1)
            if frame_mask.shape != (latents.shape[0], latents.shape[2]):
                raise ValueError(
                    f"`audio_codes_mask` {tuple(audio_codes_mask.shape)} does not fit `latents` {tuple(latents.shape)}."
                )
        audio_values = self.decoder(latents.to(self.dtype), frame_mask, noise, generator)
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
        latents = self.encoder(input_values.to(self.dtype), frame_mask)
        codes, layers, commitment_loss, codebook_loss = self.quantizer(latents, frame_mask, codebooks)
        audio_values = self.decoder(sum(layers).to(self.dtype), frame_mask, noise, generator)
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
