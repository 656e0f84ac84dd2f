# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What processor, prompts and grammar refuse, and how: by name, with what to do. Each kind by an example."""

import numpy as np
import pytest
import torch
from conftest import tiny_processor

from llm_codec_hf import FewShotTemplate, LLMCodecFeatureExtractor, LLMCodecProcessor
from llm_codec_hf.grammar_llm_codec import ConstrainedLogitsProcessor, LabelTrie, UniAudioLabelMask

CODES = torch.zeros(7, 3, dtype=torch.long)


def made(words, token_ids=None, **kwargs):
    given = tiny_processor()
    return LLMCodecProcessor(LLMCodecFeatureExtractor(), given.tokenizer, words, token_ids, **kwargs)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        # codes, where text or something else stands for them
        (lambda p: p(text="<audio>", audio_codes="a"), ValueError, "`audio_codes` .* got str"),
        (lambda p: p(text="<audio>", audio_codes=["a"]), ValueError, "has the text 'a' for a clip"),
        (lambda p: p(text="<audio>", audio_codes={"a": CODES}), ValueError, "got dict"),
        (lambda p: p(text="<audio>", audio_codes=5), ValueError, "got int"),
        (lambda p: p(text="<audio>", audio_codes=torch.tensor(5)), ValueError, r"the shape \(\)"),
        (lambda p: p(text="<audio>", audio_codes=[CODES.float()]), ValueError, "takes integers, got torch.float32"),
        (lambda p: p(text=["<audio>", "<audio>"], audio_codes="ab"), ValueError, "got str"),
        (lambda p: p(text=["<audio>"], audio_codes=torch.tensor(5)), ValueError, "got Tensor"),
        (lambda p: p(text=["<audio>"], audio_codes=[CODES, CODES]), ValueError, "1 texts, but audio codes for 2"),
        (lambda p: p.codes_to_ids([[10**30]]), ValueError, "array of integers"),
        (lambda p: p.codes_to_ids(np.full((7, 1), 2**64 - 1, np.uint64)), ValueError, r"above 2\^63"),
        (lambda p: p.codes_to_ids(CODES.to_sparse()), ValueError, "to_dense"),
        (lambda p: p.codes_to_ids(torch.tensor(3)), ValueError, r"\(7, groups\); got \(\)"),
        (lambda p: p.codes_to_words({"a": 1}), ValueError, "array of integers, got dict"),
        # texts
        (lambda p: p(text=5), TypeError, "`text` takes a list of texts, got 5"),
        (lambda p: p(text=[b"a"]), TypeError, "got b'a' among them"),
        (lambda p: p.segments_to_ids("abc"), TypeError, "`segments` takes a list of texts and codes, got str"),
        (lambda p: p.segments_to_ids([None]), ValueError, "array of integers, got NoneType"),
        (lambda p: p.label_ids(3), TypeError, "`label` takes a text, got 3"),
        # options of texts
        (lambda p: p(text="a", padding="max_length"), ValueError, "longest or not: .* got 'max_length'"),
        (lambda p: p(text="a", padding=2), ValueError, "got 2"),
        (lambda p: p(text="a", padding_side=0), ValueError, "'left' or 'right', got 0"),
        (lambda p: p(text="a", return_tensors="tf"), ValueError, "'pt' or 'np', got 'tf'"),
        (lambda p: p(text="a", add_special_tokens="no"), ValueError, "True or False, got 'no'"),
        # layers, layouts, numbers of groups
        (lambda p: p.codes_to_ids(CODES, layers=True), ValueError, r"`layers` are some of \[0, 1, 2\]"),
        (lambda p: p.codes_to_ids(CODES, layers=[0.0]), ValueError, r"got \[0.0\]"),
        (lambda p: p.codes_to_ids(CODES, layers=1.5), ValueError, "got 1.5"),
        (lambda p: p.codes_to_ids(CODES, layers="01"), ValueError, "got '01'"),
        (lambda p: p.codes_to_ids(CODES, layout=["layer_major"]), ValueError, "`layout` is one of"),
        (lambda p: p.ids_to_codes([], num_groups=10**9), ValueError, "`num_groups` is an integer, from 0 to 131072"),
        (lambda p: p.ids_to_codes([], num_groups=True), ValueError, "got True"),
        (lambda p: p.ids_to_codes([], num_groups="3"), ValueError, "got '3'"),
        (lambda p: p.ids_to_codes([[1]]), ValueError, r"1 dimension\(s\) here, got the shape \(1, 1\)"),
        (lambda p: p.ids_to_codes("12"), ValueError, "got str"),
        (lambda p: p.audio_grammar(10**9), ValueError, "`min_groups` is an integer, from 1 to 131072"),
        (lambda p: p.audio_grammar(2.0), ValueError, "`min_groups` .* got 2.0"),
        (lambda p: p.audio_grammar(3, 2), ValueError, "`max_groups` is an integer, from 3"),
        # prompts
        (lambda p: p.few_shot_prompt("ab", CODES), TypeError, "`examples` takes .* pairs, got str"),
        (lambda p: p.few_shot_prompt(["ab"], CODES), ValueError, "Demonstration 0 is an .* pair.* got str"),
        (lambda p: p.few_shot_prompt([(CODES,)], CODES), ValueError, "got tuple of 1"),
        (lambda p: p.few_shot_prompt([CODES[:2]], CODES), ValueError, "got Tensor"),
        (lambda p: p.few_shot_prompt([(CODES, 3)], CODES, labels=["a"]), ValueError, r"got the shape \(\)"),
        (lambda p: p.few_shot_prompt([(CODES, "a")], None), ValueError, "got NoneType"),
        (lambda p: p.few_shot_prompt([(CODES, "a")], CODES, labels="dog"), TypeError, r"pass \[labels\] for one"),
        (lambda p: p.few_shot_prompt([(CODES, "a")], CODES, labels=[1]), TypeError, "got 1 among them"),
        (lambda p: p.few_shot_prompt([(CODES, "a")], CODES, instruction=3), ValueError, "True, False or a text; got 3"),
        (lambda p: p.few_shot_prompt([(CODES, "a")], CODES, repeats=True), ValueError, "`repeats` .* got True"),
        (lambda p: p.few_shot_prompt([(CODES, "a")], CODES, repeats=10**9), ValueError, "from 1 to 1000"),
        (
            lambda p: p.few_shot_prompt([(CODES, "a")], CODES, template=""),
            ValueError,
            "their values, got ''",
        ),
        (lambda p: p.check_tokenizer("SmolLM2"), TypeError, "`tokenizer` takes .* got str"),
        # constraints
        (lambda p: LabelTrie([]), ValueError, "one label or more"),
        (lambda p: LabelTrie("ab"), ValueError, "one label or more"),
        (lambda p: LabelTrie([["a"]]), ValueError, "list of token ids"),
        (lambda p: UniAudioLabelMask([]), ValueError, "one label or more"),
        (lambda p: p.audio_grammar(1).read([1.5]), ValueError, "takes integers"),
        (lambda p: p.audio_grammar(1).read("a"), ValueError, "array of integers"),
        (lambda p: p.audio_grammar(1).determined(()), ValueError, "continues no code"),
        (lambda p: ConstrainedLogitsProcessor("a", 1, 1), TypeError, "`constraint` is a LabelTrie"),
        (lambda p: ConstrainedLogitsProcessor(LabelTrie([[1]]), -1, 1), ValueError, "`prompt_length`"),
        (lambda p: ConstrainedLogitsProcessor(LabelTrie([[1]]), 1, None), ValueError, "`eos_token_id`"),
        (
            lambda p: ConstrainedLogitsProcessor(LabelTrie([[1]]), 9, 1)(torch.zeros(1, 3).long(), torch.zeros(1, 9)),
            ValueError,
            "`prompt_length` is 9, but the rows have 3 ids",
        ),
        (
            lambda p: ConstrainedLogitsProcessor(LabelTrie([[99]]), 3, 1)(torch.zeros(1, 3).long(), torch.zeros(1, 9)),
            ValueError,
            "asks for the id 99, but the language model has 9",
        ),
        # what a processor is made of
        (lambda p: made("abc"), TypeError, "`words` takes a list of texts"),
        (lambda p: made([" aa", 3]), TypeError, "got 3 among them"),
        (lambda p: made([" aa"], "abc"), ValueError, "`token_ids` is a list of tables, one per layer; got str"),
        (lambda p: made([" aa"], [5, None, None]), ValueError, "Layer 0's table is a list"),
        (lambda p: made([" aa"], [["12"], None, None]), ValueError, "list of token ids, got '12'"),
        (lambda p: made([" aa"], [[[1.7]], None, None]), ValueError, r"got \[1.7\]"),
        (lambda p: made([" aa"], [[True], None, None]), ValueError, "got True"),
        (lambda p: made([" aa"], [None, {"range": 10**12}, None]), ValueError, "`range of layer 1` .* 1000000000000"),
        (lambda p: made([" aa"], [None, {"range": True}, None]), ValueError, "got True"),
        (lambda p: made([" aa"], vq_strides=5), ValueError, "`vq_strides` are positive integers .* got 5"),
        (lambda p: made([" aa"], vq_strides="421"), ValueError, "got '421'"),
        (lambda p: made([" aa"], vq_strides=[2**40, 1]), ValueError, "up to 1048576"),
        (lambda p: made([" aa"], template=5), ValueError, "fields and their values, got 5"),
    ],
)
def test_refused(processor, call, error, message):
    with pytest.raises(error, match=message):
        call(processor)


def test_whole_numbers_of_numpy_are_numbers(processor):
    expected = processor.codes_to_ids(CODES, layers=(0, 2))
    assert processor.codes_to_ids(CODES, layers=np.array([0, 2])) == expected
    assert processor.ids_to_codes(expected, layers=(0, 2), num_groups=np.int64(3)).shape == (5, 3)


def test_texts_are_padded_by_any_name_of_the_longest(processor):
    batch = ["a", " aa bb cc"]
    expected = processor(text=batch, padding=True)["input_ids"]
    assert processor(text=batch, padding="longest")["input_ids"] == expected
    unpadded = processor(text=batch, padding="do_not_pad")["input_ids"]
    assert len(unpadded[0]) < len(unpadded[1]) == len(expected[0])


def test_a_damaged_list_of_words_names_its_file(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    for content in ("{", "[]", '{"words": []}'):
        (tmp_path / "audio_words.json").write_text(content)
        with pytest.raises(ValueError, match="audio_words.json"):
            LLMCodecProcessor.from_pretrained(tmp_path)


def test_fields_of_a_template_are_texts():
    with pytest.raises(ValueError, match="option"):
        FewShotTemplate.make({"option": 5})
