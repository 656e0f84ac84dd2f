# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Tables from audio codes to token ids, and the search that reads ids back as codes."""

import json
import os
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import torch

from .arguments_llm_codec import is_whole, whole_number


class CodeTable:
    """
    The token ids of one quantizer layer's codes. It never changes once it is built.

    Args:
        entries: For each code its token id, or the list of its ids; or `{"range": n}`, where code c is token c; or
            `{"range": 0}` for a layer above 0 whose codes this vocabulary has no ids for.
        vocab_size: The tokenizer's vocabulary; ids must lie below it.
        layer: The layer's index, for messages.

    Attributes:
        sequences (`tuple[tuple[int, ...], ...]`): The ids of every code.
        lengths (`list[int]`): The different numbers of ids that codes have, the largest first.

    Raises:
        ValueError: If a code has no ids, an id outside the vocabulary, or the same ids as another code, so that codes
            could not be read back.
    """

    def __init__(self, entries: Sequence[int | Sequence[int]] | Mapping, vocab_size: int, layer: int):
        if isinstance(entries, Mapping):
            if set(entries) != {"range"}:
                raise ValueError(f"Layer {layer}'s table is a list or {{'range': n}}, got the keys {list(entries)}.")
            least = 0 if layer else 1
            entries = range(whole_number(f"range of layer {layer}", entries["range"], least, vocab_size))
        if isinstance(entries, str) or not isinstance(entries, Sequence):
            raise ValueError(f"Layer {layer}'s table is a list or {{'range': n}}, got {type(entries).__name__}.")
        self.sequences = tuple(_ids_of(entry, code, layer) for code, entry in enumerate(entries))
        if not self.sequences and entries != range(0):
            raise ValueError(f"Layer {layer}'s table has no code; give the token ids of at least one.")
        self._codes: dict[tuple[int, ...], int] = {}
        for code, ids in enumerate(self.sequences):
            if not ids:
                raise ValueError(f"Code {code} of layer {layer} has no token id; every code needs at least one.")
            if not (0 <= min(ids) and max(ids) < vocab_size):
                raise ValueError(
                    f"Code {code} of layer {layer} has the token ids {list(ids)}, but the tokenizer's vocabulary ends "
                    f"at {vocab_size - 1}. Is this the tokenizer that the codec was made for?"
                )
            if self._codes.setdefault(ids, code) != code:
                raise ValueError(
                    f"Codes {self._codes[ids]} and {code} of layer {layer} have the same token ids {list(ids)}, so "
                    "they could not be told apart; every code needs ids of its own."
                )
        self.lengths = sorted({len(ids) for ids in self.sequences}, reverse=True)
        self._following: dict[tuple[int, ...], set[int]] = {}
        for ids in self.sequences:
            for end, token_id in enumerate(ids):
                self._following.setdefault(ids[:end], set()).add(token_id)

    def __len__(self) -> int:
        return len(self.sequences)

    def __deepcopy__(self, memo) -> "CodeTable":
        return self  # `ProcessorMixin.to_dict` copies every attribute, at every log line

    def to_json(self) -> list | dict:
        """The `entries` that make this table again, as short as JSON allows."""
        if all(ids == (code,) for code, ids in enumerate(self.sequences)):
            return {"range": len(self)}
        return [ids[0] if len(ids) == 1 else list(ids) for ids in self.sequences]

    def code(self, ids: tuple[int, ...]) -> int | None:
        """The code that has exactly these ids, or None."""
        return self._codes.get(ids)

    def following(self, prefix: tuple[int, ...]) -> Set[int]:
        """The ids that may follow the beginning of a code; none after a whole code that no longer code begins with."""
        return self._following.get(prefix, frozenset())

    def matches(self, ids: list[int], position: int) -> list[tuple[int, int]]:
        """The codes whose ids stand at a position: (number of ids, code) pairs, the longest first."""
        found = ((n, self._codes.get(tuple(ids[position : position + n]))) for n in self.lengths)
        return [(n, code) for n, code in found if code is not None and position + n <= len(ids)]

    def prefix_end(self, ids: list[int], position: int) -> int:
        """The first position at which the ids from `position` on do not begin a longer code any more."""
        end = position
        while end < len(ids) and tuple(ids[position : end + 1]) in self._following:
            end += 1
        return end


def _ids_of(entry: Any, code: int, layer: int) -> tuple[int, ...]:
    """The ids of a table's entry: one, or a list of them."""
    ids = (entry,) if is_whole(entry) else entry
    if isinstance(ids, str) or not isinstance(ids, Sequence) or not all(map(is_whole, ids)):
        raise ValueError(f"Code {code} of layer {layer} has a token id or a list of token ids, got {entry!r:.100}.")
    return tuple(map(int, ids))


