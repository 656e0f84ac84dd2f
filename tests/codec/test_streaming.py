# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Batches, chunks and streams give exactly what each item gets alone and whole."""

import copy
import math
import random

import pytest
import torch
from conftest import tiny_config
from hypothesis import HealthCheck, Phase, example, given, note, settings
from hypothesis import strategies as st

from llm_codec_hf import LLMCodecConfig, LLMCodecModel
from llm_codec_hf.streaming_llm_codec import LLMCodecDecoderState, LLMCodecEncoderState

AUDIO_TOLERANCE = 1e-5  # float32 rounding of other matrix shapes, through a decoder of random weights
EXACT_TOLERANCE = 1e-10  # the same in float64
# About one random decoder in a thousand is so steep that float32 rounding alone exceeds this: its float32 audio is 3e-5
# from its float64 audio. Such a one must agree in float64. This is the seed of one.
STEEP = 782747
WHOLE = 1e6  # seconds


def random_config(rng: random.Random) -> LLMCodecConfig:
    rates = [rng.randint(2, 8) for _ in range(rng.randint(1, 4))]
    while math.prod(rates) > 480:
        rates.pop()
    head_dim = rng.choice([2, 4, 8])
    strides = rng.choice([[4, 2, 1], [4, 2, 1], [1], [2, 1], [3, 1], [4, 4], [6, 3, 2, 1], [2]])
    fields = {
        "encoder_dim": rng.randint(1, 2) * max(1, head_dim // 2 ** len(rates)),
        "encoder_rates": rates,
        "decoder_dim": rng.randint(1, 2) * max(head_dim, 2 ** len(rates)),
        "decoder_rates": rng.sample(rates, len(rates)),
        "attn_window_size": rng.choice([None, 1, 3, 8]),
        "attn_head_dim": head_dim,
        "vq_strides": strides,
        "codebook_sizes": [rng.randint(1, 300) for _ in strides],
        "noise": rng.random() < 0.5,
        "depthwise": rng.random() < 0.5,
    }
    # drawn last, so that the seeds of older examples keep their draws
    for part in ("encoder", "decoder"):
        if rng.random() < 0.4:
            fields[f"{part}_type"] = "spectral"
            fields[f"{part}_options"] = random_spectral_options(rng, part, math.prod(rates))
    if fields.get("encoder_type") == "spectral":
        fields["latent_dim"] = rng.randint(3, 12)
    return LLMCodecConfig(**fields)


def random_spectral_options(rng: random.Random, part: str, hop_length: int) -> dict:
    """Options of a tiny spectral encoder or decoder of so many samples per latent frame."""
    stride = rng.choice(
        [n for n in range(1, hop_length + 1) if hop_length % n == 0 and hop_length // n <= 160 and n <= 64]
    )
    hop = hop_length // stride
    fft_size = hop * (1 + rng.choice([0, 2, 4, 3 if hop % 2 == 0 else 2])) * (1 if hop >= 4 else 5)
    kernel_size = rng.randint(1, 7)
    options = {
        "fft_size": fft_size,
        "fft_hop_length": hop,
        "stride": stride,
        "hidden_size": rng.randint(2, 6),
        "num_layers": rng.randint(0, 3),
        "kernel_size": kernel_size,
        "lookahead": rng.randint(0, kernel_size - 1),
        "expansion": 2,
    }
    if part == "encoder":
        semantic = {"semantic_channels": rng.choice([0, 1, 2]), "semantic_hidden_size": 3}
        return (
            options
            | semantic
            | {"semantic_num_layers": rng.randint(1, 3), "num_mels": rng.randint(1, max(1, fft_size // 16))}
        )
    return options | {"fine_hidden_size": rng.randint(2, 5), "fine_num_layers": rng.randint(0, 3)}


def log_uniform(rng: random.Random, first: int, last: int) -> int:
    return round(math.exp(rng.uniform(math.log(first), math.log(last))))


def random_case(rng: random.Random) -> dict:
    config = random_config(rng)
    # hundreds of chunks or blocks tell no more than dozens do
    longest = min(60 * config.sampling_rate, 4000 * config.hop_length)
    lengths = [log_uniform(rng, 1, longest) for _ in range(rng.randint(1, 3))]
    samples = max(lengths)
    shortest_chunk = max(samples // 50, config.group_length) / config.sampling_rate
    return {
        "config": config,
        "lengths": lengths,
        "side": rng.choice(["right", "right", "left"]),
        "chunk_length_s": rng.choice([None, rng.uniform(0.5, 1.5) * shortest_chunk, rng.uniform(shortest_chunk, 60)]),
        "sample_blocks": [log_uniform(rng, max(1, samples // 100), 2 * samples) for _ in range(3)],
        "group_blocks": [log_uniform(rng, 1, 2 + samples // config.group_length) for _ in range(3)],
    }


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
    """Slices of the sizes, again and again, up to a total."""
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
    audio = torch.randn(len(lengths), 1, samples).clamp(-4, 4)  # padding is noise, and must not matter
    padding_mask = torch.zeros(len(lengths), samples, dtype=torch.long)
    alone = []
    for item, n in enumerate(lengths):
        span = slice(0, n) if side == "right" else slice(samples - n, samples)
        padding_mask[item, span] = 1
        alone.append(model.encode(audio[item : item + 1, :, span], chunk_length_s=WHOLE).audio_codes)

    def same(codes, mask):
        assert codes.shape[-1] == max(expected.shape[-1] for expected in alone)
        for item, expected in enumerate(alone):
            groups = expected.shape[-1]
            assert torch.equal(codes[item, :, :groups], expected[0])
            assert (codes[item, :, groups:] == -1).all()
            assert torch.equal(mask[item], (torch.arange(codes.shape[-1]) < groups).long())

    batch = model.encode(audio, padding_mask, chunk_length_s=chunk_length_s)
    same(batch.audio_codes, batch.audio_codes_mask)
    if side == "right":
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
        same(torch.cat([*codes, output.audio_codes], -1), torch.cat([*masks, output.audio_codes_mask], -1))

    def stream(model):
        audio_values, state = [], None
        for number, block in enumerate(cut(batch.audio_codes.shape[-1], group_blocks)):
            output = model.decode_stream(batch.audio_codes[..., block], state, batch.audio_codes_mask[..., block])
            audio_values.append(output.audio_values)
            state = output.state
            if number == 1:
                state.save(tmp_path / "decoder.safetensors")
                state = LLMCodecDecoderState.load(tmp_path / "decoder.safetensors")
        audio_values.append(model.decode_stream(state=state, flush=True).audio_values)
        return torch.cat(audio_values, -1)

    def difference(model):
        """The most by which audio of the batch in chunks, or of the stream, differs from an item's alone and whole."""
        found = [model.decode(batch.audio_codes, chunk_length_s=chunk_length_s).audio_values, stream(model)]
        most = 0.0
        for item, codes in enumerate(alone):
            expected = model.decode(codes, chunk_length_s=WHOLE).audio_values[0]
            n = expected.shape[-1]
            assert not any(audio_values[item, :, n:].any() for audio_values in found)
            most = max(most, *((audio_values[item, :, :n] - expected).abs().max().item() for audio_values in found))
        return most

    if (rounded := difference(model)) > AUDIO_TOLERANCE:
        assert difference(copy.deepcopy(model).double()) < EXACT_TOLERANCE and rounded < 1e-3


def check_random_case(seed: int, tmp_path_factory) -> None:
    case = random_case(random.Random(seed))
    note(case)
    check(seed=seed, tmp_path=tmp_path_factory.mktemp("stream"), **case)


# Of the seed alone: what hypothesis draws by itself is mostly a few samples long.
seeds = given(seed=st.integers(0, 2**32))
quietly = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": [Phase.explicit, Phase.generate]}


@pytest.mark.e2e
@settings(max_examples=50, derandomize=True, **quietly)
@seeds
@example(seed=STEEP)
def test_batch_chunk_and_stream_equal_alone_and_whole(tmp_path_factory, seed):
    check_random_case(seed, tmp_path_factory)


@pytest.mark.slow
@settings(max_examples=500, **quietly)
@seeds
def test_batch_chunk_and_stream_equal_alone_and_whole_500(tmp_path_factory, seed):
    check_random_case(seed, tmp_path_factory)


# ---- What depends on what


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"attn_window_size": None, "encoder_rates": [5, 2], "decoder_rates": [2, 5], "attn_head_dim": 4},
        {"attn_window_size": 3, "encoder_rates": [3, 4], "decoder_rates": [3, 4], "vq_strides": [2, 1, 1]},
    ],
)
def test_spans_are_exact(kwargs):
    """By gradients in float64, which are zero outside of a span and nowhere zero at its ends."""
    config = LLMCodecConfig(
        **{"encoder_dim": 4, "decoder_dim": 64, "codebook_sizes": [8, 8, 8], "attn_head_dim": 16, **kwargs}
    )
    model = random_model(config, 0).double()
    unit = config.pad_to_multiple_of // config.hop_length
    reach = -config.encoder_span(0, 1)[0] // config.hop_length + unit
    frames = -(-(2 * reach + unit) // unit) * unit

    audio = torch.randn(1, 1, frames * config.hop_length, dtype=torch.float64, requires_grad=True)
    latents = model.encoder(audio)
    for frame in range(reach, reach + unit):
        (gradient,) = torch.autograd.grad(latents[0, :, frame].sum(), audio, retain_graph=True)
        seen = gradient.flatten().nonzero().flatten()
        assert (seen[0], seen[-1] + 1) == config.encoder_span(frame, frame + 1)

    reach = -config.decoder_span(0, 1)[0] + unit
    frames = -(-(2 * reach + unit) // unit) * unit
    latents = torch.randn(1, config.latent_dim, frames, dtype=torch.float64, requires_grad=True)
    noises = model.decoder.draw_noise(0, frames, torch.device("cpu"))
    samples = model.decoder(latents, noises=noises)[0, 0]
    for sample in range(reach * config.hop_length, (reach + 1) * config.hop_length, max(1, config.hop_length // 7)):
        (gradient,) = torch.autograd.grad(samples[sample], latents, retain_graph=True)
        seen = gradient[0].abs().sum(dim=0).nonzero().flatten()
        assert (seen[0], seen[-1] + 1) == config.decoder_span(sample, sample + 1)


def test_original_latency():
    """Receptive fields of the original: 14.8 frames of the encoder, 11 of the decoder, where a window begins."""
    config = LLMCodecConfig()
    assert config.encoder_span(0, 1)[0] / config.hop_length == pytest.approx(-14.8, abs=0.05)
    assert config.decoder_span(0, 1) == (-11, 11)
    assert config.encoder_lookahead == 7078  # 0.44 s
    assert config.decoder_lookahead == 7091


@pytest.mark.e2e
@torch.inference_mode()
def test_streams_return_what_is_determined_at_once():
    config = tiny_config()
    model = random_model(config, 1)
    group, state, fed, groups = config.group_length, None, 0, 0
    latencies = []
    for block in (0.1 * torch.randn(1, 1, 40 * group)).split(97, dim=-1):
        output = model.encode_stream(block, state)
        state, fed = output.state, fed + block.shape[-1]
        for _ in range(output.audio_codes.shape[-1]):
            groups += 1
            latencies.append(fed - groups * group)
    assert groups > 30
    assert config.encoder_lookahead <= max(latencies) < config.encoder_lookahead + 97
    assert state.pending.shape[-1] < 3 * config.encoder_lookahead + 2 * config.pad_to_multiple_of  # and no more is kept

    state, returned, lags = None, 0, []
    for fed, codes in enumerate(torch.randint(0, 24, (1, 7, 60)).split(1, dim=-1), start=1):
        output = model.decode_stream(codes, state)
        state, returned = output.state, returned + output.audio_values.shape[-1]
        lags.append(fed * group - returned)
    assert max(lags[20:]) == config.decoder_lookahead
    assert state.pending.shape[-1] * group < 3 * config.decoder_lookahead + 2 * config.pad_to_multiple_of


@torch.inference_mode()
def test_a_state_can_be_gone_on_from_twice():
    model = random_model(tiny_config(), 2)
    first, second = (0.1 * torch.randn(2, 1, 20000)).split(10000, dim=-1)
    state = model.encode_stream(first).state
    once, again = (model.encode_stream(second, state, flush=True).audio_codes for _ in range(2))
    assert torch.equal(once, again)
    # flushing does not end the items of the state
    flushed = model.encode_stream(state=state, flush=True).audio_codes
    assert not torch.equal(flushed, once)
    assert torch.equal(model.encode_stream(second, state, flush=True).audio_codes, once)


@torch.inference_mode()
def test_a_generators_noise_is_that_of_the_whole():
    model = random_model(tiny_config(), 3)
    codes = model.encode(0.1 * torch.randn(2, 1, 100_000)).audio_codes
    whole, chunked = (
        model.decode(codes, generator=torch.Generator().manual_seed(7), chunk_length_s=length).audio_values
        for length in (WHOLE, 0.5)
    )
    torch.testing.assert_close(chunked, whole, atol=AUDIO_TOLERANCE, rtol=0)
    assert not torch.allclose(model.decode(codes).audio_values, whole, atol=1e-3)


@pytest.mark.e2e
@torch.inference_mode()
def test_float64_decides_ties():
    """Two entries that are equally near but for a rounding error: any matrix shape gives the same one."""
    model = random_model(tiny_config(vq_strides=[1], codebook_sizes=[128]), 4)
    audio = 0.1 * torch.randn(1, 1, 8 * 3840)
    output = model.encode(audio, output_latents=True)
    layer = model.quantizer.layers[0]
    latents = output.latents[0].T
    # for each of 64 frames an entry near it, and that entry's mirror image
    entries = latents + 0.01 * latents.norm(dim=1, keepdim=True) * torch.randn_like(latents)
    directions = torch.nn.functional.normalize(latents, dim=1)
    mirrored = 2 * (entries * directions).sum(dim=1, keepdim=True) * directions - entries
    layer.set_codebook(torch.cat([entries, mirrored]))
    _, ties = model.quantizer.encode(output.latents, rounding=model.encoder.rounding)
    assert ties.sum() > 8
    expected = model.encode(audio, chunk_length_s=WHOLE).audio_codes
    for length in (0.1, 0.5, 0.73):
        assert torch.equal(model.encode(audio, chunk_length_s=length).audio_codes, expected)
    batch = torch.cat([audio, torch.randn_like(audio).clamp(-4, 4), audio])
    assert torch.equal(model.encode(batch).audio_codes[::2], expected.expand(2, -1, -1))
    # and it is the one that float64 has nearest
    latents = model.encoder.exact_frames(audio, 0, audio.shape[-1] // model.config.hop_length)
    entries = torch.nn.functional.normalize(layer.codebook.double(), dim=-1)
    assert torch.equal(expected[0, 0], (entries @ latents[0]).argmax(dim=0))


# ---- Errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, s: m.encode_stream(), "begins with `input_values`"),
        (lambda m, s: m.decode_stream(flush=True), "begins with `audio_codes`"),
        (lambda m, s: m.encode_stream(torch.zeros(1, 1, 9), s), r"\(2, 1\) items and rows .* \(1, 1, 9\)"),
        (lambda m, s: m.encode_stream(torch.zeros(2, 1, 9), s), "Some items of the stream have ended"),
        (lambda m, s: m.encode_stream(torch.zeros(2, 1, 9), s, torch.ones(2, 9)), "cannot go on"),
        (lambda m, s: m.encode_stream(torch.zeros(2, 1, 2), None, torch.tensor([[0, 1], [1, 1]])), "1s and then 0s"),
        (lambda m, s: m.encode_stream(torch.zeros(2, 1, 9), None, torch.ones(2, 8)), r"\(2, 9\)"),
        (lambda m, s: m.encode_stream(torch.full((2, 1, 9), torch.nan)), "NaN"),
        (lambda m, s: m.decode_stream(torch.full((1, 7, 2), 99)), "layer 0"),
        (lambda m, s: m.encode(torch.zeros(1, 1, 9), chunk_length_s=0), "positive number of seconds, got 0"),
        (lambda m, s: m.decode(torch.zeros(1, 7, 2, dtype=torch.long), chunk_length_s=-1.0), "got -1.0"),
    ],
)
def test_bad_blocks_are_refused(codec, call, message):
    state = codec.encode_stream(torch.zeros(2, 1, 4), None, torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])).state
    with pytest.raises(ValueError, match=message):
        call(codec, state)


def test_a_state_of_another_kind_is_refused(codec, tmp_path):
    codec.encode_stream(torch.zeros(1, 1, 4)).state.save(tmp_path / "state.safetensors")
    with pytest.raises(ValueError, match="no LLMCodecDecoderState"):
        LLMCodecDecoderState.load(tmp_path / "state.safetensors")
