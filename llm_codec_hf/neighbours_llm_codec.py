# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Whose demonstrations are nearest to a query: by words, by what a model expects next, by its attention heads."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch.nn.functional import cross_entropy, normalize

HEADS = 20  # that are listened to
WEIGHTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # of the words in common, against log-probabilities in nat
USUAL_WEIGHT = 8.0  # where demonstrations do not tell; chosen on the development tasks
AFFINE_STEPS, AFFINE_DECAY = 100, 0.1  # of supervised calibration


def shared_words(query: torch.LongTensor, examples: Sequence[torch.LongTensor]) -> torch.FloatTensor:
    """The share of a query's words `(words,)` that each example has, too, each as often as it stands there."""
    words = Counter(query.tolist())
    common = [(words & Counter(example.tolist())).total() for example in examples]
    return torch.tensor(common, dtype=torch.float32) / max(1, len(query))


def greatest(values: torch.FloatTensor, owners: torch.LongTensor, labels: int, missing: float) -> torch.FloatTensor:
    """
    The greatest value of each label.

    Args:
        values (`torch.FloatTensor`): `(…, examples)`.
        owners (`torch.LongTensor`): `(examples,)`, the label of each.
        labels (`int`): How many labels there are.
        missing (`float`): What a label without examples gets.

    Returns:
        `(…, labels)`.
    """
    found = torch.full((*values.shape[:-1], labels), missing)
    return found.scatter_reduce(-1, owners.expand(values.shape), values, "amax", include_self=True)


def divergence(following: torch.FloatTensor, anchors: torch.FloatTensor) -> torch.FloatTensor:
    """
    How far what a model expects after queries is from what it expects after examples.

    Args:
        following (`torch.FloatTensor`): Log-probabilities `(queries, vocabulary)` of the next id.
        anchors (`torch.FloatTensor`): The same after examples, `(examples, vocabulary)`.

    Returns:
        `(queries, examples)`: the Kullback–Leibler divergence of the example's distribution from the query's.
    """
    probabilities = anchors.exp()
    return (probabilities * anchors).sum(-1) - following @ probabilities.T


def head_similarity(heads: torch.FloatTensor, anchors: torch.FloatTensor, owners: torch.LongTensor, labels: int):
    """
    Similarity of queries to the centroid of each label, in the heads that tell the examples apart best.

    Outputs are centred by the examples' mean. A head is as good as the number of examples that are nearest to their own
    label's centroid, made without them; the best ones count alike.

    Args:
        heads (`torch.FloatTensor`): Outputs `(queries, heads, width)`.
        anchors (`torch.FloatTensor`): The same of examples, `(examples, heads, width)`.
        owners (`torch.LongTensor`): `(examples,)`, the label of each.
        labels (`int`): How many labels there are.

    Returns:
        `(queries, labels)`: the mean cosine, −1 for a label without examples.
    """
    middle = anchors.mean(dim=0)
    heads, anchors = normalize(heads - middle, dim=-1), normalize(anchors - middle, dim=-1)
    member = torch.nn.functional.one_hot(owners, labels).float()  # (examples, labels)
    sums = torch.einsum("el,ehw->lhw", member, anchors)
    centroids = normalize(sums, dim=-1)
    without = normalize(sums[owners] - anchors, dim=-1)  # a label's centroid without the example itself
    own = (without * anchors).sum(-1)
    cosines = torch.einsum("ehw,lhw->ehl", anchors, centroids)
    known = member.any(dim=0)
    others = cosines.masked_fill(member.bool()[:, None] | ~known, -torch.inf).amax(-1)
    right = (own > others).float().mean(dim=0)
    best = right.topk(min(HEADS, len(right))).indices
    found = torch.einsum("qhw,lhw->ql", heads[:, best], centroids[:, best]) / len(best)
    return found.masked_fill(~known, -1.0)


def affine(log_probs: torch.FloatTensor, owners: torch.LongTensor) -> tuple[torch.FloatTensor, torch.FloatTensor]:
    """
    A factor and an offset of each label's log-probability, learned where the answer is known.

    Args:
        log_probs (`torch.FloatTensor`): `(examples, labels)`, each example after a prompt without it.
        owners (`torch.LongTensor`): `(examples,)`, the right label of each.

    Returns:
        `(labels,)` and `(labels,)`: least cross entropy, held to 1 and 0 by the square of the distance.
    """
    values = log_probs.log_softmax(dim=-1)
    scale = torch.ones(values.shape[1], requires_grad=True)
    offset = torch.zeros(values.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([scale, offset], max_iter=AFFINE_STEPS, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        held = AFFINE_DECAY * ((scale - 1).square().sum() + offset.square().sum())
        value = cross_entropy(values * scale + offset, owners) + held / len(values)
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    return scale.detach(), offset.detach()


def blend_weight(scores: torch.FloatTensor, shared: torch.FloatTensor, owners: torch.LongTensor) -> float:
    """
    How much words in common shall count beside a language model's scores.

    Args:
        scores (`torch.FloatTensor`): `(examples, labels)`, each example after a prompt without it.
        shared (`torch.FloatTensor`): The same shape, the words in common with the nearest of the other examples.
        owners (`torch.LongTensor`): `(examples,)`, the right label of each.

    Returns:
        The one of [`WEIGHTS`] with the most right answers; of equals the nearest to [`USUAL_WEIGHT`].
    """
    if not len(scores):
        return USUAL_WEIGHT
    right = {w: int(((scores + w * shared).argmax(dim=-1) == owners).sum()) for w in WEIGHTS}
    return max(WEIGHTS, key=lambda w: (right[w], -abs(WEIGHTS.index(w) - WEIGHTS.index(USUAL_WEIGHT))))


__all__ = ["affine", "blend_weight", "divergence", "greatest", "head_similarity", "shared_words"]
