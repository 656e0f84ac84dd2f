# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Requests and the engine: exact against a full pass a request and against a model of hand-written logits."""

import math

import pytest
import torch
from conftest import tiny_tokenizer
from language_models import Bigram, full_pass
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from llm_codec_hf.backend_llm_codec import InProcessBackend, load_language_model
from llm_codec_hf.grammar_llm_codec import LabelTrie, UniAudioLabelMask
from llm_codec_hf.requests_llm_codec import GenerateRequest, ScoreRequest
from llm_codec_hf.scoring_llm_codec import (
    CONTENT_FREE,
    calibrated,
    length_normalized,
    references,
    score,
    shuffled_queries,
)


def ids(n: int) -> list[int]:
    return torch.randint(0, 290, (n,)).tolist()


def sliding_window_model() -> MistralForCausalLM:
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
    )
    return MistralForCausalLM(config).eval()


@pytest.mark.parametrize("kind", ["full attention", "sliding window"])
@pytest.mark.parametrize("shared", [0, 1, 40])
def test_scores_are_those_of_a_full_pass(language_model, kind, shared):
    model = language_model if kind == "full attention" else sliding_window_model()
    torch.manual_seed(0)
    start, other = ids(shared), ids(30)
    prompts = [start + ids(n) for n in (1, 7, 3, 7)] + ([start + [5]] if shared else [])
    prompts += [other + ids(2), other + [1], other + [1, 2]]  # another support; one the beginning of the next
    requests = [ScoreRequest(prompt, [ids(n) for n in (1, 2, 5)]) for prompt in prompts]
    expected = [[full_pass(model, r.prompt, c) for c in r.continuations] for r in requests]
    for batch_size, tokens_at_once in ((2, 32768), (64, 32768), (64, 100)):
        scores = InProcessBackend(model, batch_size, tokens_at_once).score(requests)
        # sums of up to 5 float32 log-probabilities
        torch.testing.assert_close(torch.stack(scores), torch.tensor(expected), atol=1e-4, rtol=0)


def test_what_prompts_share_is_read_once():
    model = Bigram(torch.randn(8, 8))
    support = [1, 2, 3] * 30
    requests = [ScoreRequest([*support, i], [[1, 0], [2, 0]]) for i in range(8)]
    backend = InProcessBackend(model)
    backend.score(requests[:1])  # and the comparison of ways, once
    model.ids_read = 0
    backend.score(requests)
    assert model.ids_read == 90 + 8 + 8 * 2  # the support; a query's one id; each label's first id for its end
    model.ids_read = 0
    backend.read(support)
    for request in requests:  # one at a time, as the pipeline asks
        backend.score([request])
    assert model.ids_read == 90 + 8 + 8 * 2


def test_scores_by_hand():
    probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]])
    backend = InProcessBackend(Bigram(probabilities.log()))
    scores = backend.score([ScoreRequest([2, 0], [[1], [1, 2], [0, 1, 1]])])[0]
    expected = [math.log(0.25), math.log(0.25 * 0.3), math.log(0.5 * 0.25 * 0.6)]
    assert scores.tolist() == pytest.approx(expected, abs=1e-6)
    by_length = length_normalized(scores, [[1], [1, 2], [0, 1, 1]])
    assert by_length.tolist() == pytest.approx([expected[0], expected[1] / 2, expected[2] / 3], abs=1e-6)


def test_calibration_by_hand():
    log_probs = torch.tensor([[0.6, 0.2], [0.3, 0.3]]).log()  # p(label | query) = 0.75, 0.25 and 0.5, 0.5
    reference = torch.tensor([[0.8, 0.2], [0.06, 0.04]]).log()  # 0.8, 0.2 and 0.6, 0.4: mean 0.7, 0.3
    expected = torch.tensor([[0.75 / 0.7, 0.25 / 0.3], [0.5 / 0.7, 0.5 / 0.3]]).log()
    torch.testing.assert_close(calibrated(log_probs, reference), expected)
    # a model that always says the same says nothing once it is calibrated by itself
    torch.testing.assert_close(calibrated(reference[:1], reference[:1]), torch.zeros(1, 2))


def test_shuffled_queries_are_of_the_support():
    support = [torch.arange(14).view(7, 2), torch.arange(14, 35).view(7, 3)]
    groups = {tuple(group) for clip in support for group in clip.T.tolist()}
    queries = shuffled_queries(support, 5, 3, seed=1)
    for query in queries:
        assert query.shape == (7, 5) and {tuple(group) for group in query.T.tolist()} == groups
    assert not torch.equal(queries[0], queries[1])
    assert all(map(torch.equal, queries, shuffled_queries(support, 5, 3, seed=1)))
    assert shuffled_queries(support, 12, 1, seed=0)[0].shape == (7, 12)  # longer than the support


