# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec words`."""

from conftest import NUM_TOKENS, NUM_WORDS, tiny_tokenizer

from llm_codec_hf import LLMCodecFeatureExtractor, LLMCodecProcessor, save_codec
from llm_codec_hf.files.encoded_clip import EncodedClip


def test_words_of_audio_and_of_codes(cli, codes, processor):
    clip = EncodedClip.load(codes)
    expected = processor.codes_to_text(clip.audio_codes).splitlines()
    assert len(expected) == 3
    for path in (codes, codes.with_suffix(".wav")):
        assert cli("words", path) == (0, expected, [])
        assert cli("words", path, "--layers", "0,2")[1] == [expected[0], expected[2]]
    assert "`layers` are some of [0, 1, 2]" in cli("words", codes, "--layers", "3")[2][0]


def test_words_keep_to_a_line_a_layer(cli, codec, wav, tmp_path):
    tokenizer = tiny_tokenizer()
    controls = [i for i in range(len(tokenizer)) if not tokenizer.decode([i]).isprintable()][:NUM_TOKENS]
    token_ids = [range(NUM_WORDS), controls, controls]
    words = tokenizer.convert_ids_to_tokens(range(NUM_WORDS))
    processor = LLMCodecProcessor(LLMCodecFeatureExtractor(), tokenizer, words, token_ids)
    save_codec(codec, processor, tmp_path / "codec")
    _, out, _ = cli("words", wav(), model=tmp_path / "codec")
    assert len(out) == 3
    assert all(line.isprintable() for line in out)
    assert "\\x" in out[2]
