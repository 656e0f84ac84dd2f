# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Every way of scoring, on logits that are written by hand."""

import math

import pytest
import torch
from language_models import Bigram

from llm_codec_hf.backend_llm_codec import InProcessBackend
from llm_codec_hf.heads_llm_codec import HeadOutputs
from llm_codec_hf.neighbours_llm_codec import (
    HEADS,
    USUAL_WEIGHT,
    affine,
    blend_weight,
    divergence,
    greatest,
    head_similarity,
    shared_words,
)
from llm_codec_hf.passes_llm_codec import Way
from llm_codec_hf.requests_llm_codec import LanguageModelError, ScoreRequest
from llm_codec_hf.scoring_llm_codec import FURTHER, PLAIN, SCORINGS, calibrated
from llm_codec_hf.support_llm_codec import FOLDS, ORDERS, RETRIEVED, SupportScorer

LABELS = [[6], [7]]
# what comes after each id: words are 0 to 4, the labels 6 and 7; the last word of a query decides
NEXT = torch.tensor(
    [
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.3, 0.1],
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.2],
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.3],
        [0.3, 0.05, 0.05, 0.1, 0.1, 0.1, 0.1, 0.2],
        [0.05, 0.3, 0.05, 0.1, 0.1, 0.1, 0.2, 0.1],
        *[[0.125] * 8] * 3,
    ]
)
EXAMPLES = [[3, 3, 0], [4, 4, 1], [3, 3, 2], [4, 0, 4]]  # words of the demonstrations
OWNERS = [0, 1, 0, 1]


def clip(words) -> torch.LongTensor:
    return torch.tensor([words])


def scorer(backend=None, examples=EXAMPLES, owners=OWNERS, **options) -> SupportScorer:
    """Prompts are the words of the demonstrations, each with its label and 5, and those of the query."""
    backend = backend or InProcessBackend(Bigram(NEXT.log()))

    def write_support(places):
        return [i for place in places for i in (*examples[place], *LABELS[owners[place]], 5)]

    def write_query(query):
        return [1] if isinstance(query, str) else query[0].tolist()

    return SupportScorer(backend, list(map(clip, examples)), owners, LABELS, write_support, write_query, **options)


class Heard:
    """A backend that notes how prompts begin, and how many prompts it scores."""

    def __init__(self):
        self.backend, self.read_, self.asked = InProcessBackend(Bigram(NEXT.log())), [], 0

    def read(self, prefix):
        if not self.read_ or self.read_[-1] != prefix:
            self.read_.append(list(prefix))
        self.backend.read(prefix)

    def score(self, requests, progress=None):
        self.asked += len(requests)
        return self.backend.score(requests, progress)

    def observe(self, requests, heads=False):
        return self.backend.observe(requests, heads)


QUERIES = [clip([3, 0]), clip([4, 4, 2])]
RAW = NEXT[[0, 2]][:, [6, 7]].log()


def test_plain_ways_are_as_ever():
    found = scorer().scores(QUERIES, *PLAIN)
    torch.testing.assert_close(found["raw"], RAW)
    torch.testing.assert_close(found["batch"], calibrated(RAW, RAW))
    assert list(found) == list(PLAIN)


def test_knn_prompting():
    """The nearest demonstration by what comes next: after 0 the first, and after 2 the third, of the same label."""
    found = scorer().scores(QUERIES, "knn")["knn"]
    after = [clip_[-1] for clip_ in EXAMPLES]
    far = [[(NEXT[a] * (NEXT[a] / NEXT[q]).log()).sum() for a in after] for q in (0, 2)]
    expected = torch.tensor([[-min(row[0], row[2]), -min(row[1], row[3])] for row in far])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert found.argmax(dim=1).tolist() == [0, 0]


def test_a_label_without_examples_is_never_the_nearest():
    found = scorer(examples=EXAMPLES[:1], owners=[0]).scores(QUERIES, "knn", "blend")
    assert torch.isinf(found["knn"][:, 1]).all() and torch.isfinite(found["blend"]).all()


