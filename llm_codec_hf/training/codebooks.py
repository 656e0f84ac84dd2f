# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Codebooks made of a language model's token embeddings: the frozen tables, and the projections that learn."""

from collections.abc import Sequence

import torch
from torch import nn


class ProjectedCodebooks(nn.Module):
    """
    A projection of a frozen embedding table a quantizer layer: `forward` gives the codebooks, `(entries, latent_dim)`.

    Args:
        tables (`Sequence[torch.Tensor]`): `(entries, embedding_dim)` a layer. A word of several tokens is the mean of
            their rows.
        latent_dim (`int`): Channels of the codec's latents.
    """

    def __init__(self, tables: Sequence[torch.Tensor], latent_dim: int):
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(table.shape[1], latent_dim) for table in tables)
        for k, table in enumerate(tables):
            self.register_buffer(f"table_{k}", table.float(), persistent=False)

    def forward(self) -> list[torch.Tensor]:
        return [self.project(k) for k in range(len(self.projections))]

    def project(self, layer: int, codes: torch.LongTensor | None = None) -> torch.Tensor:
        """The codebook of one layer, or the entries of some codes alone."""
        table = self.get_buffer(f"table_{layer}")
        return self.projections[layer](table if codes is None else table[codes])

    @torch.no_grad()
    def fit(self, layer: int, latents: torch.Tensor, rank: int = 12) -> None:
        """
        Sets a layer's projection so that its entries are spread as the latents are.

        The table's leading principal components, whitened, are mapped to the latents' leading ones. A projection that
        starts at random leaves all but a few dozen entries unused for good: embeddings of a language model lie in a
        narrow cone, and thousands of entries do not cover a space of hundreds of dimensions, but cover a dozen.

        Args:
            layer: Number of the layer.
            latents: What the layer quantizes, `(samples, latent_dim)`.
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
