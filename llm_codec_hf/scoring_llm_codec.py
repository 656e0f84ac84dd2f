# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""From log-probabilities of labels to scores: raw, by length, and calibrated against what a model prefers anyway."""

from collections.abc import Sequence

import torch

# How labels can be scored; the calibrated ones divide by how probable a label is where nothing is heard.
SCORINGS = {
    "raw": "summed log-probability of the label's ids and of its end",
    "length_normalized": "the same divided by the number of ids (Brown et al. 2020, arXiv 2005.14165, section 2.4)",
    "content_free": "calibrated by queries that say nothing: 'N/A', '[MASK]' and an empty one "
    "(contextual calibration, Zhao et al. 2021, arXiv 2102.09690)",
    "support_shuffled": "calibrated by queries of the demonstrations' own words in random order "
    "(domain-context calibration, Fei et al. 2023, arXiv 2305.19148, with codes for words)",
    "batch": "calibrated by the other queries of the same demonstrations "
    "(batch calibration, Zhou et al. 2023, arXiv 2309.17249)",
}
CONTENT_FREE = ("N/A", "[MASK]", "")
REFERENCES = 8  # queries of shuffled words that a support set is calibrated by


def length_normalized(log_probs: torch.FloatTensor, continuations: Sequence[Sequence[int]]) -> torch.FloatTensor:
    """Log-probabilities `(…, labels)` over each label's number of ids."""
    return log_probs / torch.tensor([len(ids) for ids in continuations], dtype=log_probs.dtype)


def calibrated(log_probs: torch.FloatTensor, reference: torch.FloatTensor) -> torch.FloatTensor:
    """
    Scores from which the language model's preference among labels is taken.

    Args:
        log_probs (`torch.FloatTensor`): `(…, labels)` of queries.
        reference (`torch.FloatTensor`): `(n, labels)` of what tells nothing about a query.

    Returns:
        `(…, labels)`: log p(label | query) − log mean p(label | reference), each p over the labels alone.
    """
    prior = reference.log_softmax(dim=-1).logsumexp(dim=0) - torch.tensor(float(len(reference))).log()
    return log_probs.log_softmax(dim=-1) - prior


def shuffled_queries(support: Sequence[torch.LongTensor], groups: int, count: int, seed: int) -> list[torch.LongTensor]:
    """
    Queries of a support set's own groups, drawn at random without replacement as far as they reach.

    Args:
        support (`Sequence[torch.LongTensor]`): Codes of the demonstrations, `(codes_per_group, groups)` each.
        groups (`int`): Length of each query.
        count (`int`): Number of queries.
        seed (`int`): The same seed gives the same queries.

    Returns:
        `list[torch.LongTensor]`: `count` of `(codes_per_group, groups)`.
    """
    pool = torch.cat(list(support), dim=1)
    generator = torch.Generator().manual_seed(seed)
    queries = []
    for _ in range(count):
        order = [torch.randperm(pool.shape[1], generator=generator) for _ in range(-(-groups // pool.shape[1]))]
        queries.append(pool[:, torch.cat(order)[:groups]])
    return queries


__all__ = ["CONTENT_FREE", "REFERENCES", "SCORINGS", "calibrated", "length_normalized", "shuffled_queries"]
