# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Answers requests with a causal language model in this process; what prompts share is read once."""

import copy
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from os.path import commonprefix

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Cache, PreTrainedModel, TopPLogitsWarper
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from .requests_llm_codec import GenerateRequest, ScoreRequest


def load_language_model(
    name: str | os.PathLike,
    processor,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype = "auto",
    tokenizer=None,
) -> PreTrainedModel:
    """
    Loads the language model that reads a codec's words, and checks that it does.

    Args:
        name (`str` or `PathLike`): An id or a folder of any `AutoModelForCausalLM`.
        processor ([`LLMCodecProcessor`]): The codec's words.
        device (`str` or `torch.device`, *optional*): Where the model goes; the CPU by default.
        dtype (`str` or `torch.dtype`, *optional*, defaults to `"auto"`): Of its weights; "auto" is the file's.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): Its tokenizer; that of `name` by default.

    Returns:
        `PreTrainedModel`, for inference.

    Raises:
        ValueError: where the tokenizer or the embeddings do not fit the codec's words.
        OSError: where there is no such model.
    """
    processor.check_tokenizer(AutoTokenizer.from_pretrained(name) if tokenizer is None else tokenizer)
    model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype)
    check_embeddings(model, processor)
    return (model if device is None else model.to(device)).eval()


def check_embeddings(model: PreTrainedModel, processor) -> None:
    """
    Checks that a language model embeds every token id that a codec's words take.

    Raises:
        ValueError: where it has fewer embeddings; the message says how many, and whose words these are.
    """
    entries, needed = model.get_input_embeddings().weight.shape[0], processor.max_token_id + 1
    if entries < needed:
        raise ValueError(
            f"The language model embeds {entries} tokens, but the codec's words take token ids up to {needed - 1}: "
            f"it is not the language model of {processor.tokenizer.name_or_path or 'the codec'}."
        )


