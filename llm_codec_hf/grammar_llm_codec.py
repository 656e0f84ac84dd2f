# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What a language model may write: one of some labels, or the audio codes of whole groups in a layout."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import LogitsProcessor

from .arguments_llm_codec import is_whole, whole_number
from .code_ids_llm_codec import as_tensor
from .code_layout_llm_codec import MAX_GROUPS, arrange, check_layout
from .code_tables_llm_codec import CodeTable
from .requests_llm_codec import Constraint

NOTHING = torch.empty(0, dtype=torch.long)


class LabelTrie:
    """
    Exactly one of some labels, as a constraint: a trie over their ids. A state is the tuple of the ids so far.

    Args:
        labels: The ids of each label, its end included.

    Raises:
        ValueError: If a label is empty, or the beginning of another, so that its end could not be told.
    """

    def __init__(self, labels: Sequence[Sequence[int]]):
        self.labels = labels_as_ids(labels)
        following: dict[tuple[int, ...], set[int]] = {}
        for label in self.labels:
            for end, token_id in enumerate(label):
                following.setdefault(label[:end], set()).add(token_id)
        for k, label in enumerate(self.labels):
            if not label or label in following:
                raise ValueError(f"Label {k} (ids {list(label)}) is empty or the beginning of another; give it an end.")
        self._following = {ids: torch.tensor(sorted(following[ids])) for ids in following}

    def start(self) -> tuple[int, ...]:
        """The state before the first id."""
        return ()

    def step(self, state: tuple[int, ...], token_id: int) -> tuple[int, ...]:
        """The state after one more id, which must be among those that `allowed` gives."""
        return (*state, token_id)

    def allowed(self, state: tuple[int, ...]) -> torch.LongTensor:
        """The ids that may come next, ascending, `(ids,)`; none where a label is whole."""
        return self._following.get(state, NOTHING)

    def label(self, generated: Sequence[int]) -> int:
        """
        The index of the label that was written.

        Args:
            generated: All ids that were written, the label's end included.

        Raises:
            ValueError: If they are not those of a label.
        """
        if (ids := tuple(generated)) not in self.labels:
            raise ValueError(f"The ids {list(ids)} are those of none of the {len(self.labels)} labels.")
        return self.labels.index(ids)


