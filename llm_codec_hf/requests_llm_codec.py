# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What a language model is asked, as data: a model in this process and a server take the same requests."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from .arguments_llm_codec import real_number, whole_number

MOST_SEED = 2**63 - 1  # that torch takes on every device


class LanguageModelError(ValueError):
    """A language model that cannot answer; the message names it."""


class Constraint(Protocol):
    """
    Which ids an answer may be made of: an automaton over ids. States are never changed, so one constraint serves any
    number of answers at once.
    """

    def start(self) -> Hashable:
        """The state before the first id."""

    def step(self, state: Hashable, token_id: int) -> Hashable:
        """The state after one more id, which must be among those that `allowed` gives."""

    def allowed(self, state: Hashable) -> torch.LongTensor:
        """The ids that may come next, ascending; none where the answer ends."""


@dataclass(frozen=True)
class ScoreRequest:
    """
    How probable are these continuations of a prompt?

    Args:
        prompt (`list[int]`): Token ids, at least one.
        continuations (`list[list[int]]`): Token ids of each, at least one.

    Raises:
        ValueError: for an empty prompt, no continuations, and an empty one.
    """

    prompt: list[int]
    continuations: list[list[int]]

    def __post_init__(self):
        if not self.prompt or not self.continuations or not all(self.continuations):
            raise ValueError("Prompts and continuations need at least one token id each.")

    @property
    def longest(self) -> int:
        """Token ids of the prompt with its longest continuation."""
        return len(self.prompt) + max(map(len, self.continuations))


@dataclass(frozen=True)
class GenerateRequest:
    """
    How does a prompt go on?

    Args:
        prompt (`list[int]`): Token ids, at least one.
        max_new_tokens (`int`): Ids to generate at most.
        stop_ids (`tuple[int]`): Ids that end the answer; the answer has them not.
        constraint ([`Constraint`], *optional*): What ids may come; where none may, the answer ends.
        temperature (`float`, defaults to 0): 0 takes the most probable id; above, ids are drawn.
        top_p (`float`, defaults to 1): Draws from the most probable ids that together have this probability.
        seed (`int`, defaults to 0): Of the draws; the same request gets the same answer whatever it is batched with.

    Raises:
        ValueError: for an empty prompt and for numbers that mean nothing.
    """

    prompt: list[int]
    max_new_tokens: int
    stop_ids: tuple[int, ...] = ()
    constraint: Constraint | None = field(default=None, repr=False)
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self):
        if not self.prompt:
            raise ValueError("A prompt needs at least one token id.")
        whole_number("max_new_tokens", self.max_new_tokens, 1)
        real_number("temperature", self.temperature, 0)
        real_number("top_p", self.top_p, 0, 1, above=True)
        whole_number("seed", self.seed, 0, MOST_SEED)

    @property
    def longest(self) -> int:
        """Token ids of the prompt with the longest answer."""
        return len(self.prompt) + self.max_new_tokens


@dataclass(frozen=True)
class Observation:
    """
    What was seen where a prompt ends.

    Args:
        log_probs (`torch.FloatTensor`): `(continuations,)`, as `score` gives them.
        following (`torch.FloatTensor`): `(vocabulary,)`, log-probabilities of the id that comes next.
        heads (`torch.FloatTensor`, *optional*): `(layers · heads, width)`, what attention heads put out.
    """

    log_probs: torch.FloatTensor
    following: torch.FloatTensor
    heads: torch.FloatTensor | None = None


class Backend(Protocol):
    """Answers requests, in their order."""

    def read(self, prefix: list[int]) -> None:
        """Hears how prompts to come begin; a backend may read that once."""

    def score(
        self, requests: Sequence[ScoreRequest], progress: Callable[[int], object] | None = None
    ) -> list[torch.FloatTensor]:
        """Summed log-probabilities, `(continuations,)` a request; `progress` hears of requests answered."""

    def generate(
        self, requests: Sequence[GenerateRequest], progress: Callable[[int], object] | None = None
    ) -> list[list[int]]:
        """The ids generated for each request."""
