# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
A second, plain implementation of the codec to check conversions against. It computes on the original's own tensors
under their own names, weight norm and embedding tables included, and shares no code with the conversion or with
`LLMCodecModel`.
"""

import math

import torch
import torch.nn.functional as F

# Rows of an embedding table projected at once.
_BLOCK_ROWS = 4096


class ReferenceCodec:
    """
    The codec over an original state dict, for one clip at a time.

    Args:
        options (`dict`): The original's options.
        state (`dict[str, torch.Tensor]`): The original's state dict.
        dtype (`torch.dtype`): What to compute in.
    """

    def __init__(self, options: dict, state: dict[str, torch.Tensor], dtype: torch.dtype = torch.float64):
        self.options = options
        self.state = state
        self.dtype = dtype

    # ---- Building blocks, each called by the name of the original's module

    def tensor(self, name: str) -> torch.Tensor:
        return self.state[name].to(self.dtype)

    def weight(self, name: str) -> torch.Tensor:
        direction = self.tensor(f"{name}.weight_v")
        lengths = direction.flatten(1).pow(2).sum(dim=1).sqrt()
        return self.tensor(f"{name}.weight_g") * direction / lengths[:, None, None]

    def conv(self, name: str, x: torch.Tensor, **kwargs) -> torch.Tensor:
        weight = self.weight(name)
        return F.conv1d(x, weight, self.tensor(f"{name}.bias"), groups=x.shape[1] // weight.shape[1], **kwargs)

    def snake(self, name: str, x: torch.Tensor) -> torch.Tensor:
        alpha = self.tensor(f"{name}.alpha")
        return x + torch.sin(alpha * x) ** 2 / (alpha + 1e-9)

    def residual_units(self, name: str, first: int, x: torch.Tensor) -> torch.Tensor:
        for i, dilation in enumerate((1, 3, 9)):
            unit = f"{name}.{first + i}.block"
            y = self.conv(f"{unit}.1", self.snake(f"{unit}.0", x), dilation=dilation, padding=3 * dilation)
            x = x + self.conv(f"{unit}.3", self.snake(f"{unit}.2", y))
        return x

    def attention(self, name: str, x: torch.Tensor) -> torch.Tensor:
        frequencies, window = self.tensor(f"{name}.rel_pos.inv_freq"), self.options["attn_window_size"]
        turns = torch.polar(torch.ones((), dtype=self.dtype), torch.arange(window)[:, None] * frequencies)

        def rotated(heads: torch.Tensor) -> torch.Tensor:  # pairs (i, i + half) as complex numbers
            product = torch.complex(*heads.chunk(2, dim=-1)) * turns
            return torch.cat([product.real, product.imag], dim=-1)

        _, channels, frames = x.shape
        normed = F.layer_norm(x[0].T, (channels,), self.tensor(f"{name}.norm.weight"), self.tensor(f"{name}.norm.bias"))
        projected = normed @ self.tensor(f"{name}.to_qkv.weight").T
        # (query, key or value; window; head; frame; channel)
        split = projected.reshape(frames // window, window, 3, -1, 2 * len(frequencies)).permute(2, 0, 3, 1, 4)
        query, key, value = rotated(split[0]), rotated(split[1]), split[2]
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        mixed = (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(frames, channels)
        return x + (mixed @ self.tensor(f"{name}.to_out.weight").T).T

    # ---- The codec

    def encode(self, audio: torch.Tensor) -> torch.Tensor:
        """Latents `(1, channels, frames)` of whole windows of audio `(samples,)`."""
        x = self.conv("encoder.block.0", audio.to(self.dtype).reshape(1, 1, -1), padding=3)
        rates = self.options["encoder_rates"]
        for i, rate in enumerate(rates, start=1):
            x = self.snake(f"encoder.block.{i}.block.3", self.residual_units(f"encoder.block.{i}.block", 0, x))
            x = self.conv(f"encoder.block.{i}.block.4", x, stride=rate, padding=math.ceil(rate / 2))
        last = len(rates) + 1
        if self.options["attn_window_size"] is not None:
            x = self.attention(f"encoder.block.{last}", x)
            last += 1
        return self.conv(f"encoder.block.{last}", x, padding=3)

    def quantize(self, latents: torch.Tensor, codes: list[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """
        Judges codes of another implementation. Each layer starts from the residual that these very codes leave, so a
        tie that rounding decides otherwise in one layer tells nothing about the next ones.

        Args:
            latents (`torch.Tensor` of shape `(1, channels, frames)`): What was quantized.
            codes (`list[torch.Tensor]`): Codes a layer, in time order.

        Returns:
            The sum of the codes' entries at the frame rate, `(1, channels, frames)`, and, a layer each, how far every
            code's cosine is below that of the nearest entry.
        """
        residual = latents.to(self.dtype)
        total, deficits = torch.zeros_like(residual), []
        for k, (stride, chosen) in enumerate(zip(self.options["vq_strides"], codes)):
            name = f"quantizer.quantizers.{k}"
            weight, bias = self.tensor(f"{name}.cb_proj.weight"), self.tensor(f"{name}.cb_proj.bias")
            table = self.state[f"{name}.codebook.weight"]
            pooled = F.normalize(residual[0].unflatten(-1, (-1, stride)).mean(dim=-1).T, dim=-1)
            best = torch.full((len(chosen),), -math.inf, dtype=self.dtype)
            for rows in table.split(_BLOCK_ROWS):
                cosines = pooled @ F.normalize(rows.to(self.dtype) @ weight.T + bias, dim=-1).T
                best = torch.maximum(best, cosines.amax(dim=-1))
            entries = table[chosen].to(self.dtype) @ weight.T + bias
            deficits.append(best - (pooled * F.normalize(entries, dim=-1)).sum(dim=-1))
            entries = entries.T.repeat_interleave(stride, dim=-1)[None]
            residual, total = residual - entries, total + entries
        return total, deficits

    def decode(self, quantized: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Audio `(samples,)` of what `quantize` gives, with the noise of a generator if the codec has noise."""
        x = self.conv("decoder.model.0", quantized.to(self.dtype), padding=3)
        position = 1
        if self.options["depthwise"]:
            x = self.conv("decoder.model.1", x)
            position += 1
        if self.options["attn_window_size"] is not None:
            x = self.attention(f"decoder.model.{position}", x)
            position += 1
        for i, rate in enumerate(self.options["decoder_rates"], start=position):
            block = f"decoder.model.{i}.block"
            x = F.conv_transpose1d(
                self.snake(f"{block}.0", x),
                self.weight(f"{block}.1"),
                self.tensor(f"{block}.1.bias"),
                stride=rate,
                padding=math.ceil(rate / 2),
                output_padding=rate % 2,
            )
            if self.options["noise"]:
                noise = torch.randn(1, 1, x.shape[-1], generator=generator)
                x = x + noise.to(x) * F.conv1d(x, self.weight(f"{block}.2.linear"))
            x = self.residual_units(block, 3 if self.options["noise"] else 2, x)
        position += len(self.options["decoder_rates"])
        return torch.tanh(
            self.conv(f"decoder.model.{position + 1}", self.snake(f"decoder.model.{position}", x), padding=3)
        ).flatten()
