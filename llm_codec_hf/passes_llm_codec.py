# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Passes through a causal language model, whatever its arguments are called, and how much of them prompts may share.

A model is not believed: before it answers, one full pass is compared with the passes that share what rows have in
common. Some models leave their cache out of the account, or read several ids behind it otherwise than from the start.
"""

import enum
import inspect
from collections.abc import Sequence

import torch
from transformers import Cache, PreTrainedModel
from transformers.utils import logging

from .caches_llm_codec import branch, repeated
from .requests_llm_codec import LanguageModelError

logger = logging.get_logger(__name__)

# What a model calls its keys and values, or its state: Transformers from 5.24 on; before; models of state spaces before
CACHE_NAMES = ("cache", "past_key_values", "cache_params")
# What configs call the number of ids that a model reads at most …
CONTEXT_NAMES = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "max_sequence_length",
    "max_target_positions",
    "n_ctx",
)
# … and the lengths past which it works otherwise
TURNING_NAMES = (
    "sliding_window",
    "window_size",
    "attention_window",
    "attention_chunk_size",
    "original_max_position_embeddings",
)
# How far two ways of computing the same logits may be apart, relative to their spread over the vocabulary. Rounding
# measured on SmolLM2-135M: up to 2e-6, 5e-3 and 5e-2. A model that misreads its cache is off by more, or by so little
# that rounding hides it anyway.
BOUNDS = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 0.03, torch.bfloat16: 0.15}
PROBE = 24, 96  # ids of the comparison, at least and, below the first turning length, at most
TAIL = 3  # ids of each of its answers
# What is wrong inside a model's code; memory that ran out is no fault of the model, and an interrupt no error
FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Way(enum.IntEnum):
    """How much of their prompts requests share; a higher one is faster."""

    WHOLE = 0  # nothing: each answer is a row of a full pass
    ROWS = 1  # the keys and values of what prompts have in common; each label is a row behind them
    PACKED = 2  # these, and all labels in one row, held apart by an attention mask


class Passes:
    """
    A causal language model as `(ids, past) → logits, past`.

    Args:
        model (`PreTrainedModel`): Any model of `AutoModelForCausalLM`.
    """

    def __init__(self, model: PreTrainedModel):
        self.model = model
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # of an adapter
        inner = getattr(inner, "_orig_mod", inner)  # of torch.compile
        known = set(inspect.signature(inner.forward).parameters)
        self.cache_name = next((name for name in CACHE_NAMES if name in known), None)
        self.can_pack = self.cache_name is not None and {"attention_mask", "position_ids"} <= known
        self.keeps_logits = "logits_to_keep" in known
        self._caches = "use_cache" in known
        config = _text_config(model)
        self.context = next((n for name in CONTEXT_NAMES if _is_length(n := getattr(config, name, None))), None)
        turns = {n for name in TURNING_NAMES for n in _found(config.to_dict(), name)}
        self.turning_lengths = sorted({n for turn in turns for n in (turn, 2 * turn)})

    @property
    def name(self) -> str:
        """The model and its dtype, for messages."""
        path = getattr(self.model.config, "_name_or_path", "")
        dtype = str(self.model.dtype).removeprefix("torch.")
        return f"The language model {type(self.model).__name__}{f' of {path}' if path else ''} in {dtype}"

    @property
    def vocabulary(self) -> int:
        """Entries of its embeddings."""
        return embedding_entries(self.model)

    def __call__(
        self,
        ids: Sequence[Sequence[int]],
        past: Cache | None = None,
        keep: int = 1,
        share: bool = True,
        paths: Sequence[Sequence[int]] = (),
    ) -> tuple[torch.Tensor, Cache | None]:
        """
        Reads rows of ids of one length.

        Args:
            ids: A list for each row.
            past: What the rows have read before; it is written into.
            keep: Positions at the end whose logits are wanted.
            share: Whether the pass is part of a prompt, and what it read is returned.
            paths: Ids behind each row that branch at its end, in the order of [`tree`]; each is read behind the row and
                what it branches from, as if it stood there alone. Logits of these come behind those that are kept.

        Returns:
            Logits `(rows, keep + len(tree(paths)), vocabulary)`, and what is read by then; None where it is not shared.

        Raises:
            LanguageModelError: where the model fails, naming it; memory that runs out is not caught.
        """
        options, nodes = {}, tree(paths)
        if self._caches:
            options["use_cache"] = self.cache_name is not None and (share or past is not None)
        if past is not None:
            options[self.cache_name] = past
        try:
            device = self.model.get_input_embeddings().weight.device
            if nodes:
                start, length = past.get_seq_length() if past is not None else 0, len(ids[0])
                packed = {
                    name: value.to(device) for name, value in _packed(nodes, start, length, self.model.dtype).items()
                }
                options |= {name: value.expand(len(ids), *value.shape[1:]) for name, value in packed.items()}
            keep += len(nodes)
            if self.keeps_logits:
                options["logits_to_keep"] = keep
            rows = [[*row, *(node[-1] for node in nodes)] for row in ids]
            outputs = self.model(torch.tensor(rows, device=device), **options)
            logits = outputs.logits[:, -keep:]
        except torch.OutOfMemoryError:
            raise
        except FAULTS as error:
            raise LanguageModelError(
                f"{self.name} cannot read {len(ids)} × {len(ids[0])} ids: {type(error).__name__}: {error}"
            ) from error
        if not share:
            return logits, None
        return logits, next((c for name in CACHE_NAMES if (c := getattr(outputs, name, None)) is not None), None)

    # ---- The comparison

    def way(self, ids: Sequence[int], longest: int) -> Way:
        """
        The fastest way whose passes give what a full pass gives, within [`BOUNDS`]; a slow one is told of, once.

        Args:
            ids: A prompt, whose ids the comparison reads.
            longest: Ids of the prompt with its answer. Where they pass a turning length, the comparison does, too.

        Raises:
            LanguageModelError: for a model that gives NaN or infinite logits, or none, and for one whose answer to a
                prompt depends on what comes behind it.
        """
        length = max(longest, PROBE[0])
        if not self.turning_lengths or length <= self.turning_lengths[0]:
            length = min(length, PROBE[1])
        ids = (list(ids) * -(-length // len(ids)))[:length]
        start = len(ids) * 3 // 4
        prefix, rest, tail = ids[:start], ids[start:-TAIL], ids[-TAIL:]
        rests, tails = [rest, rest[::-1]], [tail, [*tail[:0:-1], 0]]  # the last id of the second is padding
        expected, _ = self([prefix + row + end for row, end in zip(rests, tails)], keep=TAIL + 1, share=False)
        self.check(expected)
        reason = f"it has no argument {' or '.join(CACHE_NAMES)}"
        if self.cache_name is not None:
            try:
                distance, past = self._compare_rows(prefix, rests, tails, expected)
            except FAULTS as error:
                reason = f"its passes behind keys and values fail ({error})"
            else:
                if distance <= self.bound:
                    return Way.PACKED if self.can_pack and self._packs(past, rests, tails, expected) else Way.ROWS
                reason = (
                    f"its passes behind keys and values differ from a full pass by {distance:.2g} of the logits' spread"
                )
        alone, _ = self([prefix + rest], share=False)
        if (distance := _distance(alone, expected[:1, :1])) > self.bound:
            raise LanguageModelError(
                f"{self.name} is not causal: what comes behind a prompt changes its answer by {distance:.2g} of the "
                "logits' spread. Use a model that was trained to continue texts."
            )
        logger.warning_once(f"{self.name} is asked by full passes, which take longer: {reason}.")
        return Way.WHOLE

    @property
    def bound(self) -> float:
        """How far logits may be apart that should be equal, relative to their spread."""
        return BOUNDS.get(self.model.dtype, max(BOUNDS.values()))

    def check(self, logits: torch.Tensor) -> None:
        """Raises a LanguageModelError for logits that are NaN, or infinite but for ids that can never come."""
        if bool(torch.isfinite(logits.max(dim=-1).values).all()) and not bool(torch.isnan(logits).any()):
            return
        raise LanguageModelError(
            f"{self.name} gives NaN or infinite logits, of which no answer can be made. Try another dtype, such as "
            "float32 or bfloat16, and look whether its weights are whole."
        )

    def _compare_rows(self, prefix, rests, tails, expected) -> tuple[float, Cache]:
        """The greatest distance of passes of every kind that is used, and what the prefix left."""
        _, past = self([prefix])
        if past is None:
            raise LanguageModelError("it returns none")
        room = len(rests[0]) + TAIL
        logits, rows = self(rests, repeated(past, [0, 0], room))
        compared = [(logits, expected[:, :1])]
        self(tails[::-1], branch(rows), keep=TAIL)  # it must leave no trace
        logits, going = self([tail[:1] for tail in tails], branch(rows))
        compared.append((logits, expected[:, 1:2]))
        logits, _ = self([tail[1:] for tail in tails], going, keep=TAIL - 1)
        compared.append((logits[:, : TAIL - 2], expected[:, 2:TAIL]))
        logits, _ = self(tails[::-1], repeated(rows, [1, 0], TAIL), keep=TAIL)
        compared.append((logits[:, : TAIL - 1], expected.flip(0)[:, 1:TAIL]))
        return max(_distance(*pair) for pair in compared), past

    def _packs(self, past: Cache, rests, tails, expected) -> bool:
        """Whether answers in one row are what they are alone."""
        paths = [tails[0], tails[1][:-1]]
        nodes = tree(paths)
        try:
            logits, _ = self(rests, repeated(past, [0, 0], len(rests[0]) + len(nodes)), paths=paths)
        except FAULTS:
            return False
        slots = {node: i + 1 for i, node in enumerate(nodes)} | {(): 0}
        for row, path in enumerate(paths):
            places = [slots[tuple(path[:n])] for n in range(len(path) + 1)]
            if not _distance(logits[row, places], expected[row, : len(places)]) <= self.bound:
                return False
        return True


def tree(paths: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Every beginning of some paths once, each behind those that it goes on from."""
    return list(dict.fromkeys(tuple(path[:n]) for path in paths for n in range(1, len(path) + 1)))


