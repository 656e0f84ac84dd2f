# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Residual quantization of latents with the projected embeddings of a language model."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from .configuration_llm_codec import LLMCodecConfig
from .layers_llm_codec import LLMCodecFloat32Buffers


class LLMCodecVectorQuantizer(LLMCodecFloat32Buffers):
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
        self.parts = most_parts(codebook_size)
        self.register_buffer("codebook", torch.empty(codebook_size, latent_dim))
        # 1 / length of each entry, kept so that no call normalises the codebook again
        self.register_buffer("codebook_inverse_norm", torch.empty(codebook_size))

    def initialize(self) -> None:
        init.normal_(self.codebook)
        init.copy_(self.codebook_inverse_norm, inverse_norm(self.codebook))

    @torch.no_grad()
    def set_codebook(self, codebook: torch.Tensor) -> None:
        """Takes `(codebook_size, latent_dim)` as the codebook."""
        init.copy_(self.codebook, codebook)
        init.copy_(self.codebook_inverse_norm, inverse_norm(codebook))

    def nearest(
        self, latents: torch.Tensor, codebook: torch.Tensor | None = None
    ) -> tuple[torch.LongTensor, torch.Tensor]:
        """`(batch, latent_dim, steps)` → index of the nearest entry (the lowest on a tie), and its margin,
        (best − second cosine) · length of the latent: both `(batch, steps)`."""
        batch, _, steps = latents.shape
        codebook, scale = (
            (self.codebook, self.codebook_inverse_norm) if codebook is None else (codebook, inverse_norm(codebook))
        )
        flat = latents.transpose(1, 2).reshape(batch * steps, -1)
        # an exported program takes any number of latents: it has no list of blocks of them
        blocks = [flat] if isinstance(steps, torch.SymInt) else flat.split(self.latents_at_once)
        found = [self._nearest(block, codebook, scale) for block in blocks]
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


def most_parts(codebook_size: int) -> int:
    """The greatest number of equal parts of a codebook that have 256 entries or more: found by pairs of divisors."""
    most = max(1, codebook_size // 256)
    small = [n for n in range(1, math.isqrt(codebook_size) + 1) if codebook_size % n == 0]
    return max(n for divisor in small for n in (divisor, codebook_size // divisor) if n <= most)


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
        rounding: float = 0.0,
    ) -> tuple[list[torch.LongTensor], torch.BoolTensor]:
        """
        Args:
            latents: `(batch, latent_dim, frames)`.
            frame_mask: `(batch, frames)`, whole groups; codes outside are −1.
            codebooks: Entries to use in place of the layers' own.
            rounding: Error of the latents relative to their length.

        Returns:
            Codes per layer, each `(batch, steps)`, and the groups `(batch, groups)` in which rounding may have decided.
        """
        residual, ties = latents.float(), []
        rounding = rounding * residual.norm(dim=1)
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
