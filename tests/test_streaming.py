# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Batches, chunks and streams give exactly what each item gets alone and whole."""

import math

import pytest
import torch
from conftest import tiny_config
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from llm_codec_hf import LLMCodecConfig, LLMCodecModel
from llm_codec_hf.streaming_llm_codec import LLMCodecDecoderState, LLMCodecEncoderState

AUDIO_TOLERANCE = 1e-5  # float32 rounding of other matrix shapes, through a decoder of random weights
WHOLE = 1e6  # seconds


@st.composite
def configs(draw) -> LLMCodecConfig:
    rates = draw(st.lists(st.integers(2, 8), min_size=1, max_size=4).filter(lambda rates: math.prod(rates) <= 480))
    head_dim = draw(st.sampled_from([2, 4, 8]))
    encoder_dim = draw(st.integers(1, 2)) * max(1, head_dim // 2 ** len(rates))
    strides = draw(st.sampled_from([[4, 2, 1], [1], [2, 1], [3, 1], [4, 4], [6, 3, 2, 1], [2]]))
    return LLMCodecConfig(
        encoder_dim=encoder_dim,
        encoder_rates=rates,
        decoder_dim=draw(st.integers(1, 2)) * max(head_dim, 2 ** len(rates)),
        decoder_rates=draw(st.permutations(rates)),
        attn_window_size=draw(st.sampled_from([None, 1, 3, 8])),
        attn_head_dim=head_dim,
        vq_strides=strides,
        codebook_sizes=draw(st.lists(st.integers(1, 300), min_size=len(strides), max_size=len(strides))),
        noise=draw(st.booleans()),
        depthwise=draw(st.booleans()),
    )


def random_model(config: LLMCodecConfig, seed: int) -> LLMCodecModel:
    """With biases and αs that are random too: what happens at edges then shows."""
    torch.manual_seed(seed)
    model = LLMCodecModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.1)
            elif name.endswith("alpha"):
                parameter.uniform_(0.3, 3)
    return model


def cut(total: int, sizes: list[int]) -> list[slice]:
    """Slices of the sizes, again and again, up to a total; at most 100."""
    sizes = [max(size, total // 100) for size in sizes]
    slices, start = [], 0
    while start < total:
        size = sizes[len(slices) % len(sizes)]
        slices.append(slice(start, min(start + size, total)))
        start += size
    return slices


@torch.inference_mode()
def check(config, seed, lengths, side, chunk_length_s, sample_blocks, group_blocks, tmp_path):
    model = random_model(config, seed)
    samples = max(lengths)
    audio = torch.randn(len(lengths), 1, samples)  # padding is noise, and must not matter
    padding_mask = torch.zeros(len(lengths), samples, dtype=torch.long)
    alone = []
    for item, n in enumerate(lengths):
        span = slice(0, n) if side == "right" else slice(samples - n, samples)
        padding_mask[item, span] = 1
        codes = model.encode(audio[item : item + 1, :, span], chunk_length_s=WHOLE).audio_codes
        alone.append((codes[0], model.decode(codes, chunk_length_s=WHOLE).audio_values[0]))

    def same(codes, mask, audio_values):
        assert codes.shape[-1] == max(item.shape[-1] for item, _ in alone)
        for item, (expected_codes, expected_audio) in enumerate(alone):
            groups, n = expected_codes.shape[-1], expected_audio.shape[-1]
            assert torch.equal(codes[item, :, :groups], expected_codes)
            assert (codes[item, :, groups:] == -1).all()
            assert torch.equal(mask[item], (torch.arange(codes.shape[-1]) < groups).long())
            torch.testing.assert_close(audio_values[item, :, :n], expected_audio, atol=AUDIO_TOLERANCE, rtol=0)
            assert not audio_values[item, :, n:].any()

    batch = model.encode(audio, padding_mask, chunk_length_s=chunk_length_s)
    decoded = model.decode(batch.audio_codes, chunk_length_s=chunk_length_s).audio_values
    same(batch.audio_codes, batch.audio_codes_mask, decoded)

    if side == "left":
        return
    codes, masks, state = [], [], None
    for number, block in enumerate(cut(samples, sample_blocks)):
        output = model.encode_stream(audio[..., block], state, padding_mask[:, block])
        codes.append(output.audio_codes)
        masks.append(output.audio_codes_mask)
        state = output.state
        if number == 1:
            state.save(tmp_path / "encoder.safetensors")
            state = LLMCodecEncoderState.load(tmp_path / "encoder.safetensors")
    output = model.encode_stream(state=state, flush=True)
    codes, masks = torch.cat([*codes, output.audio_codes], -1), torch.cat([*masks, output.audio_codes_mask], -1)
    audio_values, state = [], None
    for number, block in enumerate(cut(codes.shape[-1], group_blocks)):
        output = model.decode_stream(codes[..., block], state, masks[..., block])
        audio_values.append(output.audio_values)
        state = output.state
        if number == 1:
            state.save(tmp_path / "decoder.safetensors")
            state = LLMCodecDecoderState.load(tmp_path / "decoder.safetensors")
    audio_values.append(model.decode_stream(state=state, flush=True).audio_values)
    same(codes, masks, torch.cat(audio_values, -1))


def log_uniform(last: int) -> st.SearchStrategy[int]:
    return st.floats(0, math.log(last)).map(lambda x: min(last, round(math.exp(x))))


cases = given(
    config=configs(),
    seed=st.integers(0, 1000),
    lengths=st.lists(log_uniform(60 * 16000), min_size=1, max_size=3),
    side=st.sampled_from(["right", "right", "left"]),
    chunk_length_s=st.floats(0.001, 60) | st.none(),
    sample_blocks=st.lists(log_uniform(100_000), min_size=1, max_size=4),
    group_blocks=st.lists(log_uniform(100), min_size=1, max_size=4),
)
quietly = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}


def run(tmp_path_factory, config, lengths, **kwargs):
    chunk = kwargs["chunk_length_s"]
    # hundreds of chunks tell no more than a few
    assume(chunk is None or max(lengths) / 16000 / max(chunk, config.group_length / 16000) <= 200)
    event(f"up to {10 ** math.ceil(math.log10(max(lengths)))} samples")
    check(config=config, lengths=lengths, tmp_path=tmp_path_factory.mktemp("stream"), **kwargs)


@settings(max_examples=50, derandomize=True, **quietly)
@cases
def test_batch_chunk_and_stream_equal_alone_and_whole(tmp_path_factory, config, lengths, **kwargs):
    run(tmp_path_factory, config, lengths, **kwargs)


@pytest.mark.slow
@settings(max_examples=500, **quietly)
@cases
def test_batch_chunk_and_stream_equal_alone_and_whole_500(tmp_path_factory, config, lengths, **kwargs):
    run(tmp_path_factory, config, lengths, **kwargs)