def test_the_blend():
    """Calibrated scores, and a multiple of the share of the query's words that the nearest demonstration has."""
    scores = scorer()
    found = scores.scores(QUERIES, "support_shuffled", "blend")
    shared = torch.tensor([[1.0, 0.5], [1 / 3, 2 / 3]])
    torch.testing.assert_close(scores.nearest(QUERIES), shared)
    torch.testing.assert_close(found["blend"], found["support_shuffled"] + scores.blend_weight * shared)
    raw, plain, left_shared, owners = scores.left_out
    # each fold leaves out one of each label; the others are what it is compared with
    assert owners.tolist() == [0, 1, 0, 1]
    torch.testing.assert_close(raw, NEXT[[0, 1, 2, 4]][:, [6, 7]].log())
    torch.testing.assert_close(left_shared, torch.tensor([[2 / 3, 1 / 3], [0.0, 2 / 3], [2 / 3, 0.0], [1 / 3, 2 / 3]]))
    assert blend_weight(plain, left_shared, owners) == scores.blend_weight


def test_the_weight_of_a_blend():
    shared = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    owners = torch.tensor([0, 1])
    assert blend_weight(torch.tensor([[0.0, 3.0], [0.0, 3.0]]), shared, owners) == 8.0  # the usual one does
    assert blend_weight(torch.tensor([[0.0, 9.0], [0.0, 3.0]]), shared, owners) == 16.0  # the least that is right
    assert blend_weight(torch.tensor([[3.0, 0.0], [0.0, 3.0]]), -shared, owners) == 2.0  # words that mislead
    assert blend_weight(torch.zeros(0, 2), torch.zeros(0, 2), owners[:0]) == USUAL_WEIGHT


def test_supervised_calibration():
    """A model that prefers the first label is set right by a factor and an offset of each label."""
    log_probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]).log()
    owners = torch.tensor([0, 0, 1, 1])
    scale, offset = affine(log_probs, owners)
    assert ((log_probs.log_softmax(-1) * scale + offset).argmax(-1) == owners).all() and offset[1] > offset[0]
    found = scorer().scores(QUERIES, "supervised")["supervised"]
    learned = affine(NEXT[[0, 1, 2, 4]][:, [6, 7]].log(), torch.tensor(OWNERS))
    torch.testing.assert_close(found, RAW.log_softmax(-1) * learned[0] + learned[1], atol=1e-5, rtol=0)
    alone = scorer(examples=EXAMPLES[:2], owners=[0, 1])  # there is none to leave out: nothing is learned
    torch.testing.assert_close(alone.scores(QUERIES, "supervised")["supervised"], RAW.log_softmax(-1))


def test_several_orders():
    """This model does not care for the order of what is far back, so that the mean is each of them."""
    found = scorer().scores(QUERIES, "orders", "support_shuffled")
    torch.testing.assert_close(found["orders"], found["support_shuffled"], atol=1e-6, rtol=0)
    heard = Heard()
    scorer(heard).scores(QUERIES, "orders")
    assert len({tuple(prefix) for prefix in heard.read_}) > 1
    assert {tuple(sorted(prefix)) for prefix in heard.read_} == {tuple(sorted(heard.read_[0]))}


def test_retrieved_demonstrations():
    """The nearest one stands last, and no more than the nearest few are read."""
    examples = [[0, 0]] * RETRIEVED + [[3, 3], [3, 0]]
    heard, seen = Heard(), []
    scores = scorer(heard, examples, [0] * RETRIEVED + [1, 1])
    write = scores.write_support
    scores.write_support = lambda places: seen.append(places) or write(places)
    scores.scores([clip([3, 3])], "retrieved")
    assert seen == [[*reversed(range(RETRIEVED - 2)), RETRIEVED + 1, RETRIEVED]]


@pytest.mark.parametrize("way", SCORINGS)
def test_what_a_way_reads_is_what_it_states(way):
    heard = Heard()
    if way == "heads":
        with pytest.raises(LanguageModelError, match="0 products of attention heads that are known"):
            scorer(heard).scores(QUERIES, way)
        return
    scores = scorer(heard)
    found = scores.scores(QUERIES, way)
    assert found[way].shape == (2, 2)
    stated = {"orders": ORDERS, "retrieved": 2}.get(way, 3 if way in ("supervised", "blend") else 1)
    assert scores.prefills(way, 2) == stated
    prefixes = {tuple(prefix) for prefix in heard.read_}
    # "retrieved" reads with each query, behind the one prompt that stays; an order may come twice of so few
    assert len(prefixes) == {"retrieved": 1}.get(way, len(prefixes) if way == "orders" else stated)
    again = heard.asked
    scores.scores(QUERIES, way)  # of the demonstrations, all is known
    assert heard.asked - again <= {"orders": ORDERS * 10}.get(way, 2)


