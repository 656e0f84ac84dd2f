# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The configuration: derived numbers, round trip, impossible combinations."""

import time

import pytest
from transformers import AutoConfig

from llm_codec_hf import LLMCodecConfig
from llm_codec_hf.quantizer_llm_codec import most_parts


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


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"codebook_sizes": 5}, ["codebook_sizes", "list", "5"]),
        ({"encoder_rates": 480}, ["encoder_rates", "list", "480"]),
        ({"vq_strides": "421"}, ["vq_strides", "list", "'421'"]),
        ({"decoder_rates": [8, 5, 4, True]}, ["decoder_rates", "True"]),
        ({"noise": "false"}, ["noise", "True or False", "'false'"]),
        ({"depthwise": "no"}, ["depthwise", "'no'"]),
        ({"noise": 1}, ["noise", "1"]),
        ({"latent_dim": True}, ["latent_dim", "True"]),
        ({"sampling_rate": 1}, ["sampling_rate", "1000 to 1000000"]),
        ({"encoder_type": ["conv"]}, ["encoder_type", "'spectral'"]),
        ({"hop_length": 480}, ["hop_length", "follows from other fields"]),
    ],
)
def test_values_of_another_kind_are_refused(kwargs, named):
    with pytest.raises(ValueError) as error:
        LLMCodecConfig(**kwargs)
    for value in named:
        assert value in str(error.value)


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"codebook_sizes": [24, 32, 10**10]}, ["codebook_sizes", str(2**20), str(10**10)]),
        ({"codebook_sizes": [2**20] * 3, "decoder_dim": 2**14}, ["weights", "2.1e+09"]),
        ({"attn_window_size": 10**7}, ["attn_window_size", str(10**7)]),
        ({"attn_window_size": 2**19}, ["padded", str(2**19), str(2**20)]),
        ({"encoder_dim": 10**9}, ["encoder_dim", str(10**9)]),
        ({"encoder_rates": [2] * 10**6}, ["encoder_rates", "16"]),
        ({"encoder_rates": [64] * 4, "decoder_rates": [64] * 4}, ["padded", str(2**20)]),
        ({"vq_strides": [2**20, 1, 1]}, ["padded", "1048576"]),
        ({"decoder_type": "spectral", "decoder_options": {"fft_size": 2**16}}, ["fft_size", str(2**16)]),
        (
            {"decoder_type": "spectral", "decoder_options": {"hidden_size": 2**14, "num_layers": 256}},
            ["weights", "2.1e+09"],
        ),
    ],
)
def test_absurd_sizes_are_refused_at_once(kwargs, named):
    start = time.process_time()
    with pytest.raises(ValueError) as error:
        LLMCodecConfig(**kwargs)
    assert time.process_time() - start < 1
    for value in named:
        assert value in str(error.value)


def test_parts_of_a_codebook_are_found_at_once():
    start = time.process_time()
    sizes = [1, 256, 511, 512, 32000, 3248, 2**20, 2**20 - 1]
    assert [most_parts(size) for size in sizes] == [most_parts_by_trial(size) for size in sizes]
    assert time.process_time() - start < 1


def most_parts_by_trial(size: int) -> int:
    return max(n for n in range(1, max(1, size // 256) + 1) if size % n == 0)