def _packed(nodes: Sequence[tuple[int, ...]], start: int, length: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Positions `(1, queries)` and the mask `(1, 1, queries, keys)` of a row and what branches at its end."""
    place = {node: start + length + i for i, node in enumerate(nodes)}
    allowed = torch.ones(length + len(nodes), start + length + len(nodes), dtype=torch.bool).tril(start)
    allowed[length:, start + length :] = False
    for i, node in enumerate(nodes):
        allowed[length + i, [place[node[:n]] for n in range(1, len(node) + 1)]] = True
    # numbers to add, not booleans: these are taken by every implementation of attention that takes a mask at all
    mask = torch.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)
    positions = [*range(start, start + length), *(start + length + len(node) - 1 for node in nodes)]
    return {"attention_mask": mask[None, None], "position_ids": torch.tensor([positions])}


def _distance(logits: torch.Tensor, expected: torch.Tensor) -> float:
    """The greatest distance of logits `(…, vocabulary)` from others, relative to their spread."""
    logits, expected = logits.float(), expected.float()
    finite = torch.isfinite(expected)
    if logits.shape != expected.shape or bool((torch.isfinite(logits) != finite).any()):
        return float("inf")
    difference = torch.where(finite, logits - expected, 0.0)
    spread = torch.where(finite, expected, 0.0).std(dim=-1, correction=0)
    return float((difference.std(dim=-1, correction=0) / spread.clamp_min(1e-6)).max())


def embedding_entries(model: PreTrainedModel) -> int:
    """
    How many token ids a language model embeds.

    Raises:
        LanguageModelError: where it has no embeddings of token ids.
    """
    try:
        embeddings = model.get_input_embeddings()
        return getattr(embeddings, "num_embeddings", None) or embeddings.weight.shape[0]
    except (AttributeError, NotImplementedError) as error:
        raise LanguageModelError(f"{type(model).__name__} has no embeddings of token ids: {error}") from error


def _text_config(model: PreTrainedModel):
    try:
        return model.config.get_text_config(decoder=True)
    except ValueError:  # several that could be meant
        return model.config


def _found(config: dict, name: str) -> list[int]:
    """The lengths of a name anywhere in a config."""
    found = []
    for key, value in config.items():
        if key == name:
            found += [n for n in (value if isinstance(value, (list, tuple)) else [value]) if _is_length(n)]
        elif isinstance(value, dict):
            found += _found(value, name)
    return found


def _is_length(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


__all__ = ["Passes", "Way", "embedding_entries", "tree"]
