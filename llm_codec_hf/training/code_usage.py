# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Which entries of the codebooks are in use, and a pull on those that are not."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F


class CodeUsage:
    """
    Counts codes of every layer.

    Args:
        sizes (`Sequence[int]`): Entries of each layer.
    """

    def __init__(self, sizes: Sequence[int], device: torch.device | str = "cpu"):
        # how often each entry was used since the last report, and how many codes ago it was used last
        self.counts = [torch.zeros(size, dtype=torch.long, device=device) for size in sizes]
        self.since = [torch.zeros(size, dtype=torch.long, device=device) for size in sizes]

    def count(self, codes: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Codes of each layer → how often each entry is among them."""
        return [torch.bincount(layer.flatten(), minlength=len(seen)) for layer, seen in zip(codes, self.counts)]

    def update(self, counts: Sequence[torch.Tensor]) -> None:
        """Takes note of the counts of a step, of all processes."""
        for layer, new in enumerate(counts):
            self.counts[layer] += new
            self.since[layer] = torch.where(new > 0, 0, self.since[layer] + new.sum())

    def dead(self, layer: int, after: float) -> torch.Tensor:
        """Entries that were not used during the layer's last `after * entries` codes."""
        return (self.since[layer] >= after * len(self.since[layer])).nonzero().squeeze(1)

    def report(self) -> dict[str, list]:
        """Entries used and perplexity (the number of entries that, used evenly, would carry as much) since the last
        report, per layer."""
        shares = [counts / counts.sum().clamp(min=1) for counts in self.counts]
        perplexity = [round(torch.special.entr(share).sum().exp().item(), 1) for share in shares]
        record = {"entries_used": [int((counts > 0).sum()) for counts in self.counts], "perplexity": perplexity}
        for counts in self.counts:
            counts.zero_()
        return record

    def tensors(self) -> dict[str, torch.Tensor]:
        """What a checkpoint keeps."""
        fields = {"counts": self.counts, "since": self.since}
        return {f"{name}.{layer}": tensor for name, layers in fields.items() for layer, tensor in enumerate(layers)}

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])


def dead_code_loss(
    latents: torch.Tensor,
    codebook: torch.Tensor,
    dead: torch.LongTensor,
    project: Callable[[torch.LongTensor], torch.Tensor],
) -> torch.Tensor:
    """
    Pulls unused entries towards what they could stand for: each latent pulls the nearest of them by cosine.

    The entries are projections of a frozen table, so it is the projection that moves. Entries then lie as densely as
    latents do.

    Args:
        latents: What a layer quantizes, `(batch, latent_dim, steps)`; they stay.
        codebook: The layer's, `(entries, latent_dim)`.
        dead: The codes not in use, `(dead,)`.
        project: Codes `(n,)` → their entries `(n, latent_dim)`, with gradients.

    Returns:
        The mean squared distance; zero where no entry is dead.
    """
    if not len(dead):
        return latents.new_zeros(())
    latents = latents.detach().transpose(1, 2).flatten(0, 1).to(codebook)
    nearest = (latents @ F.normalize(codebook[dead].detach(), dim=-1).T).argmax(dim=-1)
    return F.mse_loss(project(dead[nearest]), latents)