class InProcessBackend:
    """
    Answers requests with a model of Transformers.

    Prompts that begin alike (the demonstrations of one support set) are read once up to where they differ, and their
    keys and values are shared. What is left of each prompt runs in batches of equal length, so that no padding ever
    stands before anything: answers are those of one full pass a request, up to float rounding, for every causal model.

    Args:
        model (`PreTrainedModel`): A causal language model.
        batch_size (`int`, defaults to 64): Rows at once, at most.
        tokens_at_once (`int`, defaults to 32768): Rows times their length, at most, which bounds the memory of keys and
            values (of a 7B model in half precision, 16 GB; of a 135M model, 1.5 GB).
    """

    def __init__(self, model: PreTrainedModel, batch_size: int = 64, tokens_at_once: int = 32768):
        self.model = model.eval()
        self.batch_size, self.tokens_at_once = batch_size, tokens_at_once
        self._known: tuple[list[int], Cache | None] = ([], None)

    # ---- What is asked

    @torch.no_grad()
    def read(self, prefix: list[int]) -> None:
        """Reads the beginning that prompts to come have, and keeps it until another is read. Nothing else is kept from
        one call to the next: answers depend on what is asked together, in their rounding, and on nothing before."""
        self._check_length(len(prefix))
        if self._known[0] != prefix:
            self._known = (list(prefix), self._past(prefix))

    @torch.no_grad()
    def score(
        self, requests: Sequence[ScoreRequest], progress: Callable[[int], object] | None = None
    ) -> list[torch.FloatTensor]:
        """
        Summed log-probabilities of continuations.

        Args:
            requests (`Sequence[ScoreRequest]`): Prompts, and the continuations of each.
            progress (`Callable`, *optional*): Hears how many requests more were answered.

        Returns:
            `list[torch.FloatTensor]`, `(continuations,)` a request in their order, on the CPU.

        Raises:
            ValueError: for a request longer than the model's context.
        """
        answers: list[torch.FloatTensor | None] = [None] * len(requests)
        for rows, rests, past in self._batches(requests):
            outputs = self.model(self._tensor(rests), past_key_values=past, use_cache=True, logits_to_keep=1)
            first = outputs.logits[:, -1].float().log_softmax(dim=-1).cpu()
            continuations = [requests[i].continuations for i in rows]
            for row, i in enumerate(rows):
                answers[i] = first[row, [continuation[0] for continuation in continuations[row]]]
            for k, column in enumerate(zip_longest(*continuations)):
                if any(continuation is not None and len(continuation) > 1 for continuation in column):
                    for row, score in enumerate(self._score_tails(column, branch(outputs.past_key_values))):
                        if column[row] is not None:
                            answers[rows[row]][k] += score
            if progress is not None:
                progress(len(rows))
        return answers

    @torch.no_grad()
    def generate(
        self, requests: Sequence[GenerateRequest], progress: Callable[[int], object] | None = None
    ) -> list[list[int]]:
        """
        Continues prompts.

        Args:
            requests (`Sequence[GenerateRequest]`): Prompts, and what may follow.
            progress (`Callable`, *optional*): Hears how many requests more were answered.

        Returns:
            `list[list[int]]`: the ids generated for each request, in their order.

        Raises:
            ValueError: for a request longer than the model's context.
        """
        answers: list[list[int]] = [[] for _ in requests]
        for rows, rests, past in self._batches(requests):
            for row, token_id in self._generate([requests[i] for i in rows], rests, past):
                answers[rows[row]].append(token_id)
            if progress is not None:
                progress(len(rows))
        return answers

    @torch.no_grad()
    def stream(self, request: GenerateRequest) -> Iterator[int]:
        """The ids that `generate` gives for a request, each as soon as it is known."""
        for _, rests, past in self._batches([request]):
            for _, token_id in self._generate([request], rests, past):
                yield token_id

    # ---- What is shared

    def _batches(
        self, requests: Sequence[ScoreRequest | GenerateRequest]
    ) -> Iterator[tuple[list[int], list[list[int]], Cache | None]]:
        """The requests' places, what is left of their prompts, all of one length, and the keys and values before it."""
        for longest in {request.longest for request in requests}:
            self._check_length(longest)
        for places in self._groups([request.prompt for request in requests]):
            shared = self._shared([requests[i].prompt for i in places])
            prefix = requests[places[0]].prompt[:shared]
            before = None
            if shared:
                before = self._known[1] if prefix == self._known[0] else self._past(prefix)
            by_length = defaultdict(list)
            for i in places:
                by_length[len(requests[i].prompt)].append(i)
            for length, same in sorted(by_length.items()):
                longest = max(requests[i].longest for i in same)
                size = max(1, min(self.batch_size, self.tokens_at_once // longest))
                for start in range(0, len(same), size):
                    rows = same[start : start + size]
                    past = None if before is None else repeated(before, len(rows), longest - shared)
                    yield rows, [requests[i].prompt[shared:] for i in rows], past

    def _groups(self, prompts: Sequence[list[int]]) -> Iterator[list[int]]:
        """Places of prompts which begin with what was read, and of those which have half of their ids in common."""
        known = self._known[0]
        group = [i for i, prompt in enumerate(prompts) if known and prompt[: len(known)] == known]
        if group:
            yield group
        rest = sorted(set(range(len(prompts))) - set(group), key=prompts.__getitem__)
        group, common = [], 0
        for i in rest:
            if group:
                common = min(common, len(commonprefix([prompts[group[0]], prompts[i]])))
                if 2 * common >= len(prompts[i]):
                    group.append(i)
                    continue
                yield group
            group, common = [i], len(prompts[i])
        if group:
            yield group

    def _shared(self, prompts: list[list[int]]) -> int:
        """How many of their first ids to read once; at least the last of each prompt is left, for what it predicts."""
        known = len(self._known[0])
        if known and all(len(prompt) > known and prompt[:known] == self._known[0] for prompt in prompts):
            return known
        return min(len(commonprefix(prompts)), min(map(len, prompts)) - 1) if len(prompts) > 1 else 0

    # ---- Passes

    def _score_tails(self, continuations: Sequence[list[int] | None], past: Cache) -> list[float]:
        """Log-probabilities of continuations after their first id, one a row; padding on the right changes nothing."""
        ids = [continuation or [0] for continuation in continuations]
        length = max(map(len, ids)) - 1
        inputs = [row[:-1] + [0] * (length + 1 - len(row)) for row in ids]
        logits = self.model(self._tensor(inputs), past_key_values=past, use_cache=True).logits
        scores = []
        for row, predicted in zip(ids, logits):
            targets = torch.tensor(row[1:], dtype=torch.long, device=logits.device)[:, None]
            scores.append(predicted[: len(row) - 1].float().log_softmax(dim=-1).gather(1, targets).sum().item())
        return scores

    def _generate(
        self, requests: list[GenerateRequest], rests: list[list[int]], past: Cache | None
    ) -> Iterator[tuple[int, int]]:
        """Rows and their next ids. Rows that have ended are carried along until the last one ends."""
        states = [request.constraint.start() if request.constraint else None for request in requests]
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        allowed = [self._allowed(request, state) for request, state in zip(requests, states)]
        going = {row for row in range(len(requests)) if allowed[row] is None or len(allowed[row])}
        inputs, step = rests, 0
        while going:
            outputs = self.model(self._tensor(inputs), past_key_values=past, use_cache=True, logits_to_keep=1)
            past, logits = outputs.past_key_values, outputs.logits[:, -1].float().cpu()
            inputs, step = [[0] for _ in requests], step + 1
            for row in sorted(going):
                request = requests[row]
                token_id = choose(logits[row], allowed[row], request, generators[row])
                if token_id in request.stop_ids:
                    going.remove(row)
                    continue
                yield row, token_id
                inputs[row] = [token_id]
                if request.constraint:
                    states[row] = request.constraint.step(states[row], token_id)
                    allowed[row] = self._allowed(request, states[row])
                if step == request.max_new_tokens or allowed[row] is not None and not len(allowed[row]):
                    going.remove(row)

    @staticmethod
    def _allowed(request: GenerateRequest, state) -> torch.LongTensor | None:
        return request.constraint.allowed(state) if request.constraint else None

    def _past(self, prefix: list[int]) -> Cache:
        return self.model(self._tensor([prefix]), use_cache=True, logits_to_keep=1).past_key_values

    def _tensor(self, ids: list[list[int]]) -> torch.LongTensor:
        return torch.tensor(ids, device=self.model.get_input_embeddings().weight.device)

    def _check_length(self, longest: int) -> None:
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if context is not None and longest > context:
            raise ValueError(
                f"A prompt with its answer has {longest} tokens, {longest - context} more than the language model's "
                f"context of {context}: give fewer or shorter examples, or fewer layers."
            )


def choose(
    logits: torch.Tensor, allowed: torch.LongTensor | None, request: GenerateRequest, generator: torch.Generator
) -> int:
    """The next id, from the logits `(vocabulary,)` of those allowed: the most probable, or drawn."""
    if allowed is not None:
        logits = logits[allowed]
    if request.temperature == 0:
        place = int(logits.argmax())
    else:
        logits = logits[None] / request.temperature
        if request.top_p < 1:
            logits = TopPLogitsWarper(request.top_p)(None, logits)
        place = int(torch.multinomial(logits.softmax(dim=-1), 1, generator=generator))
    return place if allowed is None else int(allowed[place])


class RoomyLayer(DynamicLayer):
    """
    The keys and values that rows have in common, once for each row, with room for those to come, which are written into
    it: a layer of Transformers makes all of them anew for every step, which takes longer than the step.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, length: int):
        super().__init__()
        self._room = keys, values
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._see(length)

    @classmethod
    def of(cls, layer: DynamicLayer, rows: int, room: int) -> "RoomyLayer":
        """A layer of one row, for several rows and `room` steps more."""
        length, buffers = layer.keys.shape[-2], []
        for tensor in (layer.keys, layer.values):
            buffers.append(tensor.new_empty(rows, tensor.shape[1], length + room, tensor.shape[3]))
            buffers[-1][:, :, :length] = tensor
        return cls(*buffers, length)

    def branch(self) -> "RoomyLayer":
        """The same as it stands now; what goes on from it is written where others went on, so one at a time may."""
        return RoomyLayer(*self._room, self.keys.shape[-2])

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
        start = self.keys.shape[-2]
        stop = start + key_states.shape[-2]
        for buffer, states in zip(self._room, (key_states, value_states)):
            buffer[:, :, start:stop] = states
        self._see(stop)
        return self.keys, self.values

    def _see(self, length: int) -> None:
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._room)


def repeated(past: Cache, rows: int, room: int) -> Cache:
    """The keys and values of one row for several rows, with room for some steps more; `past` stays as it is."""
    cache, layers = branch(past), []
    for layer in cache.layers:
        if type(layer) is DynamicLayer and layer.is_initialized:
            layers.append(RoomyLayer.of(layer, rows, room))
        else:
            layer.reorder_cache(torch.zeros(rows, dtype=torch.long))
            layers.append(layer)
    cache.layers = layers
    return cache


def branch(past: Cache) -> Cache:
    """Keys and values that go on from others, which stay as they are."""
    cache = copy.copy(past)
    cache.layers = []
    for layer in past.layers:
        if isinstance(layer, RoomyLayer):
            cache.layers.append(layer.branch())
        elif type(layer) in (DynamicLayer, DynamicSlidingWindowLayer):  # which put new tensors in place of theirs
            cache.layers.append(copy.copy(layer))
        else:  # which may write into theirs
            cache.layers.append(copy.deepcopy(layer))
    return cache


__all__ = ["InProcessBackend", "check_embeddings", "load_language_model"]
