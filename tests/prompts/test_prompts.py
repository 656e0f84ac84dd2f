# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The parts that the processor is made of, each by itself."""

import copy

import torch

from llm_codec_hf.prompts_llm_codec import FewShotTemplate
from llm_codec_hf.segments_llm_codec import SegmentEncoder, interleave

CLIP = torch.zeros(1, 2, dtype=torch.long)


def test_a_prompt_is_a_list_of_texts_and_clips():
    template = FewShotTemplate(pair="<{input}>={output};", option="{label}", separator="/", instruction="[{labels}]")
    support = template.support_segments([(CLIP, "dog"), ("say", CLIP)], labels=["dog", "cat"], repeats=2)
    pairs = ["<", CLIP, ">=", "dog", ";", "<", "say", ">=", CLIP, ";"]
    assert support[0] == "[dog/cat]" and len(support) == 21
    assert all(a is b if a is CLIP else a == b for a, b in zip(support[1:], pairs * 2, strict=True))
    assert template.query_segments(CLIP) == ["<", CLIP, ">="]
    assert template.support_segments([(CLIP, "dog")], instruction="Hear: ")[0] == "Hear: "


def test_clips_take_the_place_of_placeholders():
    assert list(interleave("a <audio> b", CLIP, "<audio>")) == ["a ", CLIP, " b"]
    assert list(interleave("<audio><audio>", [CLIP, CLIP], "<audio>")) == ["", CLIP, "", CLIP, ""]
    assert list(interleave("a", None, "<audio>")) == ["a"]


def test_segments_are_encoded_by_themselves(processor):
    encoder = SegmentEncoder(processor.tokenizer, processor.words)
    assert encoder.encode([]) == [] and encoder.encode([""]) == [[]]
    assert encoder.encode(processor.words[:5]) == processor.token_ids[0][:5]
    assert copy.deepcopy(encoder) is encoder
    assert encoder.describe(-1) == "the unknown id -1"
