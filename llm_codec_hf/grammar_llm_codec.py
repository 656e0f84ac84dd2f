# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What a language model may write: one of some labels, or the audio codes of whole groups in a layout."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from transformers import LogitsProcessor

from .code_tables_llm_codec import CodeTable
from .requests_llm_codec import Constraint


class LabelTrie:
    """
    Exactly one of some labels: a trie over their ids. The state is the tuple of the ids so far.

    Args:
        labels (`Sequence[list[int]]`): The ids of each label, its end included.

    Raises:
        ValueError: if a label is empty, or the beginning of another, so that its end could not be told.
    """

    def __init__(self, labels: Sequence[Sequence[int]]):
        self.labels = [tuple(label) for label in labels]
        following: dict[tuple[int, ...], set[int]] = {}
        for label in self.labels:
            for end, token_id in enumerate(label):
                following.setdefault(label[:end], set()).add(token_id)
        for k, label in enumerate(self.labels):
            if not label or label in following:
                raise ValueError(f"Label {k} (ids {list(label)}) is empty or the beginning of another; give it an end.")
        self._following = {ids: torch.tensor(sorted(following[ids])) for ids in following}

    def start(self) -> tuple[int, ...]:
        return ()

    def step(self, state: tuple[int, ...], token_id: int) -> tuple[int, ...]:
        return (*state, token_id)

    def allowed(self, state: tuple[int, ...]) -> torch.LongTensor:
        return self._following.get(state, NOTHING)

    def label(self, generated: Sequence[int]) -> int:
        """The number of the label that was written."""
        return self.labels.index(tuple(generated))


class UniAudioLabelMask:
    """
    The mask of the original evaluation: at each position, the ids that any label has there. It mixes labels: of
    "kick drum" and "snare roll" it lets "kick roll" pass. Here to reproduce figures; [`LabelTrie`] is exact.

    Args:
        labels (`Sequence[list[int]]`): The ids of each label, its end included.
    """

    def __init__(self, labels: Sequence[Sequence[int]]):
        longest = max(map(len, labels))
        self._columns = [
            torch.tensor(sorted({label[place] for label in labels if place < len(label)})) for place in range(longest)
        ]

    def start(self) -> int:
        return 0

    def step(self, state: int, token_id: int) -> int:
        return state + 1

    def allowed(self, state: int) -> torch.LongTensor:
        return self._columns[state] if state < len(self._columns) else NOTHING


class Reading(NamedTuple):
    """One way to read the ids so far: where it stands, and the codes that it has read, last first, as nested pairs."""

    layer: int  # place among the layers asked for; their number where the clip is whole
    count: int  # codes read: of this layer (layer-major), of the last group (time-major)
    groups: int | None  # layer-major: known once the first layer is read; time-major: those that are whole
    prefix: tuple[int, ...]  # ids of a code that is not whole yet
    codes: tuple | None