def check_tables(token_ids: Any, num_layers: int) -> list:
    """
    The entries of each layer's table, None where they are left to the default.

    Raises:
        ValueError: If there are not as many as layers.
    """
    if token_ids is None:
        return [None] * num_layers
    if isinstance(token_ids, str) or not isinstance(token_ids, Sequence):
        raise ValueError(f"`token_ids` is a list of tables, one per layer; got {type(token_ids).__name__}.")
    if len(token_ids) != num_layers:
        raise ValueError(f"There are {num_layers} layers (`vq_strides`), but {len(token_ids)} tables of ids.")
    return list(token_ids)


def read_tables(path: str | os.PathLike) -> tuple[list, list]:
    """
    The words and the tables of a file.

    Raises:
        ValueError: If it does not hold them.
    """
    with open(path, encoding="utf-8") as file:
        try:
            content = json.load(file)
        except ValueError as error:
            raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict) or not {"words", "token_ids"} <= content.keys():
        raise ValueError(f"{path} should hold `words` and `token_ids`, as `save_pretrained` writes them.")
    return content["words"], content["token_ids"]


class FlatTables:
    """All layers' tables in one ragged array, for codes to ids without a Python loop."""

    def __init__(self, tables: Sequence[CodeTable]):
        sequences = [ids for table in tables for ids in table.sequences]
        self.sizes = torch.tensor([len(ids) for ids in sequences])
        self.starts = self.sizes.cumsum(0) - self.sizes
        self.ids = torch.tensor([i for ids in sequences for i in ids])
        self.offsets = torch.tensor([0, *map(len, tables)]).cumsum(0)[:-1]

    def __deepcopy__(self, memo) -> "FlatTables":
        return self

    def lookup(self, entries: torch.Tensor) -> list[int]:
        """The ids of entries `(codes,)` in turn, an entry being its layer's offset plus its code."""
        sizes = self.sizes[entries]
        shift = self.starts[entries] - (sizes.cumsum(0) - sizes)
        return self.ids[torch.repeat_interleave(shift, sizes) + torch.arange(int(sizes.sum()))].tolist()


class Split(NamedTuple):
    """
    What `read_codes` found.

    Attributes:
        codes: The codes in the pattern's order, or None where there is no reading.
        position: Where there is none, the furthest position whose id could not be read.
        count: The number of codes read before the one that failed there.
    """

    codes: list[int] | None
    position: int = 0
    count: int = 0


def read_codes(ids: list[int], pattern: list[CodeTable], cyclic: bool, partial: bool) -> Split:
    """
    Splits ids into the codes of a pattern of tables, if that can be done at all.

    Words of several ids may begin like, or be made of, other words, so the split is a search: depth first, the longest
    code first, and from each pair of an index in the pattern and a position only once. Where several splits exist, the
    first in that order is taken: at the first code in which two differ, the longer one.

    Args:
        ids: The token ids.
        pattern: The table of each code in turn.
        cyclic: Whether the pattern may repeat any number of times, none included; otherwise it is used once.
        partial: Whether the ids may end anywhere in the pattern, also within a code, which is then left out.

    Returns:
        The codes, or how far the ids could be read.
    """
    least = [0] * (len(pattern) + 1)  # ids that the rest of the pattern takes, at least and at most
    most = list(least)
    for i in reversed(range(len(pattern))):
        least[i] = least[i + 1] + pattern[i].lengths[-1]
        most[i] = most[i + 1] + pattern[i].lengths[0]

    end, goal = len(ids), 0 if cyclic else len(pattern)
    codes, seen = [], set()
    furthest, furthest_count = 0, 0
    stack = [(0, 0, 0)]  # (codes read, position after them, the last of them)
    while stack:
        count, position, code = stack.pop()
        if position > end:  # the mark of a code cut short, left below its node's other ways
            return Split(codes[:count])
        if count:
            codes[count - 1 :] = [code]
        state = count % len(pattern) if cyclic else count
        if position == end and (partial or state == goal):
            return Split(codes[:count])
        if (state, position) in seen:
            continue
        seen.add((state, position))
        if state == len(pattern):
            blocked = position
        else:
            if not (cyclic or partial or least[state] <= end - position <= most[state]):
                continue
            found = pattern[state].matches(ids, position)
            blocked = end if found and not partial else pattern[state].prefix_end(ids, position)
            if partial and blocked == end:
                stack.append((count, end + 1, 0))
            stack.extend((count + 1, position + n, code) for n, code in reversed(found))
            if found:
                continue
        if blocked >= furthest:
            furthest, furthest_count = blocked, count
    return Split(None, furthest, furthest_count)
