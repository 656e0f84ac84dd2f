# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Answers to the episodes of one support set: scores, predictions by each way of scoring, and by each control."""

import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ..grammar_llm_codec import LabelTrie, UniAudioLabelMask
from ..processing_llm_codec import LLMCodecProcessor
from ..requests_llm_codec import Backend, GenerateRequest, ScoreRequest
from ..scoring_llm_codec import PLAIN, SCORINGS, references
from ..support_llm_codec import SHUFFLED, SupportScorer
from .baselines import Features, baseline_answers
from .episodes import Episode
from .tasks import Task

GENERATED = {
    "generated": "the label that the model writes, held to the labels by a trie over their ids",
    "prefix_match": "free text, greedy, 16 tokens at most: right if it begins with the label",
    "uniaudio": "the original's way: as `prefix_match`, and where an instruction is given the ids at each position are "
    "those that any label has there (UniAudio 1.5, arXiv 2406.10056)",
    "chat": "as `prefix_match`, where the demonstrations are turns of a conversation, written by the language model's "
    "chat template or, of a server, sent in words",
}
UNIAUDIO_TOKENS = 16


def answer_labels(
    block: Sequence[Episode],
    codes: Mapping[str, torch.LongTensor],
    processor: LLMCodecProcessor,
    backend: Backend,
    task: Task,
    scoring: str,
    generated: Sequence[str] = (),
    scorings: Sequence[str] = (),
    features: Features | None = None,
) -> list[dict]:
    """
    Answers episodes that have their demonstrations in common.

    Args:
        block: The episodes.
        codes: Codes `(codes_per_group, groups)` of every clip that they name.
        processor: Writes the prompts.
        backend: The language model.
        task: How prompts are written.
        scoring: The way of scoring that the controls are scored by too; or one of `generated`, and then nothing is
            scored, as of a server that does not tell log-probabilities.
        generated: Ways of answering by generation besides, keys of `GENERATED`.
        scorings: Ways of scoring besides `scoring` and the plain ones, keys of `SCORINGS`.
        features: Features of every clip, for the baselines without a language model; None for none.

    Returns:
        `list[dict]`: a record an episode, as `episodes.jsonl` has it.
    """
    start = time.monotonic()
    first, queries = block[0], [codes[episode.query] for episode in block]
    prompts = Prompts(first, codes, processor, task)
    permuted = Prompts(first, codes, processor, task, shuffle=first.seed)
    silent = Prompts(first, codes, processor, task, silent=True)
    scores, predictions = {}, {}
    if scoring in SCORINGS:
        scores, predictions = score_labels(queries, prompts, permuted, silent, backend, scoring, task.seed, scorings)
    else:
        predictions[scoring] = _generate(queries, prompts, backend, scoring)
        predictions["text_only"] = _generate([""], silent, backend, scoring) * len(block)
        predictions["shuffled_labels"] = _generate(queries, permuted, backend, scoring)
    for way in generated:
        if way != scoring:
            predictions[way] = _generate(queries, prompts, backend, way)
    if len(block) > 1:
        partner = partners(len(block), first.seed)
        predictions["shuffled_words"] = [predictions[scoring][partner[i]] for i in range(len(block))]
    elif scoring not in SCORINGS:
        predictions["shuffled_words"] = _generate(
            references(SHUFFLED, [clip for clip, _ in prompts.examples], task.seed)[:1], prompts, backend, scoring
        )
    predictions["nearest"] = [nearest_label(prompts.examples, query) for query in queries]
    if features is not None:
        asked = [episode.query for episode in block]
        predictions |= baseline_answers(first.examples, asked, prompts.labels, codes, features)
    predictions["random"] = [str(np.random.default_rng(e.seed).choice(e.labels)) for e in block]
    seconds = (time.monotonic() - start) / len(block)
    return [
        episode.record(
            prompt_sha256=prompt_hash(prompts.whole(queries[i])),
            scores={name: [round(x, 5) for x in values[i].tolist()] for name, values in scores.items()},
            predictions={name: answers[i] for name, answers in predictions.items()},
            seconds=round(seconds, 4),
        )
        for i, episode in enumerate(block)
    ]


