# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What learns: the codec, its codebooks' projections, and those of the guidance."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from transformers.utils import logging

from ..modeling_llm_codec import LLMCodecModel
from ..quantizer_llm_codec import pool
from .code_usage import dead_code_loss
from .codebooks import ProjectedCodebooks, principal_components
from .guidance import Guidance
from .semantic_head import SemanticHead

logger = logging.get_logger(__name__)


class Learner(nn.Module):
    """
    One module of all that is trained by the reconstruction, so that accelerate sees one model.

    Args:
        model (`LLMCodecModel`): With fresh weights, or those to go on from. `fold()` makes it the trained model.
        codebooks (`ProjectedCodebooks`): A table per quantizer layer.
        guidance (`Guidance`, *optional*): Of a text encoder and a speech encoder.
        head (`SemanticHead`, *optional*): Predicts what Whisper hears from layer 0.
        semantic_gradient (`float`): Share of the decoder's gradient that reaches the channels which layer 0 has for
            itself, if it has any: their branch learns mainly by the head.
        frozen (`bool`): Whether the decoder learns alone: codes then stay what they are.
    """

    def __init__(
        self,
        model: LLMCodecModel,
        codebooks: ProjectedCodebooks,
        guidance: Guidance | None = None,
        head: SemanticHead | None = None,
        semantic_gradient: float = 1.0,
        frozen: bool = False,
    ):
        super().__init__()
        add_weight_norm(model)
        self.model, self.codebooks, self.guidance, self.head = model, codebooks, guidance, head
        self.semantic_gradient, self.frozen = semantic_gradient, frozen
        if frozen:
            self.requires_grad_(False)
            model.decoder.requires_grad_(True)
        # Per layer, of its channels, when the codebooks were fitted. Losses of latents are relative to it: what scale
        # the latents of an autoencoder come to have is chance, and would be the weight of these losses.
        self.latent_variance = [1.0] * len(codebooks.channels)

    @property
    def semantic_channels(self) -> int:
        """Number of latent channels that layer 0 has for itself; 0 if it has none."""
        own = self.codebooks.channels[0].stop
        return own if own < self.codebooks.latent_dim else 0

    def forward(
        self,
        audio: torch.Tensor,
        noises: list[torch.Tensor | None],
        quantize: bool = True,
        layers_kept: torch.LongTensor | None = None,
        dead: list[torch.LongTensor] | None = None,
        texts: list[str | None] | None = None,
        covers: list[float] | None = None,
        heard: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], tuple[torch.LongTensor, ...]]:
        """
        Args:
            audio: `(batch, 1, samples)`, whole attention windows.
            noises: The decoder's, as `draw_noise` gives them.
            quantize: Whether there is a quantizer between encoder and decoder.
            layers_kept: `(batch,)`, the number of layers that each item is decoded from; all by default.
            dead: Entries not in use, per layer.
            texts: What is said in each clip, for the guidance; without them there is none.
            covers: Which share of that text's audio the clip holds.
            heard: What the head is to predict, `(batch, width, groups)`; without it, there is no loss of the head.

        Returns:
            The reconstruction `(batch, 1, samples)`; the losses of the quantizer, the guidance and the head, without
            weights, each the mean over the items; the codes of every layer.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            latents, losses, codes = self.between(audio, quantize, layers_kept, dead, texts, covers, heard)
        return self.model.decoder(latents, noises=noises), {} if self.frozen else losses, codes

    def between(
        self,
        audio: torch.Tensor,
        quantize: bool,
        layers_kept: torch.LongTensor | None,
        dead: list[torch.LongTensor] | None,
        texts: list[str | None] | None,
        covers: list[float] | None,
        heard: torch.Tensor | None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], tuple[torch.LongTensor, ...]]:
        """What the decoder reads, `(batch, latent_dim, frames)`, and losses and codes as `forward` returns them."""
        latents = self.model.encoder(audio)
        if not quantize:
            return *self.unquantized(latents, heard), ()
        with torch.autocast(audio.device.type, enabled=False):
            layers, losses, codes = self.quantize(latents, dead)
        if heard is not None and self.head is not None:
            stride = self.model.quantizer.layers[0].stride
            losses["head"] = self.head(layers[0][:, self.codebooks.channels[0], ::stride], heard)
        if self.guidance is not None and texts is not None:
            losses |= self.guidance(layers, texts, covers, audio)
        if self.semantic_channels:
            layers = (scale_gradient(layers[0], self.semantic_gradient), *layers[1:])
        quantized = torch.stack(layers)
        if layers_kept is not None:
            kept = torch.arange(len(layers), device=audio.device)[:, None] < layers_kept
            quantized = quantized * kept[..., None, None]
        return quantized.sum(dim=0), losses, codes

    def unquantized(
        self, latents: torch.Tensor, heard: torch.Tensor | None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """
        What the decoder reads before there is a quantizer, and the head's loss.

        Channels that layer 0 has for itself are averaged over each group already: layer 0 will give no more.
        """
        own, stride = self.codebooks.channels[0], self.model.quantizer.layers[0].stride
        pooled, losses = pool(latents[:, own], stride), {}
        if heard is not None and self.head is not None:
            losses["head"] = self.head(pooled, heard)
        if self.semantic_channels:
            semantic = scale_gradient(pooled, self.semantic_gradient).repeat_interleave(stride, dim=-1)
            latents = torch.cat([semantic, latents[:, own.stop :]], dim=1)
        return latents, losses

    def quantize(
        self, latents: torch.Tensor, dead: list[torch.LongTensor] | None
    ) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor], tuple[torch.LongTensor, ...]]:
        """
        Quantizes, each layer in its own channels.

        Args:
            latents: `(batch, latent_dim, frames)`.
            dead: Entries not in use, per layer.

        Returns:
            The entries of each layer, `(batch, latent_dim, frames)`, straight through; the losses that keep latents and
            entries together, in variances of the latents; the codes of every layer.
        """
        residual = latents.float()
        layers, codes = [], []
        losses = {"commitment": 0.0, "codebook": 0.0} | ({} if dead is None else {"dead_code": 0.0})
        for k, layer in enumerate(self.model.quantizer.layers):
            pooled = pool(residual[:, self.codebooks.channels[k]], layer.stride)
            with torch.no_grad():
                codebook = self.codebooks.project(k)
                codes.append(layer.nearest(pooled, codebook)[0])
            # gradients reach entries in use alone, which are few: to project all with gradients took a third of a step
            used, places = codes[-1].unique(return_inverse=True)
            entries = layer.lookup(places, self.codebooks.project(k, used))
            losses["commitment"] += F.mse_loss(pooled, entries.detach()) / self.latent_variance[k]
            losses["codebook"] += F.mse_loss(entries, pooled.detach()) / self.latent_variance[k]
            if dead is not None:
                pulled = dead_code_loss(pooled, codebook, dead[k], partial(self.codebooks.project, k))
                losses["dead_code"] += pulled / self.latent_variance[k]
            # straight through: exactly the entries forward, the identity backward
            entries = entries.detach() + (pooled - pooled.detach())
            layers.append(self.codebooks.widen(k, entries.repeat_interleave(layer.stride, dim=-1), dim=1))
            residual = residual - layers[-1]
        return tuple(layers), losses, tuple(codes)

    def compile(self) -> None:
        """Compiles the activations, each of whose shapes gets a kernel of its own."""
        torch._dynamo.config.recompile_limit = 256
        for module in self.modules():
            if getattr(module, "compile_in_training", False):
                module.compile(dynamic=False)

    @torch.no_grad()
    def fit_codebooks(self, clips: list[torch.Tensor], rank: int) -> list[float]:
        """
        Fits every layer's projection to what it will quantize of these clips, each `(1, 1, samples)`.

        Returns:
            The share of the variance of what a layer quantizes that its entries explain, per layer.
        """
        model, layers, shares = self.model, self.model.quantizer.layers, []
        encode = lambda audio: self.unquantized(model.encoder(audio), None)[0]  # noqa: E731
        self.centre_latents(torch.cat([encode(audio) for audio in clips], dim=-1), rank)
        latents = torch.cat([encode(audio) for audio in clips], dim=-1)
        self.latent_variance = [latents[:, own].var(dim=(0, 2)).mean().item() for own in self.codebooks.channels]
        for k, layer in enumerate(layers):
            pooled = pool(latents[:, self.codebooks.channels[k]], layer.stride)
            self.codebooks.fit(k, pooled.transpose(1, 2).flatten(0, 1), rank)
            codebook = self.codebooks.project(k)
            entries = layer.lookup(layer.nearest(pooled, codebook)[0], codebook)
            left = pooled - entries
            latents = latents - self.codebooks.widen(k, entries.repeat_interleave(layer.stride, dim=-1), dim=1)
            shares.append(1 - (left.var(-1).sum() / pooled.var(-1).sum()).item())
        logger.info("Codebooks fitted; layers explain %s of the variance.", [round(share, 3) for share in shares])
        return shares

    def centre_latents(self, latents: torch.Tensor, rank: int) -> None:
        """
        Moves the latents' mean away from the origin, as far as they spread, and the decoder with it.

        Layers choose entries by cosine: around the origin layer 0 would see directions and no lengths. The mean goes
        where the leading components do not reach.

        Args:
            latents: `(batch, latent_dim, frames)`.
            rank: Number of the leading components.
        """
        flat = latents.transpose(1, 2).flatten(0, 1)
        # each part of the channels on its own, since its layers see the cosine of that part alone
        bounds = sorted({own.start for own in self.codebooks.channels} | {self.codebooks.latent_dim})
        parts = [flat[:, start:stop] for start, stop in zip(bounds, bounds[1:])]
        offset = torch.cat([away_from_origin(part, rank) for part in parts])
        if self.head is not None:
            self.head.shift_input(offset[self.codebooks.channels[0]])
        self.model.encoder.shift_output(offset)
        self.model.decoder.shift_input(offset)

    @torch.no_grad()
    def fold(self) -> LLMCodecModel:
        """The trained model in inference form: weight norm folded, codebooks projected in float64 and rounded once."""
        fold_weight_norm(self.model)
        projected = self.codebooks.double()()
        for layer, codebook in zip(self.model.quantizer.layers, projected):
            layer.set_codebook(codebook.float())
        return self.model.eval()


def away_from_origin(latents: torch.Tensor, rank: int) -> torch.Tensor:
    """What moves the mean of `(samples, channels)` as far from the origin as they spread, where the leading components
    do not reach: `(channels,)`."""
    mean, _, directions = principal_components(latents, min(rank, latents.shape[1] - 1, len(latents) - 1))
    away = F.normalize(mean - mean @ directions.T @ directions, dim=0)
    return away * latents.var(dim=0).sum().sqrt() - mean


def scale_gradient(values: torch.Tensor, share: float) -> torch.Tensor:
    """The values themselves, of whose gradient a share passes."""
    return values.detach() + share * (values - values.detach())


def add_weight_norm(model: nn.Module) -> None:
    """Weight normalization (arXiv 1602.07868) on every layer that names a dimension for it, as the original trains."""
    for module in list(model.modules()):
        if (dim := getattr(module, "weight_norm_dim", None)) is not None:
            parametrizations.weight_norm(module, dim=dim)


def fold_weight_norm(model: nn.Module) -> None:
    """Undoes `add_weight_norm`; the weights stay what they are."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
