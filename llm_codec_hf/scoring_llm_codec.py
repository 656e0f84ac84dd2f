# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""From log-probabilities of labels to scores: raw, by length, and calibrated against what a model prefers anyway."""

from collections.abc import Collection, Sequence

import torch

# How labels can be scored by log-probabilities after one reading of the demonstrations; the calibrated ones divide by
# how probable a label is where nothing is heard.
PLAIN = {
    "raw": "summed log-probability of the label's ids and of its end",
    "length_normalized": "the same divided by the number of ids (Brown et al. 2020, arXiv 2005.14165, section 2.4)",
    "content_free": "calibrated by queries that say nothing: 'N/A', '[MASK]' and an empty one "
    "(contextual calibration, Zhao et al. 2021, arXiv 2102.09690)",
    "support_shuffled": "calibrated by queries of the demonstrations' own words in random order "
    "(domain-context calibration, Fei et al. 2023, arXiv 2305.19148, with codes for words)",
    "batch": "calibrated by the other queries of the same demonstrations "
    "(batch calibration, Zhou et al. 2023, arXiv 2309.17249)",
}
# Further ways, of `support_llm_codec`; what they are made of stands in `neighbours_llm_codec`.
FURTHER = {
    "knn": "the demonstration after which the language model expects the most similar next id (kNN prompting, Xu et "
    "al. 2023, arXiv 2303.13824)",
    "heads": "the nearest class centroid in the outputs of those attention heads that tell the demonstrations apart "
    "best (after CALM, arXiv 2602.07077)",
    "orders": "`support_shuffled`, the mean of a few orders of the demonstrations (Lu et al. 2022, arXiv 2104.08786)",
    "retrieved": "`raw`, behind those demonstrations alone that share the most words with the query, the nearest last "
    "(Liu et al. 2022, arXiv 2101.06804)",
    "supervised": "an affine map of the log-probabilities per label, learned on demonstrations that were left out of "
    "the prompt (supervised calibration, arXiv 2505.23783)",
    "blend": "`support_shuffled`, and the share of words in common with the nearest demonstration of each label, "
    "weighted by what is right on demonstrations that were left out of the prompt",
}
SCORINGS = {**PLAIN, **FURTHER}
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


def score(
    way: str,
    log_probs: torch.FloatTensor,
    reference: torch.FloatTensor | None = None,
    continuations: Sequence[Sequence[int]] = (),
) -> torch.FloatTensor:
    """
    Scores of labels by a way of scoring: the one rule of the pipeline and of the evaluation.

    Args:
        way (`str`): A key of [`PLAIN`].
        log_probs (`torch.FloatTensor`): Log-probabilities `(queries, labels)` of the labels after each query.
        reference (`torch.FloatTensor`, *optional*): The like after each of what [`references`] gives, `(n, labels)`.
        continuations (`Sequence`, *optional*): The token ids of each label, for `"length_normalized"`.

    Returns:
        `(queries, labels)`: the greatest is the best label's.

    Raises:
        ValueError: for a way that does not exist, and where the way needs what was not given.
    """
    check_way(way, PLAIN)
    if way == "raw":
        return log_probs
    if way == "length_normalized":
        if len(continuations) != log_probs.shape[-1]:
            raise ValueError(
                f"'length_normalized' needs the ids of all {log_probs.shape[-1]} labels, got {len(continuations)}."
            )
        return length_normalized(log_probs, continuations)
    if way == "batch":
        return calibrated(log_probs, log_probs)
    if reference is None or not len(reference):
        raise ValueError(f"{way!r} needs the log-probabilities after the queries that `references({way!r}, …)` gives.")
    return calibrated(log_probs, reference)


def references(way: str, support: Sequence[torch.LongTensor], seed: int = 0) -> list[torch.LongTensor] | list[str]:
    """
    The queries that tell nothing, by which a way of scoring calibrates. They depend on the demonstrations alone, so
    that the first query is scored as the last one is.

    Args:
        way (`str`): A key of [`PLAIN`].
        support (`Sequence[torch.LongTensor]`): Codes of the demonstrations, `(codes_per_group, groups)` each.
        seed (`int`, defaults to 0): Seed of the random order of words.

    Returns:
        `list`: texts, or codes `(codes_per_group, groups)` of the median length of the demonstrations; empty for the
        ways that need none.

    Raises:
        ValueError: for a way that does not exist, and for no demonstrations.
    """
    check_way(way, PLAIN)
    if way == "content_free":
        return list(CONTENT_FREE)
    if way != "support_shuffled":
        return []
    if not support:
        raise ValueError("'support_shuffled' shuffles the words of the demonstrations, but there are none.")
    groups = sorted(clip.shape[1] for clip in support)[len(support) // 2]
    return shuffled_queries(support, groups, REFERENCES, seed)


def check_way(way: str, ways: Collection[str] = SCORINGS) -> None:
    """Raises a ValueError for a way of scoring that does not exist."""
    if not isinstance(way, str) or way not in ways:
        raise ValueError(f"`scoring` is one of {', '.join(ways)}; got {way!r}.")


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


__all__ = [
    "CONTENT_FREE",
    "FURTHER",
    "PLAIN",
    "REFERENCES",
    "SCORINGS",
    "calibrated",
    "check_way",
    "length_normalized",
    "references",
    "score",
    "shuffled_queries",
]
