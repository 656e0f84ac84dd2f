# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What a model may write as audio: whatever the grammar lets pass is read back, as the processor reads it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from language_models import Bigram

from llm_codec_hf.backend_llm_codec import InProcessBackend
from llm_codec_hf.code_tables_llm_codec import CodeTable
from llm_codec_hf.grammar_llm_codec import AudioGrammar, ConstrainedLogitsProcessor, LabelTrie
from llm_codec_hf.requests_llm_codec import GenerateRequest

END = 9
# words of one to three ids that begin like, and are made of, each other
WORDS = CodeTable([0, 1, [0, 1], [1, 0], [0, 1, 2], [2, 2]], 10, 0)
TOKENS = CodeTable([0, 2, 3], 10, 1)
LAYOUTS = ["layer_major", "time_major"]


def walk(grammar: AudioGrammar, choose) -> list[int]:
    """A sequence that the grammar lets pass, `choose` taking each id from those allowed."""
    state, ids = grammar.start(), []
    while len(allowed := grammar.allowed(state)):
        ids.append(choose(allowed.tolist()))
        state = grammar.step(state, ids[-1])
        assert state and len(ids) <= grammar.max_ids
    assert torch.equal(grammar.codes(state), grammar.read(ids))
    return ids


def ids_of(codes: torch.Tensor, layout: str, tables, counts) -> list[int]:
    parts = codes.split(counts)
    if layout == "layer_major":
        order = [(table, code) for table, part in zip(tables, parts) for code in part.T.reshape(-1).tolist()]
    else:
        order = [
            (table, code)
            for group in range(codes.shape[1])
            for table, part in zip(tables, parts)
            for code in part[:, group].tolist()
        ]
    return [i for table, code in order for i in table.sequences[code]]


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(LAYOUTS), st.integers(1, 3), st.integers(0, 2), st.booleans())
def test_whatever_passes_is_read_back(data, layout, least, more, both):
    tables, counts = ([WORDS, TOKENS], [1, 2]) if both else ([WORDS], [1])
    grammar = AudioGrammar(tables, counts, layout, least, least + more, {END})
    ids = walk(grammar, lambda allowed: data.draw(st.sampled_from(allowed)))
    codes = grammar.read(ids)
    assert codes.shape[0] == sum(counts) and least <= codes.shape[1] <= least + more
    written = ids[:-1] if ids[-1] == END else ids
    assert ids_of(codes, layout, tables, counts) == written


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(LAYOUTS), st.integers(1, 3))
def test_every_clip_can_be_written(data, layout, groups):
    tables, counts = [WORDS, TOKENS], [1, 2]
    rows = [
        data.draw(st.lists(st.integers(0, len(table) - 1), min_size=groups, max_size=groups))
        for table, n in zip(tables, counts)
        for _ in range(n)
    ]
    grammar = AudioGrammar(tables, counts, layout, groups, groups + 2, {END})
    ids = ids_of(torch.tensor(rows), layout, tables, counts)
    state = grammar.start()
    for token_id in ids:
        assert token_id in grammar.allowed(state).tolist()
        state = grammar.step(state, token_id)
    assert ids_of(grammar.codes(state), layout, tables, counts) == ids  # the same ids, if not the same words


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("layers", [(0,), None, (0, 2)])
def test_as_the_processor_reads_it(processor, layout, layers):
    grammar = processor.audio_grammar(3, layers=layers, layout=layout)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        ids = walk(grammar, lambda allowed: allowed[torch.randint(len(allowed), (), generator=generator)])
        assert torch.equal(grammar.read(ids), processor.ids_to_codes(ids, layers, layout, num_groups=3))


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(LAYOUTS), st.booleans())
def test_what_is_determined_stays(data, layout, both):
    tables, counts = ([WORDS, TOKENS], [1, 2]) if both else ([WORDS], [1])
    grammar = AudioGrammar(tables, counts, layout, 3, 3)
    state, known = grammar.start(), []
    while len(allowed := grammar.allowed(state)):
        state = grammar.step(state, data.draw(st.sampled_from(allowed.tolist())))
        known.append(grammar.determined(state))
    whole = grammar.codes(state)
    assert all(torch.equal(codes, whole[:, : codes.shape[1]]) for codes in known)
    assert [codes.shape[1] for codes in known] == sorted(codes.shape[1] for codes in known)


def test_exact_sequences_by_hand():
    # the model wants 9 (the end), then 3, then 2, …: the grammar lets the most wanted id pass that continues a clip
    logits = torch.arange(10.0).repeat(10, 1)
    backend = InProcessBackend(Bigram(logits))

    def written(grammar):
        return backend.generate([GenerateRequest([5], grammar.max_ids, constraint=grammar)])[0]

    assert written(AudioGrammar([WORDS, TOKENS], [1, 2], "layer_major", 2, 2)) == [2, 2, 2, 2, 3, 3, 3, 3]
    assert written(AudioGrammar([WORDS, TOKENS], [1, 2], "time_major", 2, 2)) == [2, 2, 3, 3, 2, 2, 3, 3]
    assert written(AudioGrammar([WORDS], [1], "time_major", 1, 5, {END})) == [2, 2, END]
    assert written(AudioGrammar([TOKENS], [2], "layer_major", 2, 5, {END})) == [3, 3, 3, 3, END]


def test_as_a_logits_processor(processor, language_model):
    grammar = processor.audio_grammar(2)
    prompt = [5, 6, 7]
    expected = InProcessBackend(language_model).generate(
        [GenerateRequest(prompt, grammar.max_ids, constraint=grammar)]
    )[0]
    eos = processor.tokenizer.eos_token_id
    output = language_model.generate(
        torch.tensor([prompt, prompt]),
        max_new_tokens=grammar.max_ids + 1,
        do_sample=False,
        eos_token_id=eos,
        pad_token_id=eos,
        logits_processor=[ConstrainedLogitsProcessor(grammar, len(prompt), eos)],
    )
    assert output[0, 3:].tolist() == [*expected, eos] and torch.equal(output[0], output[1])


def test_ids_that_are_no_clip_are_refused_with_a_reason():
    grammar = AudioGrammar([WORDS, TOKENS], [1, 2], "time_major", 1, 2, {END})
    assert grammar.read([0, 2, 3, END]).tolist() == [[0], [1], [2]]
    assert grammar.read([0, 2, 3, END, 7, 7]).tolist() == [[0], [1], [2]]  # what follows a clip's end is no part of it
    with pytest.raises(ValueError, match="Id 7 at position 1 continues no code"):
        grammar.read([0, 7])
    with pytest.raises(ValueError, match="no whole clip of 1 to 2 groups of codes: they end too early"):
        grammar.read([0, 2])
    with pytest.raises(ValueError, match="1 or more groups, got 0 to 2"):
        AudioGrammar([WORDS], [1], "time_major", 0, 2, {END})
    with pytest.raises(ValueError, match="needs `end_ids`"):
        AudioGrammar([WORDS], [1], "time_major", 1, 2)


def test_a_label_is_read_back_whole():
    trie = LabelTrie([[1, 2, END], [1, END]])
    assert [trie.label([1, 2, END]), trie.label([1, END])] == [0, 1]
    assert trie.allowed(trie.step(trie.start(), 1)).tolist() == [2, END]
    with pytest.raises(ValueError, match=r"The ids \[1, 2\] are those of none of the 2 labels"):
        trie.label([1, 2])