def test_one_rule_of_scoring():
    support = [torch.arange(7 * n).view(7, n) for n in (2, 9, 4)]
    found = references("support_shuffled", support, seed=3)
    assert all(map(torch.equal, found, shuffled_queries(support, 4, 8, seed=3)))  # the examples' median length
    assert references("content_free", support) == list(CONTENT_FREE)
    assert references("raw", support) == references("length_normalized", support) == references("batch", support) == []
    log_probs, labels = torch.tensor([[-1.0, -2.0], [-3.0, -1.0]]), [[1], [1, 2]]
    torch.testing.assert_close(score("raw", log_probs), log_probs)
    torch.testing.assert_close(
        score("length_normalized", log_probs, None, labels), length_normalized(log_probs, labels)
    )
    torch.testing.assert_close(score("batch", log_probs), calibrated(log_probs, log_probs))
    torch.testing.assert_close(score("content_free", log_probs, log_probs[:1]), calibrated(log_probs, log_probs[:1]))
    for wrong, match in (
        (lambda: score("best", log_probs), "one of raw"),
        (lambda: references("best", support), "one of raw"),
        (lambda: references("support_shuffled", []), "there are none"),
        (lambda: score("content_free", log_probs), "needs the log-probabilities"),
        (lambda: score("length_normalized", log_probs, None, labels[:1]), "ids of all 2 labels"),
    ):
        with pytest.raises(ValueError, match=match):
            wrong()


def test_a_language_model_is_loaded_where_it_fits(language_model_dir, processor, tmp_path):
    model, found = load_language_model(str(language_model_dir), processor, "cpu", torch.bfloat16)
    assert found is processor and model.dtype == torch.bfloat16 and not model.training
    small = LlamaConfig(vocab_size=100, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    LlamaForCausalLM(small).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="embeds 100 tokens"):
        load_language_model(tmp_path, processor)


def test_generation_by_hand():
    probabilities = torch.tensor(
        [[0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1], [0.1, 0.3, 0.1, 0.5], [0.7, 0.1, 0.1, 0.1]]
    )
    backend = InProcessBackend(Bigram(probabilities.log()))
    prompts = [[1, 0], [0], [3, 2], [1]]
    requests = [GenerateRequest(prompt, 4, stop_ids=(3,)) for prompt in prompts]
    assert backend.generate(requests) == [[1, 2], [1, 2], [], [2]]
    assert backend.generate([GenerateRequest([0], 3)]) == [[1, 2, 3]]
    assert list(backend.stream(GenerateRequest([0], 3))) == [1, 2, 3]


def test_a_trie_writes_one_of_the_labels_and_the_mask_of_the_original_mixes_them():
    # after 0 the model wants 1; after 1 and after 2 it wants 4, which no label that begins with 1 goes on with
    logits = torch.zeros(8, 8)
    logits[0, 1], logits[1, 4], logits[1, 3], logits[2, 4] = 3, 2, 1, 2
    labels = [[1, 3, 7], [2, 4, 7], [1, 5, 5, 7]]
    backend = InProcessBackend(Bigram(logits))
    trie = LabelTrie(labels)
    answer = backend.generate([GenerateRequest([0], 16, constraint=trie)])[0]
    assert answer == [1, 3, 7] and trie.label(answer) == 0
    assert backend.generate([GenerateRequest([0], 16, constraint=UniAudioLabelMask(labels))])[0][:2] == [1, 4]
    with pytest.raises(ValueError, match=r"Label 0 .* the beginning of another"):
        LabelTrie([[1, 3], [1, 3, 7]])


def test_answers_do_not_depend_on_the_batch(language_model):
    torch.manual_seed(1)
    start = ids(30)
    requests = [
        GenerateRequest(start + ids(n), 12, temperature=t, top_p=0.9, seed=seed, stop_ids=(7,))
        for n in (3, 3, 5)
        for seed, t in enumerate((0.0, 1.0, 1.5))
    ]
    together = InProcessBackend(language_model).generate(requests)
    assert together == [InProcessBackend(language_model).generate([request])[0] for request in requests]
    assert together == [list(InProcessBackend(language_model).stream(request)) for request in requests]
    assert len({tuple(answer) for answer in together}) > 3


def test_greedy_answers_are_those_of_generate_in_transformers(language_model):
    torch.manual_seed(2)
    prompt = ids(20)
    expected = language_model.generate(torch.tensor([prompt]), max_new_tokens=10, do_sample=False, eos_token_id=None)
    assert InProcessBackend(language_model).generate([GenerateRequest(prompt, 10)])[0] == expected[0, 20:].tolist()


def test_progress_counts_every_request(language_model):
    counts = []
    requests = [ScoreRequest(ids(n), [[1]]) for n in (3, 3, 4, 9)]
    InProcessBackend(language_model, batch_size=1).score(requests, counts.append)
    InProcessBackend(language_model).generate([GenerateRequest([1], 2)] * 3, counts.append)
    assert sum(counts) == 4 + 3


def test_requests_that_mean_nothing_are_refused(language_model):
    for prompt, continuations in (([], [[1]]), ([1], []), ([1], [[]])):
        with pytest.raises(ValueError, match="at least one token id"):
            ScoreRequest(prompt, continuations)
    for name, bad in (
        ("max_new_tokens", 0),
        ("max_new_tokens", 2.0),
        ("temperature", -1),
        ("temperature", float("nan")),
        ("top_p", 0),
        ("top_p", 1.1),
        ("seed", None),
        ("seed", -1),
    ):
        with pytest.raises(ValueError, match=f"`{name}` is .*; got {bad}"):
            GenerateRequest([1], **{"max_new_tokens": 1, name: bad})
    with pytest.raises(ValueError, match="1030 tokens, 6 more than the language model's context of 1024"):
        InProcessBackend(language_model).score([ScoreRequest([1] * 1028, [[1, 2], [1]])])
