# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Answers requests with a causal language model in this process; what prompts share is read once."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from os.path import commonprefix

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Cache, PreTrainedModel, ProcessorMixin, TopPLogitsWarper

from .caches_llm_codec import branch, repeated
from .heads_llm_codec import HeadOutputs
from .passes_llm_codec import Passes, Way, embedding_entries, tree
from .requests_llm_codec import GenerateRequest, LanguageModelError, Observation, ScoreRequest

# Options of `from_pretrained` that say where a repository is, for the tokenizer as for the model
OF_THE_HUB = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token", "trust_remote_code")
LOGITS_AT_ONCE = 2**27  # numbers, at most, of the logits of a pass: half a gigabyte in float32
PASS_IN_IDS = 16  # what a pass of its own costs, in ids that are read along with others


def load_language_model(
    name: str | os.PathLike,
    processor,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype = "auto",
    tokenizer=None,
    **options,
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """
    Loads a language model that reads a codec's words: the codec's own, or any other by the words of layer 0.

    Args:
        name (`str` or `PathLike`): An id or a folder of any `AutoModelForCausalLM`.
        processor ([`LLMCodecProcessor`]): The codec's words.
        device (`str` or `torch.device`, *optional*): Where the model goes, if `options` do not place it; the CPU by
            default.
        dtype (`str` or `torch.dtype`, *optional*, defaults to `"auto"`): Of its weights; "auto" is the file's.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): Its tokenizer; that of `name` by default.
        options: Further arguments of `from_pretrained`: `quantization_config`, `device_map`, `revision`, … A `dtype`
            here goes before the other.

    Returns:
        `PreTrainedModel` and [`LLMCodecProcessor`]: the model, for inference, and the words in its ids: `processor`
        itself where they are the same, else `processor.for_tokenizer(tokenizer)`.

    Raises:
        ValueError: where the tokenizer cannot write the codec's words, or the model does not embed its tokens.
        OSError: where there is no such model.
    """
    if tokenizer is None:
        where = {key: value for key, value in options.items() if key in OF_THE_HUB}
        tokenizer = AutoTokenizer.from_pretrained(name, **where)
    processor = processor.fitting(tokenizer)
    model = AutoModelForCausalLM.from_pretrained(name, **{"dtype": dtype, **options})
    check_embeddings(model, processor)
    if device is not None and not options.keys() & {"device_map", "quantization_config"}:  # these place it
        model = model.to(device)
    return model.eval(), processor


def check_embeddings(model: PreTrainedModel, processor) -> None:
    """
    Checks that a language model embeds every token id that a codec's words take.

    Raises:
        ValueError: where it has fewer embeddings; the message says how many, and whose words these are.
    """
    entries, needed = embedding_entries(model), processor.max_token_id + 1
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
    stands before anything, and the labels of a request are read together: answers are those of one full pass for each
    label, up to float rounding. At the first request, and at the first one past a length from which the model works
    otherwise (a sliding window), a full pass is compared with those that share; where they differ, nothing is shared.

    Args:
        model (`PreTrainedModel`): A causal language model.
        batch_size (`int`, defaults to 64): Rows at once, at most.
        tokens_at_once (`int`, defaults to 32768): Rows times their length, at most, which bounds the memory of keys and
            values (of a 7B model in half precision, 16 GB; of a 135M model, 1.5 GB), and twice that where labels are
            rows.
    """

    def __init__(self, model: PreTrainedModel, batch_size: int = 64, tokens_at_once: int = 32768):
        self.model = model.eval()
        self.batch_size, self.tokens_at_once = batch_size, tokens_at_once
        self._passes, self._way, self._turns = Passes(model), Way.PACKED, -1
        self._known: tuple[list[int], Cache | None] = ([], None)
        self._heads: HeadOutputs | None = None

    # ---- What is asked

    @torch.no_grad()
    def read(self, prefix: list[int]) -> None:
        """
        Reads the beginning that prompts to come have, and keeps it until another is read.

        Only this prefix is cached. Results never depend on earlier calls; batching may change the last bits.

        Raises:
            ValueError: for a prefix longer than the model's context.
            LanguageModelError: where the model cannot answer.
        """
        self._check_length(len(prefix))
        self._choose_way(prefix, len(prefix))
        if self._way > Way.WHOLE and self._known[0] != prefix:
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
            LanguageModelError: where the model cannot answer, and where a score is NaN or infinite.
        """
        answers: list[torch.FloatTensor | None] = [None] * len(requests)
        for rows, scores, _, _ in self._answers(requests):
            for row, i in enumerate(rows):
                answers[i] = scores[row].clone()
            if progress is not None:
                progress(len(rows))
        return answers

    @torch.no_grad()
    def observe(self, requests: Sequence[ScoreRequest], heads: bool = False) -> list[Observation]:
        """
        What `score` gives, with what else the same passes say where each prompt ends.

        Args:
            requests (`Sequence[ScoreRequest]`): Prompts, and the continuations of each.
            heads (`bool`, defaults to `False`): Whether attention heads are listened to.

        Raises:
            ValueError: for a request longer than the model's context.
            LanguageModelError: as `score`, and for a model whose heads are not found.
        """
        if heads and self._heads is None:
            self._heads = HeadOutputs(self.model)
        answers: list[Observation | None] = [None] * len(requests)
        for rows, scores, following, outputs in self._answers(requests, True, self._heads if heads else None):
            for row, i in enumerate(rows):
                seen = outputs[row].clone() if heads else None
                answers[i] = Observation(scores[row].clone(), following[row].clone(), seen)
        return answers

    def _answers(
        self, requests: Sequence[ScoreRequest], observed: bool = False, heads: HeadOutputs | None = None
    ) -> Iterator[tuple[list[int], torch.FloatTensor, torch.FloatTensor | None, torch.FloatTensor | None]]:
        """Batches: indices of requests, scores of their continuations, log-probabilities of what follows, and heads."""
        for rows, rests, past in self._batches(requests):
            continuations = requests[rows[0]].continuations
            scores, done = torch.zeros(len(rows), len(continuations)), set()
            following, outputs = None, None
            for logits, slots, seen in self._tables(
                rests, past, [ids[:-1] for ids in continuations], requests[rows[0]], heads
            ):
                if observed and following is None:
                    following = logits[:, 0].float().log_softmax(dim=-1).cpu()
                    outputs = heads.split(seen) if heads else None
                picks = [
                    (k, slots[beginning], ids[n])
                    for k, ids in enumerate(continuations)
                    for n in range(len(ids))
                    if (beginning := tuple(ids[:n])) in slots and beginning not in done
                ]
                done |= slots.keys()
                if picks:
                    k, slot, ids = (torch.tensor(column) for column in zip(*picks))
                    normalizers = torch.stack([row.float().logsumexp(dim=-1) for row in logits])  # a copy a row
                    picked = logits[:, slot, ids].float() - normalizers[:, slot]
                    scores.index_add_(1, k, picked.cpu())
            self._check_scores(scores)
            yield rows, scores, following, outputs

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
            LanguageModelError: where the model cannot answer, and where it gives NaN.
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
        """The ids that `generate` gives for a request, each as soon as it is known. Errors are those of `generate`."""
        for _, rests, past in self._batches([request]):
            for _, token_id in self._generate([request], rests, past):
                yield token_id

    # ---- What is shared

    def _choose_way(self, ids: list[int], longest: int) -> None:
        """Compares ways of answering, where none of this length was; ids are a prompt of it."""
        turns = sum(longest > length for length in self._passes.turning_lengths)
        if turns > self._turns:
            self._way, self._turns = min(self._way, self._passes.way(ids, longest)), turns

    def _batches(
        self, requests: Sequence[ScoreRequest | GenerateRequest]
    ) -> Iterator[tuple[list[int], list[list[int]], Cache | None]]:
        """
        The requests' indices, what is left of their prompts, and the keys and values before it. The prompts of a batch
        are of one length, and their continuations, if any, are the same.
        """
        if not requests:
            return
        longest = max(requests, key=lambda request: request.longest)
        self._check_length(longest.longest)
        self._choose_way(longest.prompt, longest.longest)
        for places in self._groups([request.prompt for request in requests]):
            shared = self._shared([requests[i].prompt for i in places])
            prefix = requests[places[0]].prompt[:shared]
            before = None
            if shared:
                before = self._known[1] if prefix == self._known[0] else self._past(prefix)
            alike = defaultdict(list)
            for i in places:
                continuations = getattr(requests[i], "continuations", ())
                alike[len(requests[i].prompt), tuple(map(tuple, continuations))].append(i)
            for (length, continuations), same in sorted(alike.items()):
                longest = max(requests[i].longest for i in same)
                nodes = len(tree([ids[:-1] for ids in continuations])) if self._way is Way.PACKED else 0
                longest = max(longest, length + nodes)
                kept = nodes + 1 if self._passes.keeps_logits else longest
                size = max(1, min(self.batch_size, self.tokens_at_once // longest, self._positions // kept))
                for start in range(0, len(same), size):
                    rows = same[start : start + size]
                    past = None if before is None else repeated(before, [0] * len(rows), longest - shared)
                    yield rows, [requests[i].prompt[shared:] for i in rows], past

    @property
    def _positions(self) -> int:
        """How many positions may have logits at once."""
        return max(1, LOGITS_AT_ONCE // self._passes.vocabulary)

    def _groups(self, prompts: Sequence[list[int]]) -> Iterator[list[int]]:
        """Indices of prompts which begin with what was read, and of those which have half of their ids in common."""
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
        if self._way is Way.WHOLE:
            return 0
        known = len(self._known[0])
        if known and all(len(prompt) > known and prompt[:known] == self._known[0] for prompt in prompts):
            return known
        return min(len(commonprefix(prompts)), min(map(len, prompts)) - 1) if len(prompts) > 1 else 0

    # ---- Passes

    def _tables(
        self,
        rests: list[list[int]],
        past: Cache | None,
        paths: list[list[int]],
        request: ScoreRequest,
        heads: HeadOutputs | None = None,
    ) -> Iterator[tuple[torch.Tensor, dict[tuple[int, ...], int], list[torch.Tensor]]]:
        """
        Logits `(rows, slots, vocabulary)` after each row and after each beginning of the paths behind it, some paths at
        a time, and the slot of each beginning; slot 0 of the first is after the row, where heads are listened to.
        """
        beginnings, rows = tree(paths), len(rests)
        inner = {beginning[:-1] for beginning in beginnings}
        ends = sorted((beginning for beginning in beginnings if beginning not in inner), key=len)  # for little padding
        steps, context = max(map(len, ends), default=0), self._passes.context or float("inf")
        with heads.at(len(rests[0]) - 1) if heads else nullcontext([]) as seen:
            if self._way is Way.PACKED and len(request.prompt) + len(beginnings) <= context:
                for some in _parts(ends, max(1, self._positions // rows // max(1, steps))):
                    logits, _ = self._passes(rests, None if past is None else branch(past), share=False, paths=some)
                    yield logits, {(): 0} | {node: i + 1 for i, node in enumerate(tree(some))}, seen
                    seen.clear()
                return
            kept = steps + 1 if self._passes.keeps_logits else request.longest
            size = max(1, min(self.tokens_at_once // (rows * request.longest), self._positions // (rows * kept)))
            if self._way is Way.WHOLE:
                for some in _of_like_length(ends or [()], size, rows):
                    steps, tails = len(some[-1]), _padded(some)
                    ids = [row + tail for row in rests for tail in tails]
                    logits, _ = self._passes(ids, keep=steps + 1, share=False)
                    yield logits.reshape(rows, -1, logits.shape[-1]), _slots(some, 0), [x[:: len(tails)] for x in seen]
                    seen.clear()
                return
            logits, past = self._passes(rests, past)
            yield logits, {(): 0}, seen
        if not ends:
            return
        for some in _of_like_length(ends, size, rows):
            steps = len(some[-1])
            tails = _padded(some)
            cache = repeated(past, [row for row in range(rows) for _ in some], steps)
            logits, _ = self._passes(tails * rows, cache, keep=steps)
            yield logits.reshape(rows, -1, logits.shape[-1]), _slots(some, 1), []

    def _generate(
        self, requests: list[GenerateRequest], rests: list[list[int]], past: Cache | None
    ) -> Iterator[tuple[int, int]]:
        """Rows and their next ids. Rows that have ended are carried along until the last one ends."""
        states = [request.constraint.start() if request.constraint else None for request in requests]
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        allowed = [self._allowed(request, state) for request, state in zip(requests, states)]
        going = {row for row in range(len(requests)) if allowed[row] is None or len(allowed[row])}
        shares = self._way > Way.WHOLE
        inputs, step = rests, 0
        while going:
            logits, past = self._passes(inputs, past, share=shares)
            logits = logits[:, -1].float().cpu()
            fresh, step = [0] * len(requests), step + 1
            for row in sorted(going):
                request = requests[row]
                self._passes.check(logits[row] if allowed[row] is None else logits[row, allowed[row]])
                token_id = choose(logits[row], allowed[row], request, generators[row])
                if token_id in request.stop_ids:
                    going.remove(row)
                    continue
                yield row, token_id
                fresh[row] = token_id
                if request.constraint:
                    states[row] = request.constraint.step(states[row], token_id)
                    allowed[row] = self._allowed(request, states[row])
                if step == request.max_new_tokens or allowed[row] is not None and not len(allowed[row]):
                    going.remove(row)
            inputs = [[token_id] if shares else [*row, token_id] for row, token_id in zip(inputs, fresh)]

    @staticmethod
    def _allowed(request: GenerateRequest, state) -> torch.LongTensor | None:
        return request.constraint.allowed(state) if request.constraint else None

    def _past(self, prefix: list[int]) -> Cache:
        return self._passes([prefix])[1]

    def _check_scores(self, scores: torch.FloatTensor) -> None:
        if (bad := int((~torch.isfinite(scores)).sum())) > 0:
            raise LanguageModelError(
                f"{self._passes.name} gives NaN or infinite scores ({bad} of {scores.numel()}): try another dtype, "
                "such as float32 or bfloat16, and look whether its weights are whole."
            )

    def _check_length(self, longest: int) -> None:
        context = self._passes.context
        if context is not None and longest > context:
            raise ValueError(
                f"A prompt with its answer has {longest} tokens, {longest - context} more than the language model's "
                f"context of {context}: give fewer or shorter examples, or fewer layers."
            )


def _padded(paths: list[tuple[int, ...]]) -> list[list[int]]:
    """Paths, the longest last, as rows of one length: padding on the right changes nothing."""
    return [[*path, *[0] * (len(paths[-1]) - len(path))] for path in paths]


def _slots(paths: list[tuple[int, ...]], first: int) -> dict[tuple[int, ...], int]:
    """The slot of each beginning of paths that are rows of one length, whose first logits are after `first` ids."""
    size = len(paths[-1]) + 1 - first
    return {path[:n]: k * size + n - first for k, path in enumerate(paths) for n in range(first, len(path) + 1)}


def _parts(items: list, size: int) -> list[list]:
    """Items, so many at a time; one empty part, where there are none."""
    return [items[start : start + size] for start in range(0, max(1, len(items)), size)]


def _of_like_length(paths: list[tuple[int, ...]], size: int, rows: int) -> list[list[tuple[int, ...]]]:
    """Paths, the shortest first, so many at a time; fewer where padding them would take longer than another pass."""
    parts: list[list[tuple[int, ...]]] = []
    for path in paths:
        if parts and len(parts[-1]) < size:
            padding = rows * len(parts[-1]) * (len(path) - len(parts[-1][-1]))
            if padding <= PASS_IN_IDS:
                parts[-1].append(path)
                continue
        parts.append([path])
    return parts


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


__all__ = ["InProcessBackend", "check_embeddings", "load_language_model"]
