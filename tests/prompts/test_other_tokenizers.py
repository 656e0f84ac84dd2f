# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A codec's words in other tokenizers' ids, and prompts as conversations."""

import logging

import pytest
import torch
from language_models import bytes_alone
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoProcessor, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from llm_codec_hf.embedded import default_codec
from llm_codec_hf.feature_extraction_llm_codec import LLMCodecFeatureExtractor
from llm_codec_hf.processing_llm_codec import FewShotTemplate, LLMCodecProcessor

CODES = torch.tensor([[0, 2, 1, -1]] + [[0, 0, 0, -1]] * 6)
CHAT = "{% for m in messages %}[{{ m.role }}]{{ m.content }};{% endfor %}{{ '[assistant]' if add_generation_prompt }}"


def sentencepiece(pieces: str, **kwargs) -> PreTrainedTokenizerFast:
    """A tokenizer that reads a text as if a space went before it, as LLaMA 2's; every character is a token, too."""
    characters = sorted({"▁", *"".join(pieces.split()), *"Input:Output[usersai];\n"})
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys([*characters, *("▁" + word for word in pieces.split())]))}
    merges = []
    for word in pieces.split():
        for i in range(len(word)):
            left, right = "▁" + word[:i], word[i]
            vocab.setdefault(left + right, len(vocab))
            merges.append((left, right))
    tokenizer = Tokenizer(models.BPE({**vocab, "<unk>": len(vocab)}, merges, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **kwargs)


def processor_of(tokenizer, words=("dog", "cat", "sun"), **kwargs) -> LLMCodecProcessor:
    return LLMCodecProcessor(LLMCodecFeatureExtractor(), tokenizer, list(words), **kwargs)


def test_words_get_the_ids_of_a_byte_level_tokenizer():
    tokenizer = bytes_alone()
    other = processor_of(sentencepiece("dog cat sun")).for_tokenizer(tokenizer)
    assert other.words == [" dog", " cat", " sun"]
    spelt = [tokenizer.convert_tokens_to_ids(list("Ġ" + word)) for word in ("dog", "sun", "cat")]
    assert other.codes_to_ids(CODES, 0) == sum(spelt, [])
    torch.testing.assert_close(other.ids_to_codes(sum(spelt, []), 0), CODES[:1, :3])
    assert other.codes_to_text(CODES, 0) == "dog sun cat"
    prompt = other.few_shot_prompt([(CODES, "bark")], CODES, labels=["bark", "meow"])
    assert tokenizer.decode(prompt) == (
        "For each of the following input output pairs, output is one of ['bark' or 'meow']\n"
        "###\nInput: < dog sun cat >\nOutput: bark###\nInput: < dog sun cat >\nOutput:"
    )


def test_words_get_the_ids_of_a_tokenizer_that_adds_the_space():
    template = FewShotTemplate(pair="Input:{input}\n\nOutput:{output}\n", text=" {text}", label_end="\n")
    own = processor_of(bytes_alone(), (" dog", " cat", " sun"), template=template)
    tokenizer = sentencepiece("dog cat sun")
    other = own.for_tokenizer(tokenizer)
    assert other.words == ["dog", "cat", "sun"] and other.template.text == "{text}"
    assert other.codes_to_ids(CODES, 0) == tokenizer.convert_tokens_to_ids(["▁dog", "▁sun", "▁cat"])
    assert own.fitting(own.tokenizer) is own


def test_the_other_layers_are_refused(tmp_path):
    other = processor_of(sentencepiece("dog cat sun")).for_tokenizer(bytes_alone())
    other.save_pretrained(tmp_path)
    for processor in (other, LLMCodecProcessor.from_pretrained(tmp_path)):
        assert processor.codes_to_ids(CODES, 0) == other.codes_to_ids(CODES, 0)
        for refused in (
            lambda p=processor: p.codes_to_ids(CODES),
            lambda p=processor: p.codes_to_words(CODES, (0, 1)),
            lambda p=processor: p.ids_to_codes([1, 2], (1,)),
            lambda p=processor: p.audio_grammar(1),
        ):
            with pytest.raises(ValueError, match=r"layer 1 are token ids of the codec's own .* `layers=\(0,\)`"):
                refused()


def test_words_that_would_be_the_same_are_refused():
    with pytest.raises(ValueError, match=r"The codes \[0, 1\] of layer 0 are all written 'dog'"):
        processor_of(bytes_alone(), (" dog", "dog")).for_tokenizer(bytes_alone())
    with pytest.raises(ValueError, match=r"Code 1 of layer 0 \(' '\) is no word"):
        processor_of(bytes_alone(), (" dog", " ")).for_tokenizer(bytes_alone())
    with pytest.raises(TypeError, match="takes a tokenizer of Transformers, got str"):
        processor_of(bytes_alone()).for_tokenizer("gpt2")


def test_it_says_that_the_words_are_anothers(caplog):
    own = processor_of(sentencepiece("dog cat sun", name_or_path="llama"))
    transformers_logging.enable_propagation()
    try:
        with caplog.at_level(logging.WARNING):
            other = own.fitting(bytes_alone(name_or_path="qwen"))
    finally:
        transformers_logging.disable_propagation()
    assert other.words[0] == " dog" and "in the tokens of qwen, not of llama: layer 0 alone" in caplog.text


def test_the_default_codec_speaks_to_any_tokenizer():
    processor = AutoProcessor.from_pretrained(default_codec())
    other, codes = processor.for_tokenizer(bytes_alone()), torch.arange(processor.codes_per_group * 8).view(-1, 8)
    assert other.codes_to_text(codes, 0) == processor.codes_to_text(codes, 0)
    torch.testing.assert_close(other.ids_to_codes(other.codes_to_ids(codes, 0), 0), codes[:1])


def test_a_prompt_as_a_conversation():
    processor = processor_of(bytes_alone(chat_template=CHAT), (" dog", " cat", " sun"))
    messages = processor.few_shot_messages([(CODES, "bark"), ("a text", CODES)], CODES, labels=["bark"])
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    instruction = "For each of the following input output pairs, output is one of ['bark']\n"
    words = ["dog sun cat", "bark", "a text", "dog sun cat", "dog sun cat"]
    shown = processor.messages_to_text(messages)
    assert [message["content"] for message in shown] == [instruction + words[0], *words[1:]]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    first, second = f"[user]{instruction}dog sun cat;[assistant]bark;", "[user]a text;[assistant]dog sun cat;"
    assert text == first + second + "[user]dog sun cat;[assistant]"
    ids = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)
    assert processor.tokenizer.decode(ids) == text.replace("dog sun", " dog sun")
    assert ids == processor.apply_chat_template([messages], add_generation_prompt=True, tokenize=True)[0]
    several = processor.apply_chat_template(
        [messages, messages[2:]], tokenize=True, return_dict=True, return_tensors="pt", padding=True
    )
    assert several["input_ids"].shape == several["attention_mask"].shape and several["attention_mask"][1, 0] == 0


@pytest.mark.parametrize(
    ("conversation", "message"),
    [
        ("hello", "a list of messages, got str"),
        ([{"role": "user"}], "Message 0 has a `role` and a `content`"),
        ([{"role": "user", "content": 3}], "is a text or a list of items, got 3"),
        ([{"role": "user", "content": [{"type": "audio", "url": "a.wav"}]}], "through the codec's `encode` first"),
        ([{"role": "user", "content": "an <audio> of"}], "holds '<audio>', which stands for clips"),
    ],
)
def test_what_is_no_conversation_is_refused(conversation, message):
    processor = processor_of(bytes_alone(chat_template=CHAT))
    with pytest.raises(ValueError, match=message):
        processor.apply_chat_template(conversation)
