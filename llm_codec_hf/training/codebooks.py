# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Codebooks made of a language model's token embeddings: the frozen tables, and the projections that learn."""

import re
from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

# A space, then small letters: as BPE vocabularies of bytes ("Ġ") and of SentencePiece ("▁") write a word's beginning.
WORD = re.compile(r"[Ġ▁][a-z]+")


def single_token_words(tokenizer: PreTrainedTokenizerBase, dictionary: Sequence[str] | None = None) -> dict[str, int]:
    """
    The tokens that are a whole lower-case word, by id, which in a BPE vocabulary is about by frequency.

    Args:
        tokenizer: The language model's.
        dictionary: Words to choose from; by default any.

    Returns:
        Word → token id; special and byte tokens are never among them.
    """
    special = set(tokenizer.all_special_ids)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    words = {token[1:]: id for token, id in vocabulary if WORD.fullmatch(token) and id not in special}
    if dictionary is None:
        return words
    dictionary = set(dictionary)
    return {word: id for word, id in words.items() if word in dictionary}


class ProjectedCodebooks(nn.Module):
    """
    A projection of a frozen embedding table a quantizer layer: `forward` gives the codebooks, `(entries, latent_dim)`.

    Args:
        tables (`Sequence[torch.Tensor]`): `(entries, embedding_dim)` a layer. A word of several tokens is the mean of
            their rows.
        latent_dim (`int`): Channels of the codec's latents.

    The projections start where the entries are centred, uncorrelated and of unit variance (the table's principal
    components, whitened): embeddings of a language model lie in a narrow cone, where a random projection would leave
    cosine little to tell them apart by.
    """

    def __init__(self, tables: Sequence[torch.Tensor], latent_dim: int):
        super().__init__()
        self.projections = nn.ModuleList()
        for k, table in enumerate(tables):
            self.register_buffer(f"table_{k}", table.float(), persistent=False)
            projection = nn.Linear(table.shape[1], latent_dim)
            self.projections.append(projection)
            if min(table.shape) > latent_dim:
                mean = table.double().mean(dim=0)
                _, scale, directions = torch.linalg.svd(table.double() - mean, full_matrices=False)
                weight = directions[:latent_dim] / scale[:latent_dim, None] * len(table) ** 0.5
                # a random rotation, so that layers do not share their axes
                rotation = torch.linalg.qr(torch.randn(latent_dim, latent_dim, dtype=torch.float64))[0]
                weight = rotation @ weight / 2**k
                projection.weight.data.copy_(weight)
                projection.bias.data.copy_(-weight @ mean)

    def forward(self) -> list[torch.Tensor]:
        return [projection(self.get_buffer(f"table_{k}")) for k, projection in enumerate(self.projections)]
