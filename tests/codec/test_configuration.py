# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The configuration: derived numbers, round trip, impossible combinations."""

import pytest
from transformers import AutoConfig

from llm_codec_hf import LLMCodecConfig


def test_derived_numbers_are_the_papers():
    config = LLMCodecConfig()
    assert config.latent_dim == 512
    assert config.hop_length == 480
    assert config.pad_to_multiple_of == 3840
    assert config.frame_rate == pytest.approx(33.3, abs=0.04)
    assert config.codes_per_layer == [1, 2, 4]
    assert config.codes_per_group == 7
    assert config.group_length == 1920
    assert config.num_codebooks == 3
    assert config.bitrate == pytest.approx(845, abs=1)  # bit/s


def test_round_trip(tmp_path):
    config = LLMCodecConfig(encoder_dim=4, decoder_dim=64, attn_window_size=4, noise=False)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is LLMCodecConfig
    assert loaded.to_dict() == AutoConfig.from_pretrained(tmp_path).to_dict()
    for name in ("encoder_dim", "latent_dim", "decoder_rates", "attn_window_size", "noise", "codebook_sizes"):
        assert getattr(loaded, name) == getattr(config, name)


def test_no_attention_pads_to_groups():
    assert LLMCodecConfig(attn_window_size=None).pad_to_multiple_of == 1920
    assert LLMCodecConfig(attn_window_size=6).pad_to_multiple_of == 480 * 12


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"latent_dim": 256}, ["256", "512"]),
        ({"decoder_rates": [8, 5, 4, 2]}, ["480", "320"]),
        ({"decoder_dim": 1000}, ["1000", "16"]),
        ({"decoder_dim": 96}, ["96", "64"]),
        ({"encoder_dim": 2}, ["32", "64"]),
        ({"attn_head_dim": 1, "attn_window_size": 8}, ["1", "even"]),
        ({"vq_strides": [4, 3, 1]}, ["[4, 3, 1]", "4"]),
        ({"codebook_sizes": [10, 10]}, ["2", "3"]),
        ({"codebook_sizes": [10, 0, 10]}, ["codebook_sizes", "0"]),
        ({"encoder_rates": []}, ["encoder_rates"]),
        ({"sampling_rate": 16000.5}, ["sampling_rate", "16000.5"]),
    ],
)
def test_impossible_combinations_name_both_values(kwargs, named):
    with pytest.raises(ValueError) as error:
        LLMCodecConfig(**kwargs)
    for value in named:
        assert value in str(error.value)
