# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""How probable a language model finds continuations of prompts that share their beginning."""

import copy
from collections.abc import Sequence
from os.path import commonprefix

import torch
from transformers import PreTrainedModel


@torch.no_grad()
def score_continuations(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    continuations: Sequence[list[int]],
    batch_size: int = 64,
) -> torch.FloatTensor:
    """
    Summed log-probabilities of every continuation after every prompt.

    What all prompts have in common (the demonstrations of a few-shot prompt) is read once and its keys and values are
    shared; the rest runs in batches. The scores are those of one full pass a pair, up to float rounding.

    Args:
        model (`PreTrainedModel`): A causal language model.
        prompts (`Sequence[list[int]]`): Token ids; at least one each.
        continuations (`Sequence[list[int]]`): Token ids; at least one each.
        batch_size (`int`, defaults to 64): Pairs a batch.

    Returns:
        `torch.FloatTensor`, `(len(prompts), len(continuations))`, on the CPU.

    Raises:
        ValueError: for an empty prompt or continuation, and where a pair is longer than the model's context.
    """
    if not all(map(len, prompts)) or not all(map(len, continuations)):
        raise ValueError("Prompts and continuations need at least one token id each.")
    longest = max(map(len, prompts)) + max(map(len, continuations))
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if context is not None and longest > context:
        raise ValueError(
            f"A prompt with its answer has {longest} tokens, {longest - context} more than the language model's "
            f"context of {context}: give fewer or shorter examples, or fewer layers."
        )
    # at least the last token of a prompt is read again: it predicts the first of a continuation
    shared = min(len(commonprefix(list(prompts))), min(map(len, prompts)) - 1)
    device = model.get_input_embeddings().weight.device
    cache = None
    if shared:
        prefix = torch.tensor([prompts[0][:shared]], device=device)
        cache = model(prefix, use_cache=True, logits_to_keep=1).past_key_values
    pairs = [(prompt[shared:], continuation) for prompt in prompts for continuation in continuations]
    scores = []
    for start in range(0, len(pairs), batch_size):
        batch = pairs[start : start + batch_size]
        length = max(len(rest) + len(continuation) for rest, continuation in batch) - 1
        # padding on the right of a causal model changes nothing before it
        ids = torch.zeros(len(batch), length, dtype=torch.long)
        targets = torch.full((len(batch), length), -1)
        for row, (rest, continuation) in enumerate(batch):
            ids[row, : len(rest) + len(continuation) - 1] = torch.tensor((rest + continuation)[:-1])
            targets[row, len(rest) - 1 : len(rest) + len(continuation) - 1] = torch.tensor(continuation)
        past = None
        if cache is not None:
            past = copy.deepcopy(cache)
            past.batch_repeat_interleave(len(batch))
        logits = model(ids.to(device), past_key_values=past, use_cache=past is not None).logits
        row, column = torch.nonzero(targets >= 0, as_tuple=True)
        predictions = logits[row.to(device), column.to(device)].float().log_softmax(dim=-1).cpu()
        log_probs = predictions.gather(1, targets[row, column][:, None])[:, 0]
        scores.append(torch.zeros(len(batch)).index_add(0, row, log_probs))
    return torch.cat(scores).view(len(prompts), len(continuations))
