# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Scores of labels for the queries of one support set, in every way there is; what ways share is asked once."""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch

from .neighbours_llm_codec import affine, blend_weight, divergence, greatest, head_similarity, shared_words
from .requests_llm_codec import Backend, LanguageModelError, Observation, ScoreRequest
from .scoring_llm_codec import PLAIN, calibrated, check_way, references, score

ORDERS = 4  # of the demonstrations, that of the prompt among them
FOLDS = 5  # prompts without some of the demonstrations, at most
RETRIEVED = 8  # demonstrations for each query
SHUFFLED = "support_shuffled"


class SupportScorer:
    """
    Scores the labels of queries that have their demonstrations in common: the pipeline and the evaluation both ask it.

    Args:
        backend ([`~requests_llm_codec.Backend`]): The language model.
        codes (`Sequence[torch.LongTensor]`): Codes `(codes_per_group, groups)` of the demonstrations.
        owners (`Sequence[int]`): The label of each, by its place.
        label_ids (`Sequence[Sequence[int]]`): The ids that the language model writes for each label.
        write_support (`Callable`): The ids of the demonstrations whose places it is given, in that order.
        write_query (`Callable`): The ids of a query: of codes, or of a text.
        word_rows (`int`, defaults to 1): The first rows of codes, which are the words.
        seed (`int`, defaults to 0): Of shuffled words and of orders.
    """

    def __init__(
        self,
        backend: Backend,
        codes: Sequence[torch.LongTensor],
        owners: Sequence[int],
        label_ids: Sequence[Sequence[int]],
        write_support: Callable[[Sequence[int]], list[int]],
        write_query: Callable[[torch.LongTensor | str], list[int]],
        word_rows: int = 1,
        seed: int = 0,
    ):
        self.backend, self.codes, self.owners = backend, list(codes), torch.tensor(list(owners))
        self.label_ids, self.seed, self.word_rows = [list(ids) for ids in label_ids], seed, word_rows
        self.write_support, self.write_query = write_support, write_query
        self.prefix = write_support(range(len(self.codes)))
        self._references: dict[str, torch.FloatTensor | None] = {}
        self._anchors: list[Observation] | None = None

    def prefills(self, way: str, queries: int) -> int:
        """How many readings of demonstrations a way needs for some queries that are asked together."""
        check_way(way)
        return {"orders": ORDERS, "retrieved": queries}.get(
            way, 1 + (len(self.folds) if way in ("supervised", "blend") else 0)
        )

    def prepare(self, *ways: str) -> None:
        """Asks what some ways need of the demonstrations alone, so that queries are all that is left to ask."""
        if {"supervised", "blend"} & set(ways):
            self.left_out  # noqa: B018 (other prompts, before the one that stays)
        self.backend.read(self.prefix)
        for way in ways:
            if way in ("orders", "blend"):
                way = SHUFFLED
            if way in PLAIN:
                self._reference(way)
        if {"knn", "heads"} & set(ways):
            self.anchors("heads" in ways)

    def scores(self, queries: Sequence, *ways: str) -> dict[str, torch.FloatTensor]:
        """
        Scores of queries.

        Args:
            queries (`Sequence`): Codes `(codes_per_group, groups)` of each.
            ways (`str`): Keys of `scoring_llm_codec.SCORINGS`.

        Returns:
            `dict[str, torch.FloatTensor]`: `(queries, labels)` of each way, the greatest the best label's; of
            "batch", calibrated by these queries.

        Raises:
            ValueError: for a way that does not exist, and for a prompt longer than the language model's context.
            LanguageModelError: where the language model cannot answer, or does not tell what a way needs.
        """
        for way in ways:
            check_way(way)
        self.prepare(*ways)
        found: dict[str, torch.FloatTensor] = {}
        raw = seen = anchored = None
        if {"knn", "heads"} & set(ways):
            seen, anchored = self._seen(queries, "heads" in ways), self.anchors("heads" in ways)
        if set(ways) - {"knn", "heads", "orders", "retrieved"}:
            raw = torch.stack([one.log_probs for one in seen]) if seen else self._log_probs(self.prefix, queries)
        for way in ways:
            if way in PLAIN:
                found[way] = score(way, raw, self._reference(way), self.label_ids)
            elif way == "blend":
                plain = score(SHUFFLED, raw, self._reference(SHUFFLED), self.label_ids)
                found[way] = self.blend(plain, queries)
            elif way == "supervised":
                scale, offset = self.affine
                found[way] = raw.log_softmax(dim=-1) * scale + offset
            elif way == "knn":
                following, anchors = (torch.stack([one.following for one in some]) for some in (seen, anchored))
                far = divergence(following, anchors)
                found[way] = greatest(-far, self.owners, len(self.label_ids), -torch.inf)
            elif way == "heads":
                heads = (torch.stack([one.heads for one in some]) for some in (seen, anchored))
                found[way] = head_similarity(*heads, self.owners, len(self.label_ids))
        for way in {"orders", "retrieved"} & set(ways):  # other prompts: after the one that stays
            found[way] = getattr(self, f"_{way}")(queries)
        return {way: found[way] for way in ways}

    def blend(self, scores: torch.FloatTensor, queries: Sequence[torch.LongTensor]) -> torch.FloatTensor:
        """Calibrated scores `(queries, labels)` with the words that queries have in common with demonstrations."""
        return scores + self.blend_weight * self.nearest(queries)

    def nearest(self, queries: Sequence[torch.LongTensor], places: Sequence[int] | None = None) -> torch.FloatTensor:
        """`(queries, labels)`: the share of words in common with the nearest demonstration, of all or of some."""
        places = list(range(len(self.codes)) if places is None else places)
        examples = [self._words(self.codes[i]) for i in places]
        shared = torch.stack([shared_words(self._words(query), examples) for query in queries])
        return greatest(shared, self.owners[places], len(self.label_ids), 0.0)

    # ---- Of the demonstrations alone

    def _reference(self, way: str) -> torch.FloatTensor | None:
        if way not in self._references:
            nothing = references(way, self.codes, self.seed)
            self._references[way] = self._log_probs(self.prefix, nothing) if nothing else None
        return self._references[way]

    def anchors(self, heads: bool) -> list[Observation]:
        """What is seen after each demonstration, asked as a query."""
        if self._anchors is None or heads and self._anchors[0].heads is None:
            self._anchors = self._seen(self.codes, heads)
        return self._anchors

    @cached_property
    def folds(self) -> list[list[int]]:
        """
        Demonstrations that are left out together: one of each label that has others; none where no label has two.
        """
        turns: dict[int, int] = {}
        folds: list[list[int]] = [[] for _ in range(FOLDS)]
        for place, owner in enumerate(self.owners.tolist()):
            if int((self.owners == owner).sum()) > 1:
                turn = turns[owner] = turns.get(owner, -1) + 1
                folds[turn % FOLDS].append(place)
        # a label of a few examples is whole in no fold, as each of its examples goes to another
        return [fold for fold in folds if fold]

    @cached_property
    def left_out(self) -> tuple[torch.FloatTensor, torch.FloatTensor, torch.FloatTensor, torch.LongTensor]:
        """
        Demonstrations after a prompt without them: log-probabilities, calibrated scores and words in common, `(n,
        labels)` each, and their labels.
        """
        labels, rows = len(self.label_ids), []
        for fold in self.folds:
            kept = [place for place in range(len(self.codes)) if place not in fold]
            prefix, queries = self.write_support(kept), [self.codes[place] for place in fold]
            self.backend.read(prefix)
            raw = self._log_probs(prefix, queries)  # of every label as many: they calibrate each other
            rows.append((raw, calibrated(raw, raw), self.nearest(queries, kept), self.owners[fold]))
        if not rows:
            return (*torch.zeros(3, 0, labels), torch.zeros(0, dtype=torch.long))
        return tuple(torch.cat(column) for column in zip(*rows))

    @cached_property
    def blend_weight(self) -> float:
        """What the share of words in common is multiplied by."""
        _, plain, shared, owners = self.left_out
        return blend_weight(plain, shared, owners)

    @cached_property
    def affine(self) -> tuple[torch.FloatTensor, torch.FloatTensor]:
        """The factor and the offset of each label's log-probability."""
        raw, _, _, owners = self.left_out
        if not len(owners):
            return torch.ones(len(self.label_ids)), torch.zeros(len(self.label_ids))
        return affine(raw, owners)

    # ---- Other prompts

    def _orders(self, queries: Sequence) -> torch.FloatTensor:
        generator, found = torch.Generator().manual_seed(self.seed), []
        for turn in range(ORDERS):
            places = list(range(len(self.codes)))
            if turn:
                places = torch.randperm(len(places), generator=generator).tolist()
            prefix = self.write_support(places) if turn else self.prefix
            self.backend.read(prefix)
            nothing = self._log_probs(prefix, references(SHUFFLED, self.codes, self.seed))
            found.append(calibrated(self._log_probs(prefix, queries), nothing))
        return torch.stack(found).mean(dim=0)

    def _retrieved(self, queries: Sequence) -> torch.FloatTensor:
        examples, rows = [self._words(clip) for clip in self.codes], []
        for query in queries:
            shared = shared_words(self._words(query), examples)
            best = shared.argsort(descending=True, stable=True)[:RETRIEVED]
            rows.append(self._log_probs(self.write_support(best.flip(0).tolist()), [query]))
        return torch.cat(rows)

    # ---- Asking

    def _words(self, codes: torch.LongTensor) -> torch.LongTensor:
        return codes[: self.word_rows].T.reshape(-1)

    def _requests(self, prefix: list[int], queries: Sequence) -> list[ScoreRequest]:
        return [ScoreRequest(prefix + self.write_query(query), self.label_ids) for query in queries]

    def _log_probs(self, prefix: list[int], queries: Sequence) -> torch.FloatTensor:
        return torch.stack(self.backend.score(self._requests(prefix, queries)))

    def _seen(self, queries: Sequence, heads: bool) -> list[Observation]:
        if not hasattr(self.backend, "observe"):
            raise LanguageModelError("A server tells no more than log-probabilities: choose another `scoring`.")
        return self.backend.observe(self._requests(self.prefix, queries), heads)


__all__ = ["SupportScorer"]