class AudioGrammar:
    """
    Whole groups of audio codes in a layout, as token ids.

    A word may begin like, or be made of, other words, so a state holds every reading of the ids so far: as a tuple,
    the one that takes the longer code at the first difference first, and of two that stand at the same place that one
    alone. So what is read in the end is what `LLMCodecProcessor.ids_to_codes` reads.

    Args:
        tables (`Sequence[CodeTable]`): Those of the layers asked for.
        codes_per_layer (`Sequence[int]`): Codes that each has in a group.
        layout (`str`): "layer_major" or "time_major".
        min_groups (`int`): Groups at least.
        max_groups (`int`): Groups at most. If the two are the same, the clip ends by itself.
        end_ids (`Iterable[int]`): What ends a clip before it has `max_groups`; the last of the generated ids then.

    Raises:
        ValueError: for numbers of groups that mean nothing, and for a clip of open length without `end_ids`.
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
        if not 1 <= min_groups <= max_groups:
            raise ValueError(f"A clip has 1 or more groups, got {min_groups} to {max_groups}.")
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

    def start(self) -> tuple[Reading, ...]:
        return (Reading(0, 0, None if self.layout == "layer_major" else 0, (), None),)

    def step(self, state: tuple[Reading, ...], token_id: int) -> tuple[Reading, ...]:
        after, seen = [], set()
        for reading in state:
            for follower in self._followers(reading, token_id):
                if (place := follower[:-1]) not in seen:
                    seen.add(place)
                    after.append(follower)
        return tuple(after)

    def allowed(self, state: tuple[Reading, ...]) -> torch.LongTensor:
        whole = any(map(self._is_whole, state))
        if whole and not self.end_ids or all(reading.layer >= len(self.tables) for reading in state):
            return NOTHING
        places = {(reading.layer, reading.prefix) for reading in state if reading.layer < len(self.tables)}
        if (key := frozenset(places | {"end"} if whole else places)) not in self._unions:
            ids = {i for layer, prefix in places for i in self.tables[layer].following(prefix)}
            self._unions[key] = torch.tensor(sorted(ids | self.end_ids if whole else ids))
        return self._unions[key]

    # ---- As a reader

    def codes(self, state: tuple[Reading, ...]) -> torch.LongTensor:
        """
        The codes `(codes_per_group of the layers asked for, groups)` of a clip that is whole.

        Raises:
            ValueError: if no reading of the ids is a whole clip.
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
        The codes of ids, whoever wrote them; what follows a whole clip is no part of it.

        Raises:
            ValueError: naming the first id that continues no code, or that the clip is not whole.
        """
        state = self.start()
        for position, token_id in enumerate(ids):
            if not (after := self.step(state, int(token_id))):
                if any(map(self._is_whole, state)):
                    break
                raise ValueError(f"Id {int(token_id)} at position {position} continues no code of the clip.")
            state = after
        return self.codes(state)

    def determined(self, state: tuple[Reading, ...]) -> torch.LongTensor:
        """The first groups, all of whose codes are read, on which every reading so far agrees; possibly none."""
        readings = [(r, _in_order(r.codes)) for r in state]
        first, codes = readings[0]
        sure = min((_common(codes, others) for _, others in readings), default=0)
        per_group = sum(self.codes_per_layer)
        if self.layout == "time_major" or len(self.tables) == 1:
            return self._arranged(codes[: sure // per_group * per_group], sure // per_group)
        if first.groups is None or any(r.groups != first.groups for r, _ in readings):
            return torch.empty(per_group, 0, dtype=torch.long)
        before = first.groups * sum(self.codes_per_layer[:-1])
        groups = max(0, sure - before) // self.codes_per_layer[-1]
        filled = codes + [0] * (first.groups * per_group - len(codes))
        return self._arranged(filled, first.groups)[:, :groups]

    # ---- Readings

    def _followers(self, reading: Reading, token_id: int) -> list[Reading]:
        """Readings of one more id: that in which a code goes on, then those in which it is whole."""
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

    def _advanced(self, reading: Reading) -> list[Reading]:
        """Where a reading can stand that has read one code more."""
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

    def _is_whole(self, reading: Reading) -> bool:
        """Whether a clip may end here, or has ended."""
        if reading.layer >= len(self.tables):
            return True
        at_end = self.layout == "time_major" and (reading.layer, reading.count, reading.prefix) == (0, 0, ())
        return at_end and reading.groups >= self.min_groups

    def _arranged(self, codes: list[int], groups: int) -> torch.LongTensor:
        codes = torch.tensor(codes, dtype=torch.long)
        if self.layout == "time_major":
            return codes.view(groups, sum(self.codes_per_layer)).T.contiguous()
        parts = codes.split([n * groups for n in self.codes_per_layer])
        return torch.cat([part.view(groups, n).T for part, n in zip(parts, self.codes_per_layer)])


class ConstrainedLogitsProcessor(LogitsProcessor):
    """
    A constraint for `generate` of Transformers: what may not come has the score −∞.

    Args:
        constraint ([`LabelTrie`], [`AudioGrammar`], …): What may be written.
        prompt_length (`int`): Ids of the prompt in a row, padding included.
        eos_token_id (`int`): What is written where nothing more may come.
    """

    def __init__(self, constraint: Constraint, prompt_length: int, eos_token_id: int):
        self.constraint, self.prompt_length, self.eos_token_id = constraint, prompt_length, eos_token_id

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
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
            masked[row, allowed.to(scores.device)] = scores[row, allowed.to(scores.device)]
        return masked


NOTHING = torch.empty(0, dtype=torch.long)


def rows_of(layers: Iterable[int] | None, codes_per_layer: Sequence[int]) -> torch.BoolTensor:
    """Which rows `(codes_per_group,)` of a clip's codes are of some layers; None for all."""
    of = [layer for layer, count in enumerate(codes_per_layer) for _ in range(count)]
    return torch.tensor([layers is None or layer in layers for layer in of])


def all_rows(codes: torch.LongTensor, layers: Iterable[int] | None, codes_per_layer: Sequence[int]) -> torch.LongTensor:
    """Codes of some layers' rows → `(codes_per_group, groups)` as the codec decodes them, −1 in the other rows."""
    rows = rows_of(layers, codes_per_layer)
    every = torch.full((len(rows), codes.shape[1]), -1)
    every[rows] = codes
    return every


def _in_order(codes: tuple | None) -> list[int]:
    found = []
    while codes is not None:
        code, codes = codes
        found.append(code)
    return found[::-1]


def _common(first: list[int], second: list[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(first, second)) if a != b), min(len(first), len(second)))


__all__ = ["AudioGrammar", "ConstrainedLogitsProcessor", "LabelTrie", "UniAudioLabelMask"]