class Prompts:
    """
    The prompts of one support set.

    Args:
        episode: One of its episodes.
        codes: As in `answer_labels`.
        processor: Writes the prompts.
        task: How they are written.
        shuffle: Permutes the demonstrations' labels by this seed.
        silent: Whether the demonstrations are without audio.
    """

    def __init__(self, episode: Episode, codes, processor, task: Task, shuffle: int | None = None, silent=False):
        self.processor, self.labels = processor, list(episode.labels)
        self.layers = {"layers": task.layers}
        names = [label for _, label in episode.examples]
        if shuffle is not None:
            names = [names[i] for i in np.random.default_rng(shuffle).permutation(len(names))]
        self.examples = [(codes[clip], label) for (clip, _), label in zip(episode.examples, names)]
        texts = [task.label_text(label) for label in self.labels]
        self.label_texts, self.label_ids = texts, [processor.label_ids(text) for text in texts]
        self.instruction = task.instruction
        shown = [("" if silent else clip, task.label_text(label)) for clip, label in self.examples]
        self.asked = {"labels": texts, "instruction": task.instruction, "repeats": task.repeats}
        self.shown = shown
        self.support = self.write(range(len(shown)))

    def write(self, places: Sequence[int]) -> list[int]:
        """The prompt's beginning with some of the demonstrations, in an order."""
        return self.processor.few_shot_support([self.shown[i] for i in places], **self.asked, **self.layers)

    def scorer(self, backend: Backend, seed: int) -> SupportScorer:
        """Scores queries behind the demonstrations."""
        return SupportScorer(
            backend,
            [clip for clip, _ in self.examples],
            [self.labels.index(label) for _, label in self.examples],
            self.label_ids,
            self.write,
            lambda query: self.processor.few_shot_query(query, **self.layers),
            word_rows=self.processor.codes_per_layer[0],
            seed=seed,
        )

    def whole(self, query) -> list[int]:
        """The prompt of a query: its codes, or a text."""
        return self.support + self.processor.few_shot_query(query, **self.layers)

    def conversation(self, query) -> list[dict]:
        """The prompt of a query as turns of a conversation."""
        return self.processor.few_shot_messages(self.shown, query, **self.asked)

    def request(self, query) -> ScoreRequest:
        """How probable is each label after the prompt of a query?"""
        return ScoreRequest(self.whole(query), self.label_ids)


def prompt_hash(ids: list[int]) -> str:
    """SHA-256 of a prompt's ids as little-endian 64-bit integers."""
    return hashlib.sha256(np.asarray(ids, dtype="<i8").tobytes()).hexdigest()


def score_labels(
    queries: Sequence[torch.LongTensor],
    prompts: Prompts,
    permuted: Prompts,
    silent: Prompts,
    backend: Backend,
    scoring: str,
    seed: int,
    scorings: Sequence[str] = (),
) -> tuple[dict[str, torch.Tensor], dict[str, list[str]]]:
    """
    Scores queries by several ways of scoring, and by the controls of one of them.

    Args:
        queries: Codes `(codes_per_group, groups)` of each.
        prompts: Those of the support set.
        permuted: The same with its labels permuted.
        silent: The same without audio.
        backend: The language model.
        scoring: The way of scoring of the controls.
        seed: Seed of the references, as the pipeline's `seed`.
        scorings: Ways besides that one and the plain ones.

    Returns:
        Way → scores `(queries, labels)`, and way or control → the label of each query.
    """
    scorer = prompts.scorer(backend, seed)
    scores = scorer.scores(queries, *dict.fromkeys((*PLAIN, scoring, *scorings)))
    controls = {"shuffled_labels": permuted.scorer(backend, seed).scores(queries, scoring)[scoring]}
    if "blend" in scores and len(queries) > 1:  # the model hears another query; its neighbour is that of the query
        heard = scores[SHUFFLED][partners(len(queries), seed)]
        controls["blend_shuffled_words"] = scorer.blend(heard, queries)
    if len(queries) == 1:  # there is no other query whose words could stand in its place: the demonstrations' do
        codes = [clip for clip, _ in prompts.examples]
        controls["shuffled_words"] = scorer.scores(references(SHUFFLED, codes, seed)[:1], scoring)[scoring]
    backend.read(silent.support)
    (controls["text_only"],) = (row.expand(len(queries), -1) for row in backend.score([silent.request("")]))
    best = {name: values.argmax(dim=1).tolist() for name, values in {**scores, **controls}.items()}
    return scores, {name: [prompts.labels[k] for k in numbers] for name, numbers in best.items()}