def test_folds_leave_every_label_an_example():
    examples, owners = [[3]] * 13, [0] * 12 + [1]
    folds = scorer(examples=examples, owners=owners).folds
    assert len(folds) == FOLDS and sorted(sum(folds, [])) == list(range(12))  # the only one of its label stays


def test_a_way_that_does_not_exist():
    with pytest.raises(ValueError, match="one of raw, .*blend; got 'best'"):
        scorer().scores(QUERIES, "best")
    assert set(SCORINGS) == {*PLAIN, *FURTHER}


def test_a_server_tells_no_more():
    class Server:
        score, read = staticmethod(lambda requests: [torch.zeros(2)] * len(requests)), staticmethod(lambda prefix: None)

    with pytest.raises(LanguageModelError, match="no more than log-probabilities"):
        scorer(Server()).scores(QUERIES, "knn")
    assert set(scorer(Server()).scores(QUERIES, "blend", "raw")) == {"blend", "raw"}


# ---- What ways are made of


def test_words_in_common():
    examples = [torch.tensor([1, 2]), torch.tensor([1, 1, 1])]
    assert shared_words(torch.tensor([1, 1, 2, 3]), examples).tolist() == [0.5, 0.5]
    values = torch.tensor([[0.5, 0.2, 0.9]])
    assert greatest(values, torch.tensor([0, 1, 0]), 3, -1.0).tolist() == [pytest.approx([0.9, 0.2, -1.0])]
    far = divergence(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log())
    assert far.tolist() == [pytest.approx([0.0, 0.9 * math.log(1.8) + 0.1 * math.log(0.2)], abs=1e-6)]


def test_centroids_of_heads():
    """Heads that tell the labels apart count, and others do not, whatever they say of a query."""
    owners = torch.tensor([0, 0, 0, 1, 1, 1])
    useful = torch.nn.functional.one_hot(owners, 2).float()[:, None]  # (examples, 1 head, 2)
    useless = torch.nn.functional.one_hot(torch.arange(6) % 2, 2).float()[:, None]
    examples = torch.cat([useful.expand(-1, HEADS, -1), useless.expand(-1, 9, -1)], dim=1)
    misleading = torch.cat([useful[[0, 5]].expand(-1, HEADS, -1), 100 * useful[[5, 0]].expand(-1, 9, -1)], dim=1)
    found = head_similarity(misleading, examples, owners, 3)
    assert found[:, :2].argmax(1).tolist() == [0, 1] and (found[:, 2] == -1).all()
    alone = head_similarity(useful[[0, 5]], useful, owners, 2)
    torch.testing.assert_close(alone, torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))


@pytest.mark.parametrize("way", Way)
def test_heads_are_heard_at_the_end_of_a_prompt(language_model, way, monkeypatch):
    """Whatever passes are made, it is what a full pass puts out at the prompt's last id."""
    torch.manual_seed(1)
    prompts = [torch.randint(0, 290, (30 + n,)).tolist() for n in (2, 2, 5)]
    prompts = [prompts[0][:28] + prompt[28:] for prompt in prompts]
    labels = [[4], [5, 6, 7], [5, 8]]
    backend = InProcessBackend(language_model)
    monkeypatch.setattr(backend._passes, "way", lambda ids, longest: way)
    seen = backend.observe([ScoreRequest(prompt, labels) for prompt in prompts], heads=True)
    scores = backend.score([ScoreRequest(prompt, labels) for prompt in prompts])
    heads = HeadOutputs(language_model)
    for prompt, one, score in zip(prompts, seen, scores):
        with torch.no_grad(), heads.at(-1) as outputs:
            logits = language_model(torch.tensor([prompt])).logits[0, -1]
        torch.testing.assert_close(one.heads, heads.split(outputs)[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(one.following, logits.log_softmax(-1), atol=1e-4, rtol=0)
        torch.testing.assert_close(one.log_probs, score)
        assert one.heads.shape == (2 * 4, 8)
