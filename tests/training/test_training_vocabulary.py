# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Words and tokens of any language model, and codecs for language models of other tokenizers."""

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import SHARED, tiny_config, tiny_tokenizer
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import AutoModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, pipeline

from llm_codec_hf.training.building import export, make_trainer
from llm_codec_hf.training.configuration import TrainingConfig
from llm_codec_hf.training.vocabulary import make_vocabulary, open_vocabulary, plain_tokens, single_token_words


def config(**fields) -> TrainingConfig:
    return TrainingConfig(data="data", output_dir="out", **fields)


def sentence_piece_tokenizer() -> PreTrainedTokenizerFast:
    """As LLaMA 2's: "▁" before a word, bytes as `<0x..>`, letters, some words."""
    words = [f"▁{a}{b}" for a in "klmno" for b in "klmno"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "▁", *"klmno", *(f"▁{a}" for a in "klmno")]
    pieces += words
    merges = [("▁", a) for a in "klmno"] + [(f"▁{a}", b) for a in "klmno" for b in "klmno"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def test_single_token_words():
    tokenizer = tiny_tokenizer()
    words = single_token_words(tokenizer)
    assert set(words) == {*"abcdef", *(a + b for a in "abcdef" for b in "abcdef")}
    assert list(words.values()) == sorted(words.values())
    assert all(tokenizer.encode(" " + word) == [id] for word, id in words.items())


def test_tokens_are_neither_special_nor_bytes():
    tokenizer = tiny_tokenizer()
    tokens = tokenizer.convert_ids_to_tokens(plain_tokens(tokenizer))
    assert "<eos>" not in tokens and min(map(len, tokens)) == 2 and len(tokens) == 42
    tokens = sentence_piece_tokenizer().convert_ids_to_tokens(plain_tokens(sentence_piece_tokenizer()))
    assert tokens == ["▁", *"klmno", *(f"▁{a}" for a in "klmno"), *(f"▁{a}{b}" for a in "klmno" for b in "klmno")]


def test_words_of_a_file_are_means_of_their_tokens(tmp_path):
    (tmp_path / "words.txt").write_text("ab\nabcd\n\nfe\nab\n")
    embeddings = torch.randn(400, 8).bfloat16()
    vocabulary = make_vocabulary(tiny_tokenizer(), embeddings, config(words=str(tmp_path / "words.txt"), num_tokens=5))
    assert vocabulary.words == [" ab", " abcd", " fe"]
    assert [len(ids) for ids in vocabulary.word_ids] == [1, 3, 1]
    tables = vocabulary.tables(3)
    assert [tuple(table.shape) for table in tables] == [(3, 8), (5, 8), (5, 8)]
    torch.testing.assert_close(tables[0][1], embeddings[vocabulary.word_ids[1]].float().mean(0))
    processor = vocabulary.processor(tiny_config(codebook_sizes=[3, 5, 5]))
    codes = torch.tensor([[0, 1], *[[2, 3]] * 6])
    assert torch.equal(processor.ids_to_codes(processor.codes_to_ids(codes)), codes)

    vocabulary.save(tmp_path / "vocabulary")
    again = open_vocabulary(config(language_model=str(tmp_path / "vocabulary")))
    for field in ("words", "word_ids", "token_ids"):
        assert getattr(again, field) == getattr(vocabulary, field)
    assert all(torch.equal(one, other) for one, other in zip(again.tables(3), tables))


def test_the_last_layer_may_have_more_tokens(tmp_path):
    """The others have the first of them; words, saved and read again likewise."""
    embeddings = torch.randn(400, 8)
    vocabulary = make_vocabulary(tiny_tokenizer(), embeddings, config(num_words=4, num_tokens=5, finest_tokens=9))
    vocabulary.save(tmp_path)
    for each in (vocabulary, open_vocabulary(config(language_model=str(tmp_path)))):
        tables = each.tables(3)
        assert [len(table) for table in tables] == [4, 5, 9] and torch.equal(tables[1], tables[2][:5])
        assert [len(table) for table in each.tables(2)] == [4, 9] and len(each.tables(1)) == 1
        processor = each.processor(tiny_config(codebook_sizes=[4, 5, 9]))
        codes = torch.tensor([[0, 1], *[[2, 3]] * 2, *[[8, 7]] * 4])
        assert torch.equal(processor.ids_to_codes(processor.codes_to_ids(codes)), codes)
    with pytest.raises(ValueError, match=r"`finest_tokens` \(4\) is `num_tokens` \(5\) or more"):
        config(num_tokens=5, finest_tokens=4)


def test_dictionary_chooses_among_single_tokens(tmp_path):
    (tmp_path / "dictionary").write_text("fe\nzz\nab\n")
    vocabulary = make_vocabulary(tiny_tokenizer(), torch.randn(400, 8), config(dictionary=str(tmp_path / "dictionary")))
    assert vocabulary.words == [" ab", " fe"]  # in the order of their ids
    with pytest.raises(ValueError, match="at least two words, found 0 of 9 letters"):
        make_vocabulary(tiny_tokenizer(), torch.randn(400, 8), config(min_letters=9))


def llama_2_tokenizer():
    path = SHARED / "original" / "llama2_tokenizer.model"
    if not path.is_file():
        pytest.skip("LLaMA 2's tokenizer may not be in this repository; this test needs ../shared")
    from llm_codec_hf.conversion.tokenizer import load_sentencepiece_tokenizer

    return load_sentencepiece_tokenizer(path)


@pytest.mark.e2e
@pytest.mark.parametrize("make_tokenizer", [sentence_piece_tokenizer, llama_2_tokenizer])
def test_a_codec_for_another_language_model(make_tokenizer, tmp_path):
    """Of a SentencePiece vocabulary, where the embedded default's is byte-level BPE: trained, exported, classifies."""
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    llm = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes))
    llm.save_pretrained(tmp_path / "llm")
    tokenizer.save_pretrained(tmp_path / "llm")
    (tmp_path / "audio" / "source").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(4):
        t = np.arange(16000) / 16000
        sf.write(
            tmp_path / "audio" / "source" / f"{i}.wav",
            0.2 * np.sin(300 * 2**i * t) + 0.01 * rng.standard_normal(len(t)),
            16000,
        )
    settings = TrainingConfig(
        data=str(tmp_path / "audio"),
        output_dir=str(tmp_path / "run"),
        language_model=str(tmp_path / "llm"),
        codec={"encoder_dim": 4, "decoder_dim": 64},
        num_words=16,
        min_letters=2,
        max_steps=6,
        fitted_clips=32,
        quantize_after=2,
        batch_size=2,
        min_windows=1,
        max_windows=1,
        eval_clips=1,
    )
    trainer, vocabulary = make_trainer(settings)
    assert trainer.train()
    folder = export(trainer, vocabulary, tmp_path / "codec")
    assert AutoModel.from_pretrained(folder).config.codebook_sizes[1] == len(plain_tokens(tokenizer))
    clips = [str(tmp_path / "audio" / "source" / f"{i}.wav") for i in range(4)]
    pipe = pipeline("audio-fewshot", model=str(folder), language_model=str(tmp_path / "llm"))
    answer = pipe(clips[0], examples=[(clips[1], "kl"), (clips[3], "mn")])
    assert {entry["label"] for entry in answer} == {"kl", "mn"}
