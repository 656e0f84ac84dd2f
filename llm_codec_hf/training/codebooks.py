# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Codebooks made of a language model's token embeddings: the frozen tables, and the projections that learn."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


class ProjectedCodebooks(nn.Module):
    """
    A projection of a frozen embedding table per quantizer layer: `forward` gives the codebooks, `(entries,
    latent_dim)`.

    With `semantic_channels`, layer 0 quantizes the first latent channels alone and the other layers quantize the rest:
    entries are zero outside of their layer's channels. Cosine then sees no other channels, so the codec quantizes both
    parts side by side without knowing of it.

    Args:
        tables (`Sequence[torch.Tensor]`): `(entries, embedding_dim)` per layer. A word of several tokens is the mean of
            their rows.
        latent_dim (`int`): Channels of the codec's latents.
        semantic_channels (`int`): Number of the latents' first channels that layer 0 has for itself; with 0, every
            layer quantizes all channels.

    Attributes:
        channels (`list[slice]`): The latent channels of each layer.

    Raises:
        ValueError: If no channels are left for the other layers, or there is no other layer.
    """

    def __init__(self, tables: Sequence[torch.Tensor], latent_dim: int, semantic_channels: int = 0):
        super().__init__()
        if semantic_channels and not (0 < semantic_channels < latent_dim and len(tables) > 1):
            raise ValueError(
                f"`semantic_channels` ({semantic_channels}) must leave some of the {latent_dim} latent channels to "
                f"other layers than layer 0; the codec has {len(tables)} layer(s)."
            )
        self.latent_dim = latent_dim
        rest = slice(semantic_channels, latent_dim)
        self.channels = [slice(0, semantic_channels or latent_dim)] + [rest] * (len(tables) - 1)
        self.projections = nn.ModuleList(
            nn.Linear(table.shape[1], channels.stop - channels.start) for table, channels in zip(tables, self.channels)
        )
        for k, table in enumerate(tables):
            self.register_buffer(f"table_{k}", table.float(), persistent=False)

    def forward(self) -> list[torch.Tensor]:
        """The codebook of every layer as the codec takes it, `(entries, latent_dim)`."""
        return [self.widen(k, self.project(k), dim=1) for k in range(len(self.projections))]

    def project(self, layer: int, codes: torch.LongTensor | None = None) -> torch.Tensor:
        """The codebook of one layer, or the entries of some codes alone, in the layer's own channels."""
        table = self.get_buffer(f"table_{layer}")
        return self.projections[layer](table if codes is None else table[codes])

    def widen(self, layer: int, values: torch.Tensor, dim: int) -> torch.Tensor:
        """Values in a layer's own channels → in all channels of the latents, with zeros in the others."""
        channels = self.channels[layer]
        before, after = channels.start, self.latent_dim - channels.stop
        if not before and not after:
            return values
        dims_behind = values.dim() - 1 - dim
        return F.pad(values, (0, 0) * dims_behind + (before, after))

    @torch.no_grad()
    def fit(self, layer: int, latents: torch.Tensor, rank: int = 12) -> None:
        """
        Sets a layer's projection so that its entries are spread as the latents are.

        The table's leading principal components, whitened, are mapped to the latents' leading ones. A projection that
        starts at random leaves all but a few dozen entries unused for good: embeddings of a language model lie in a
        narrow cone, and thousands of entries do not cover a space of hundreds of dimensions, but cover a dozen.

        Args:
            layer: Number of the layer.
            latents: What the layer quantizes, `(samples, channels of the layer)`.
            rank: Components to map.
        """
        table, latents = self.get_buffer(f"table_{layer}").double(), latents.double()
        rank = min(rank, *table.shape, *latents.shape)
        mean, spread, components = principal_components(latents, rank)
        table_mean, table_spread, table_components = principal_components(table, rank)
        weight = (components.T * spread) @ (table_components / table_spread[:, None])
        self.projections[layer].weight.copy_(weight)
        self.projections[layer].bias.copy_(mean - weight @ table_mean)


def principal_components(samples: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean `(dim,)`, standard deviations `(rank,)` and directions `(rank, dim)` of `(samples, dim)`, largest first."""
    mean = samples.mean(dim=0)
    _, scale, directions = torch.linalg.svd(samples - mean, full_matrices=False)
    scale, directions = scale[:rank] / len(samples) ** 0.5, directions[:rank]
    # a decomposition leaves the signs to rounding; with their largest coordinate positive, all processes have the same
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    return mean, scale, directions * largest.sign()