def labels_as_ids(labels: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """
    The ids of each label.

    Raises:
        ValueError: If there is no label, or something else than token ids in one.
    """
    if isinstance(labels, str) or not isinstance(labels, Iterable) or not (labels := list(labels)):
        raise ValueError(
            "`labels` takes the token ids of one label or more, as `label_ids` of the processor gives them."
        )
    for label in labels:
        if isinstance(label, str) or not isinstance(label, Sequence) or not all(map(is_whole, label)):
            raise ValueError(f"A label is a list of token ids, got {label!r:.60}.")
    return [tuple(map(int, label)) for label in labels]


class UniAudioLabelMask:
    """
    The mask of the original evaluation, as a constraint: at each position, the ids that any label has there. It mixes
    labels: of "kick drum" and "snare roll" it lets "kick roll" pass. It is here to reproduce figures; [`LabelTrie`] is
    exact. A state is the number of ids so far.

    Args:
        labels: The ids of each label, its end included.
    """

    def __init__(self, labels: Sequence[Sequence[int]]):
        labels = labels_as_ids(labels)
        longest = max(map(len, labels))
        self._columns = [
            torch.tensor(sorted({label[position] for label in labels if position < len(label)}))
            for position in range(longest)
        ]

    def start(self) -> int:
        """The state before the first id."""
        return 0

    def step(self, state: int, token_id: int) -> int:
        """The state after one more id, whichever it is."""
        return state + 1

    def allowed(self, state: int) -> torch.LongTensor:
        """The ids that may come next, ascending, `(ids,)`; none after the longest label."""
        return self._columns[state] if state < len(self._columns) else NOTHING


class PartialReading(NamedTuple):
    """
    One way to read the ids so far.

    Attributes:
        layer: Index of the layer that the next code belongs to, among the layers asked for; their number where the clip
            has all its codes; one more where an id of `end_ids` has ended it.
        count: Codes read: of this layer (layer-major), of the last group (time-major).
        groups: Layer-major: the clip's groups, known once the first layer is read. Time-major: the groups that are
            whole.
        prefix: Ids of a code that is not whole yet.
        codes: The codes read, last first, as nested pairs, so that readings share them.
    """

    layer: int
    count: int
    groups: int | None
    prefix: tuple[int, ...]
    codes: tuple | None


class AudioGrammar:
    """
    Whole groups of audio codes in a layout, as a constraint over token ids and as a reader of them.

    A word may begin like, or be made of, other words, so a state holds every reading of the ids so far, as a tuple.
    First comes the reading that takes the longer code at the first difference; of two readings that go on in the same
    way, only the first is kept. So what is read in the end is what `LLMCodecProcessor.ids_to_codes` reads.

    Args:
        tables: The tables of the layers asked for.
        codes_per_layer: Codes of each of these layers per group.
        layout: "layer_major" or "time_major".
        min_groups: The fewest groups that a clip may have.
        max_groups: The most. If the two are the same, the clip ends by itself.
        end_ids: The ids that end a clip before it has `max_groups`; one of them is then the last of the ids.

    Raises:
        ValueError: If `min_groups` is below 1 or above `max_groups`, or for a clip of open length without `end_ids`.
    """

    def __init__(
        self,
        tables: Sequence[CodeTable],
        codes_per_layer: Sequence[int],
        layout: str,
        min_groups: int,
        max_groups: int,
        end_ids: Iterable[int] = (),
    ):
        check_layout(layout)
        if not (is_whole(min_groups) and is_whole(max_groups) and 1 <= min_groups <= max_groups <= MAX_GROUPS):
            raise ValueError(f"A clip has 1 or more groups, got {min_groups!r} to {max_groups!r} (of {MAX_GROUPS}).")
        self.tables, self.codes_per_layer, self.layout = list(tables), list(codes_per_layer), layout
        self.min_groups, self.max_groups = min_groups, max_groups
        self.end_ids = frozenset(end_ids) if min_groups < max_groups else frozenset()
        if min_groups < max_groups and not self.end_ids:
            raise ValueError(f"A clip of {min_groups} to {max_groups} groups needs `end_ids`, which end it.")
        self._unions: dict[frozenset, torch.LongTensor] = {}

    @property
    def max_ids(self) -> int:
        """The most ids that a clip can take, its end included."""
        longest = sum(n * table.lengths[0] for n, table in zip(self.codes_per_layer, self.tables))
        return longest * self.max_groups + bool(self.end_ids)

    # ---- As a constraint

    def start(self) -> tuple[PartialReading, ...]:
        """The state before the first id."""
        return (PartialReading(0, 0, None if self.layout == "layer_major" else 0, (), None),)

    def step(self, state: tuple[PartialReading, ...], token_id: int) -> tuple[PartialReading, ...]:
        """The state after one more id; an empty one if the id is not among those that `allowed` gives."""
        after, seen = [], set()
        for reading in state:
            for follower in self._followers(reading, token_id):
                if (rest := follower[:-1]) not in seen:
                    seen.add(rest)
                    after.append(follower)
        return tuple(after)

    def allowed(self, state: tuple[PartialReading, ...]) -> torch.LongTensor:
        """The ids that may come next, ascending, `(ids,)`; none where the clip has ended."""
        whole = any(map(self._is_whole, state))
        if whole and not self.end_ids or all(reading.layer >= len(self.tables) for reading in state):
            return NOTHING
        prefixes = {(reading.layer, reading.prefix) for reading in state if reading.layer < len(self.tables)}
        if (key := frozenset(prefixes | {"end"} if whole else prefixes)) not in self._unions:
            ids = {i for layer, prefix in prefixes for i in self.tables[layer].following(prefix)}
            self._unions[key] = torch.tensor(sorted(ids | self.end_ids if whole else ids))
        return self._unions[key]

    # ---- As a reader

    def codes(self, state: tuple[PartialReading, ...]) -> torch.LongTensor:
        """
        The codes of a clip that is whole.

        Returns:
            int64, `(codes of the layers asked for per group, groups)`.

        Raises:
            ValueError: If no reading of the ids is a whole clip.
        """
        for reading in state:
            if self._is_whole(reading):
                return self._arranged(_in_order(reading.codes), reading.groups)
        raise ValueError(
            f"The ids are no whole clip of {self.min_groups} to {self.max_groups} groups of codes: "
            + ("they end too early." if state else "an id among them continues no code.")
        )

    def read(self, ids: Iterable[int]) -> torch.LongTensor:
        """
        The codes of ids, whether or not they were written under this constraint.

        Args:
            ids: The token ids; what follows a whole clip is left out.

        Returns:
            int64, `(codes of the layers asked for per group, groups)`.

        Raises:
            ValueError: If an id continues no code, naming the first, or if the clip is not whole.
        """
        state = self.start()
        ids = ids if isinstance(ids, torch.Tensor | np.ndarray) or not isinstance(ids, Iterable) else list(ids)
        for position, token_id in enumerate(as_tensor(ids, "ids", ndim=1).tolist()):
            if not (after := self.step(state, token_id)):
                if any(map(self._is_whole, state)):
                    break
                raise ValueError(f"Id {token_id} at position {position} continues no code of the clip.")
            state = after
        return self.codes(state)

    def determined(self, state: tuple[PartialReading, ...]) -> torch.LongTensor:
        """
        The codes of the leading groups that are final, whatever ids follow.

        Returns:
            int64, `(codes of the layers asked for per group, groups)`: the leading groups that are read as a whole, and
            on which all readings of the ids so far agree; possibly none.
        """
        if not state:
            raise ValueError("An id among those of this state continues no code, so nothing is determined.")
        readings = [(r, _in_order(r.codes)) for r in state]
        first, codes = readings[0]
        sure = min((_common(codes, others) for _, others in readings), default=0)
        per_group = sum(self.codes_per_layer)
        if self.layout == "time_major" or len(self.tables) == 1:
            groups = sure // per_group
            return self._arranged(codes[: groups * per_group], groups)
        if first.groups is None or any(r.groups != first.groups for r, _ in readings):
            return torch.empty(per_group, 0, dtype=torch.long)
        before = first.groups * sum(self.codes_per_layer[:-1])
        groups = max(0, sure - before) // self.codes_per_layer[-1]
        return self._arranged(codes, first.groups)[:, :groups]

    # ---- Readings

    def _followers(self, reading: PartialReading, token_id: int) -> list[PartialReading]:
        """The readings after one more id: first the one in which a code goes on, then those in which it is whole."""
        if reading.layer > len(self.tables):
            return []
        found = []
        if reading.layer < len(self.tables):
            table, ids = self.tables[reading.layer], (*reading.prefix, token_id)
            if table.following(ids):
                found.append(reading._replace(prefix=ids))
            if (code := table.code(ids)) is not None:
                found += self._advanced(reading._replace(prefix=(), codes=(code, reading.codes)))
        if token_id in self.end_ids and self._is_whole(reading):  # one that has ended has returned above
            found.append(reading._replace(layer=len(self.tables) + 1))
        return found

    def _advanced(self, reading: PartialReading) -> list[PartialReading]:
        """The readings that follow from one that has just read one more code; its `count` leaves that code out."""
        layer, groups, count = reading.layer, reading.groups, reading.count + 1
        if self.layout == "time_major":
            while count == sum(self.codes_per_layer[: layer + 1]):
                layer += 1
                if layer == len(self.tables):
                    layer, count, groups = 0, 0, groups + 1
                    break
            if groups == self.max_groups:
                layer = len(self.tables)
            return [reading._replace(layer=layer, count=count, groups=groups)]
        per_group = self.codes_per_layer[layer]
        if layer > 0:
            if count == per_group * groups:
                layer, count = layer + 1, 0
            return [reading._replace(layer=layer, count=count)]
        found = []
        if count % per_group == 0 and self.min_groups <= count // per_group <= self.max_groups:
            found.append(reading._replace(layer=1, count=0, groups=count // per_group))
        if count < per_group * self.max_groups:
            found.append(reading._replace(count=count))
        return found

    def _is_whole(self, reading: PartialReading) -> bool:
        """Whether the clip may end here, or has ended."""
        if reading.layer >= len(self.tables):
            return True
        at_end = self.layout == "time_major" and (reading.layer, reading.count, reading.prefix) == (0, 0, ())
        return at_end and reading.groups >= self.min_groups

    def _arranged(self, codes: list[int], groups: int) -> torch.LongTensor:
        return arrange(codes, self.codes_per_layer, self.layout, groups)


class ConstrainedLogitsProcessor(LogitsProcessor):
    """
    A constraint for `generate` of Transformers: the ids that may not come next get the score −∞.

    Args:
        constraint: What may be written, such as a [`LabelTrie`] or an [`AudioGrammar`].
        prompt_length: Ids of the prompt in each row, padding included.
        eos_token_id: What is written where nothing more may come.
    """

    def __init__(self, constraint: Constraint, prompt_length: int, eos_token_id: int):
        if not all(hasattr(constraint, name) for name in ("start", "step", "allowed")):
            raise TypeError(
                f"`constraint` is a LabelTrie, an AudioGrammar or the like; got {type(constraint).__name__}."
            )
        self.constraint = constraint
        self.prompt_length = whole_number("prompt_length", prompt_length, 0)
        self.eos_token_id = whole_number("eos_token_id", eos_token_id, 0)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """
        Scores with −∞ for the ids that may not come next.

        Args:
            input_ids: The prompt's and the generated ids, `(rows, ids)`.
            scores: The logits of the next id, `(rows, vocabulary)`.
        """
        if input_ids.shape[1] < self.prompt_length:
            raise ValueError(
                f"`prompt_length` is {self.prompt_length}, but the rows have {input_ids.shape[1]} ids: it counts those "
                "of the prompt, padding included."
            )
        masked = torch.full_like(scores, -torch.inf)
        for row, ids in enumerate(input_ids[:, self.prompt_length :].tolist()):
            state = self.constraint.start()
            for token_id in ids:  # from the start each time: beams come, go and change their rows
                allowed = self.constraint.allowed(state)
                if not len(allowed):
                    break
                state = self.constraint.step(state, token_id)
            allowed = self.constraint.allowed(state)
            allowed = allowed if len(allowed) else torch.tensor([self.eos_token_id])
            if allowed.max() >= scores.shape[1]:
                raise ValueError(
                    f"The constraint asks for the id {int(allowed.max())}, but the language model has {scores.shape[1]}"
                    " ids: use the one that the codec was made for."
                )
            masked[row, allowed.to(scores.device)] = scores[row, allowed.to(scores.device)]
        return masked


def _in_order(codes: tuple | None) -> list[int]:
    found = []
    while codes is not None:
        code, codes = codes
        found.append(code)
    return found[::-1]


def _common(first: list[int], second: list[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(first, second)) if a != b), min(len(first), len(second)))


__all__ = ["AudioGrammar", "ConstrainedLogitsProcessor", "LabelTrie", "UniAudioLabelMask"]
