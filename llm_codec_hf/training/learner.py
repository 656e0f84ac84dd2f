# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What learns: the codec, its codebooks' projections, and those of the guidance."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from transformers.utils import logging

from ..layers_llm_codec import LLMCodecConv, LLMCodecDownsample, LLMCodecSnake, LLMCodecUpsample
from ..modeling_llm_codec import LLMCodecModel
from ..quantizer_llm_codec import pool
from .code_usage import dead_code_loss
from .codebooks import ProjectedCodebooks, principal_components
from .guidance import Guidance

logger = logging.get_logger(__name__)


class Learner(nn.Module):
    """
    One module of all that is trained by the reconstruction, so that accelerate sees one model.

    Args:
        model (`LLMCodecModel`): With fresh weights, or those to go on from. `fold()` makes it the trained model.
        codebooks (`ProjectedCodebooks`): A table a quantizer layer.
        guidance (`Guidance`, *optional*): Of a text encoder and a speech encoder.
    """

    def __init__(self, model: LLMCodecModel, codebooks: ProjectedCodebooks, guidance: Guidance | None = None):
        super().__init__()
        add_weight_norm(model)
        self.model, self.codebooks, self.guidance = model, codebooks, guidance
        # Of a channel, when the codebooks were fitted. Losses of latents are relative to it: what scale the latents of
        # an autoencoder come to have is chance, and would be the weight of these losses.
        self.latent_variance = 1.0

    def forward(
        self,
        audio: torch.Tensor,
        noises: list[torch.Tensor | None],
        quantize: bool = True,
        layers_kept: torch.LongTensor | None = None,
        dead: list[torch.LongTensor] | None = None,
        texts: list[str | None] | None = None,
        covers: list[float] | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], tuple[torch.LongTensor, ...]]:
        """
        Args:
            audio: `(batch, 1, samples)`, whole attention windows.
            noises: The decoder's, as `draw_noise` gives them.
            quantize: Whether there is a quantizer between encoder and decoder.
            layers_kept: `(batch,)`, the number of layers that each item is decoded from; all by default.
            dead: Entries not in use, a layer each.
            texts: What is said in each clip, for the guidance; without them there is none.
            covers: Which share of that text's audio the clip holds.

        Returns:
            The reconstruction `(batch, 1, samples)`; the losses of the quantizer, without weights, each the mean over
            the items; the codes of every layer.
        """
        latents = self.model.encoder(audio)
        if not quantize:
            return self.model.decoder(latents, noises=noises), {}, ()
        with torch.autocast(audio.device.type, enabled=False):
            layers, losses, codes = self.quantize(latents, dead)
        if self.guidance is not None and texts is not None:
            losses |= self.guidance(layers, texts, covers, audio)
        quantized = torch.stack(layers)
        if layers_kept is not None:
            kept = torch.arange(len(layers), device=audio.device)[:, None] < layers_kept
            quantized = quantized * kept[..., None, None]
        return self.model.decoder(quantized.sum(dim=0), noises=noises), losses, codes

    def quantize(
        self, latents: torch.Tensor, dead: list[torch.LongTensor] | None
    ) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor], tuple[torch.LongTensor, ...]]:
        """Entries a layer, straight through, the losses that keep latents and entries together, and the codes."""
        quantizer = self.model.quantizer
        with torch.no_grad():
            codebooks = self.codebooks()
        codes, _ = quantizer.encode(latents, codebooks=codebooks)
        # gradients reach entries in use alone, which are few: to project all with gradients took a third of a step
        used = [layer_codes.unique(return_inverse=True) for layer_codes in codes]
        entries = [self.codebooks.project(k, numbers) for k, (numbers, _) in enumerate(used)]
        layers, commitment, codebook = quantizer(latents, [places for _, places in used], codebooks=entries)
        losses = {"commitment": commitment.mean(), "codebook": codebook.mean()}
        if dead is not None:
            residual, losses["dead_code"] = latents.detach().float(), 0.0
            for k, layer in enumerate(quantizer.layers):
                project = partial(self.codebooks.project, k)
                losses["dead_code"] += dead_code_loss(pool(residual, layer.stride), codebooks[k], dead[k], project)
                residual = residual - layers[k].detach()
        return layers, {name: loss / self.latent_variance for name, loss in losses.items()}, tuple(codes)

    def compile(self) -> None:
        """Compiles the activations, each of whose shapes gets a kernel of its own."""
        torch._dynamo.config.recompile_limit = 256
        for module in self.modules():
            if isinstance(module, LLMCodecSnake):
                module.compile(dynamic=False)

    @torch.no_grad()
    def fit_codebooks(self, clips: list[torch.Tensor], rank: int) -> list[float]:
        """
        Fits every layer's projection to what it will quantize of these clips, each `(1, 1, samples)`.

        Returns:
            The share of the variance of what a layer quantizes that its entries explain, a layer each.
        """
        model, layers, shares = self.model, self.model.quantizer.layers, []
        self.centre_latents(torch.cat([model.encoder(audio) for audio in clips], dim=-1), rank)
        latents = torch.cat([model.encoder(audio) for audio in clips], dim=-1)
        self.latent_variance = latents.var(dim=(0, 2)).mean().item()
        for k, layer in enumerate(layers):
            pooled = pool(latents, layer.stride)
            self.codebooks.fit(k, pooled.transpose(1, 2).flatten(0, 1), rank)
            codebook = self.codebooks.project(k)
            entries = layer.lookup(layer.nearest(pooled, codebook)[0], codebook)
            latents = latents - entries.repeat_interleave(layer.stride, dim=-1)
            shares.append(1 - (pool(latents, layer.stride).var(-1).sum() / pooled.var(-1).sum()).item())
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
        mean, _, directions = principal_components(flat, min(rank, flat.shape[1] - 1, len(flat) - 1))
        away = F.normalize(mean - mean @ directions.T @ directions, dim=0)
        offset = away * flat.var(dim=0).sum().sqrt() - mean
        self.model.encoder.conv_out.bias += offset
        first = self.model.decoder.conv_in
        convs = list(first) if isinstance(first, nn.Sequential) else [first]
        for conv in convs:
            # what the offset adds to the output of a convolution, taken from its bias at the last
            offset = F.conv1d(
                offset[None, :, None].expand(-1, -1, conv.kernel_size[0]), conv.weight, groups=conv.groups
            )
            offset = offset[0, :, 0]
        conv.bias -= offset

    @torch.no_grad()
    def fold(self) -> LLMCodecModel:
        """The trained model in inference form: weight norm folded, codebooks projected in float64 and rounded once."""
        fold_weight_norm(self.model)
        projected = self.codebooks.double()()
        for layer, codebook in zip(self.model.quantizer.layers, projected):
            layer.set_codebook(codebook.float())
        return self.model.eval()


def add_weight_norm(model: nn.Module) -> None:
    """Weight normalization (arXiv 1602.07868) on every convolution, as the original trains."""
    for module in list(model.modules()):
        if isinstance(module, (LLMCodecConv, LLMCodecDownsample, LLMCodecUpsample)):
            parametrizations.weight_norm(module, dim=getattr(module, "weight_norm_dim", 0))


def fold_weight_norm(model: nn.Module) -> None:
    """Undoes `add_weight_norm`; the weights stay what they are."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
