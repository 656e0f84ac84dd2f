# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Language models of every kind: each is answered as by full passes, or refused by name."""

import json

import pytest
import torch
from language_models import Bigram, full_pass
from transformers import AutoConfig, AutoModelForCausalLM

from llm_codec_hf.backend_llm_codec import InProcessBackend
from llm_codec_hf.passes_llm_codec import Passes, Way, tree
from llm_codec_hf.requests_llm_codec import GenerateRequest, LanguageModelError, ScoreRequest

SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
}
KINDS = {
    "llama": ({}, Way.PACKED),
    "gpt2": ({"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}, Way.PACKED),
    "mistral": ({"sliding_window": 8}, Way.ROWS),  # a mask of ours holds no window
    "bloom": ({"n_layer": 2, "n_head": 4}, Way.ROWS),  # ALiBi counts places by itself
    "mpt": ({"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 256}, Way.ROWS),
    "mamba": ({"state_size": 8}, None),
    "jamba": (
        {
            "mamba_d_state": 8,
            "num_experts": 2,
            "use_mamba_kernels": False,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
        },
        None,
    ),
    "openai-gpt": ({"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}, Way.WHOLE),  # it has no cache
}


def toy(kind: str, **options):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**SIZES, **KINDS.get(kind, ({},))[0], **options})
    return AutoModelForCausalLM.from_config(config).eval()


def ids(n: int) -> list[int]:
    return torch.randint(1, 290, (n,)).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_answered_as_by_full_passes(kind):
    model = toy(kind)
    torch.manual_seed(0)
    support, label = ids(40), ids(2)
    labels = [ids(1), [*label, 7], [*label, 8, 9], ids(3)]
    requests = [ScoreRequest([*support, *ids(n)], labels) for n in (9, 9, 4)]
    expected = torch.tensor([[full_pass(model, r.prompt, c) for c in labels] for r in requests])
    backend = InProcessBackend(model)
    backend.read(support)
    torch.testing.assert_close(torch.stack(backend.score(requests)), expected, atol=1e-3, rtol=0)
    if (way := KINDS[kind][1]) is not None:
        assert backend._way is way
    answer = backend.generate([GenerateRequest(requests[0].prompt, 4)])[0]
    with torch.no_grad():
        for n, token_id in enumerate(answer):
            assert token_id == int(model(torch.tensor([requests[0].prompt + answer[:n]])).logits[0, -1].argmax())


@pytest.mark.parametrize("way", Way)
def test_every_way_gives_the_same(language_model, way, monkeypatch):
    torch.manual_seed(1)
    support = ids(30)
    labels = [ids(n) for n in (1, 2, 3, 5)] + [[3, 4, 5], [3, 4, 6, 7]]
    requests = [ScoreRequest([*support, *ids(n)], labels) for n in (3, 3, 1)] + [ScoreRequest(ids(5), [[4], [9]])]
    expected = [torch.tensor([full_pass(language_model, r.prompt, c) for c in r.continuations]) for r in requests]
    monkeypatch.setattr(Passes, "way", lambda *_: way)
    for positions, tokens_at_once in ((2**27, 32768), (900, 90)):  # all at once, and in parts
        monkeypatch.setattr("llm_codec_hf.backend_llm_codec.LOGITS_AT_ONCE", positions)
        scores = InProcessBackend(language_model, tokens_at_once=tokens_at_once).score(requests)
        for got, wanted in zip(scores, expected, strict=True):
            torch.testing.assert_close(got, wanted, atol=1e-4, rtol=0)


def test_labels_are_read_together():
    model, calls = toy("llama"), []
    backend = InProcessBackend(model)
    requests = [ScoreRequest(ids(20), [[k, k + 1, 5] for k in range(1, 41)])]
    backend.score(requests)
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    backend.score(requests)
    assert backend._way is Way.PACKED and len(calls) == 1


def test_a_sliding_window_is_looked_at_where_prompts_pass_it():
    model = toy("mistral", sliding_window=64)
    backend = InProcessBackend(model)
    ways = []
    for n in (20, 100, 200):
        request = ScoreRequest(ids(n), [[1, 2, 3], [4, 5]])
        expected = [full_pass(model, request.prompt, c) for c in request.continuations]
        torch.testing.assert_close(backend.score([request])[0], torch.tensor(expected), atol=1e-3, rtol=0)
        ways.append(backend._way)
    assert ways == [Way.PACKED, Way.ROWS, Way.ROWS]


def test_a_model_that_misreads_its_cache_is_asked_by_full_passes(monkeypatch):
    model = toy("llama")
    attention = model.model.layers[1].self_attn
    forward = attention.forward

    def forgetful(hidden_states, *args, **kwargs):
        output, weights = forward(hidden_states, *args, **kwargs)
        cache = next((kwargs[name] for name in ("past_key_values", "cache") if name in kwargs), None)
        behind = cache is not None and cache.get_seq_length(1) > hidden_states.shape[1]
        return output * (0.9 if behind else 1), weights

    monkeypatch.setattr(attention, "forward", forgetful)
    told = []
    monkeypatch.setattr("llm_codec_hf.passes_llm_codec.logger.warning_once", told.append)
    request = ScoreRequest(ids(30), [[1, 2], [3, 4, 5]])
    backend = InProcessBackend(model)
    expected = [full_pass(model, request.prompt, c) for c in request.continuations]
    torch.testing.assert_close(backend.score([request])[0], torch.tensor(expected), atol=1e-4, rtol=0)
    assert backend._way is Way.WHOLE
    backend.score([request])
    assert len(told) == 1 and "LlamaForCausalLM" in told[0] and "differ from a full pass" in told[0]


def test_what_cannot_answer_is_refused_by_name():
    request = ScoreRequest(ids(30), [[1, 2], [3, 4]])
    with pytest.raises(LanguageModelError, match=r"BertLMHeadModel.* in float32 is not causal"):
        InProcessBackend(toy("bert")).score([request])
    broken = toy("llama")
    broken.lm_head.weight.data[5] = float("nan")
    for ask in (
        lambda backend: backend.score([request]),
        lambda backend: backend.read(request.prompt),
        lambda backend: backend.generate([GenerateRequest([1], 2)]),
        lambda backend: list(backend.stream(GenerateRequest([1], 2))),
    ):
        with pytest.raises(LanguageModelError, match=r"LlamaForCausalLM.* in float32 gives NaN or infinite"):
            ask(InProcessBackend(broken))


def test_scores_that_break_later_are_an_error():
    logits = torch.zeros(8, 8)
    model = Bigram(logits)
    backend = InProcessBackend(model)
    backend.score([ScoreRequest([1], [[1]])])
    model.embedding.weight.data[3] = float("nan")
    with pytest.raises(LanguageModelError, match="Bigram in float32 gives NaN or infinite scores"):
        backend.score([ScoreRequest([3], [[1], [2]])])
    with pytest.raises(LanguageModelError, match="NaN"):
        backend.generate([GenerateRequest([3], 2, temperature=1.0)])
    # ids that can never come are no fault, as long as nobody asks for them
    model.embedding.weight.data[:] = torch.tensor([0.0] * 7 + [float("-inf")])
    assert InProcessBackend(model).score([ScoreRequest([3], [[1]])])[0].isfinite()
    with pytest.raises(LanguageModelError, match="NaN or infinite scores"):
        InProcessBackend(model).score([ScoreRequest([3], [[1], [7]])])


def test_a_prompt_longer_than_the_context_of_mpt():
    with pytest.raises(ValueError, match="300 tokens, 44 more than the language model's context of 256"):
        InProcessBackend(toy("mpt")).score([ScoreRequest(ids(299), [[1]])])


def test_a_fault_of_the_model_names_it():
    backend = InProcessBackend(toy("llama"))
    backend.score([ScoreRequest([1], [[1]])])
    with pytest.raises(LanguageModelError, match="LlamaForCausalLM.* cannot read 1 × 1 ids: IndexError"):
        backend.score([ScoreRequest([100000], [[1]])])


def test_a_tree_of_labels():
    assert tree([(1, 2), (1, 3), (), (4,)]) == [(1,), (1, 2), (1, 3), (4,)]
    assert tree([]) == []
    assert json.dumps(tree([(1,)])) == "[[1]]"