def _generate(queries: Sequence, prompts: Prompts, backend: Backend, way: str) -> list[str | None]:
    """The labels that the model writes after each query's prompt; None where it writes none of them."""
    if way == "chat":
        texts = _converse([prompts.conversation(query) for query in queries], prompts, backend)
        return [match_prefix(text, prompts.labels, prompts.label_texts) for text in texts]
    constraint, tokens = None, UNIAUDIO_TOKENS
    if way == "generated":
        constraint, tokens = LabelTrie(prompts.label_ids), max(map(len, prompts.label_ids))
    elif way == "uniaudio" and prompts.instruction:
        constraint = UniAudioLabelMask(prompts.label_ids)
    end = () if way == "generated" else tuple({ids[-1] for ids in prompts.label_ids})
    requests = [
        GenerateRequest(prompt, tokens, stop_ids=end, constraint=constraint) for prompt in map(prompts.whole, queries)
    ]
    answers = backend.generate(requests)
    if way == "generated":
        return [prompts.labels[constraint.label(ids)] for ids in answers]
    texts = prompts.processor.tokenizer.batch_decode(answers, skip_special_tokens=True)
    return [match_prefix(text, prompts.labels, prompts.label_texts) for text in texts]


def _converse(conversations: Sequence[list[dict]], prompts: Prompts, backend: Backend) -> list[str]:
    """The texts with which a language model answers conversations, greedily."""
    processor, layers = prompts.processor, prompts.layers
    if hasattr(backend, "chat"):
        return backend.chat([processor.messages_to_text(c, **layers) for c in conversations], UNIAUDIO_TOKENS)
    ids = processor.apply_chat_template(conversations, add_generation_prompt=True, tokenize=True, **layers)
    end = (processor.tokenizer.eos_token_id,) if processor.tokenizer.eos_token_id is not None else ()
    answers = backend.generate([GenerateRequest(prompt, UNIAUDIO_TOKENS, stop_ids=end) for prompt in ids])
    return processor.tokenizer.batch_decode(answers, skip_special_tokens=True)


def match_prefix(text: str, labels: Sequence[str], label_texts: Sequence[str]) -> str | None:
    """The label that a text begins with, the longest of several; None for none."""
    found = [(len(t), label) for label, t in zip(labels, label_texts) if text.strip().startswith(t.strip())]
    return max(found)[1] if found else None


def nearest_label(examples: Sequence[tuple[torch.LongTensor, str]], query: torch.LongTensor) -> str:
    """The label of the example that shares the most layer-0 words with the query; the first of equals."""
    words = Counter(query[0].tolist())
    return max(examples, key=lambda example: (words & Counter(example[0][0].tolist())).total())[1]


def partners(n: int, seed: int) -> list[int]:
    """For each of n queries another one, at random, each used once."""
    order = np.random.default_rng(seed).permutation(n).tolist()
    partner = [0] * n
    for place, i in enumerate(order):
        partner[i] = order[(place + 1) % n]
    return partner
