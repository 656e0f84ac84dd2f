# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What model and streams refuse, and how: before they compute, by name, with what to do. Each kind by an example."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import tiny_config
from safetensors.torch import load_file, save_file

from llm_codec_hf import LLMCodecModel
from llm_codec_hf.streaming_llm_codec import LLMCodecDecoderState, LLMCodecEncoderState

CODES = torch.zeros(2, 7, 4, dtype=torch.long)
AUDIO = torch.zeros(2, 1, 9000)
HOLES = torch.tensor([[1, 0, 1, 1], [1, 1, 1, 1]])
LATE = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
NONE = torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1]])
GAP = torch.where(torch.arange(4) == 1, -1, CODES)


def refused(call, codec, message, error=ValueError):
    with pytest.raises(error, match=message):
        call(codec)


@pytest.mark.parametrize("name", ["encode", "forward", "encode_stream"])
@pytest.mark.parametrize(
    ("audio", "error", "message"),
    [
        (1e20 * torch.ones(1, 1, 9), ValueError, r"peak of 1e\+20, .*up to 4 is taken"),
        (127 * torch.ones(1, 1, 9), ValueError, "peak of 127"),
        (torch.full((1, 1, 9), torch.inf), ValueError, "NaN or infinite"),
        (np.zeros((1, 1, 9), np.float32), TypeError, r"got ndarray: pass torch.from_numpy\(input_values\)"),
        ([[[0.0]]], TypeError, r"got list: pass torch.tensor\(input_values\)"),
        ("a.wav", TypeError, "got str"),
        (torch.tensor(0.5), ValueError, r"\(batch, 1, samples\), got \(\)"),
        (torch.zeros(1, 1, 9, dtype=torch.bool), ValueError, "floating-point audio .* torch.bool"),
        (torch.zeros(1, 1, 9, dtype=torch.complex64), ValueError, "complex64"),
        (torch.zeros(1, 1, 9, device="meta"), ValueError, "meta"),
        (torch.zeros(1, 1, 9).to_sparse(), ValueError, "to_dense"),
    ],
)
def test_audio(codec, name, audio, error, message):
    refused(lambda m: getattr(m, name)(audio), codec, message, error)


def test_a_decoders_overshoot_is_taken(codec):
    assert codec.encode(torch.full((1, 1, 9), 1.3)).audio_codes.shape == (1, 7, 2)


@pytest.mark.parametrize("name", ["encode", "forward", "encode_stream"])
@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (torch.ones(2, 8), ValueError, r"the shape \(2, 9000\), got \(2, 8\)"),
        (torch.ones(9000, 2), ValueError, r"got \(9000, 2\)"),
        (torch.ones(7), ValueError, r"got \(7,\)"),
        (2 * torch.ones(2, 9000), ValueError, "takes 1 and 0"),
        (np.ones((2, 9000)), TypeError, "from_numpy"),
        ([[1] * 9000] * 2, TypeError, "torch.tensor"),
        (True, TypeError, "got bool"),
    ],
)
def test_padding_masks(codec, name, mask, error, message):
    refused(lambda m: getattr(m, name)(AUDIO, padding_mask=mask), codec, message, error)


@pytest.mark.parametrize("name", ["decode", "decode_stream"])
@pytest.mark.parametrize(
    ("codes", "mask", "error", "message"),
    [
        (CODES, HOLES, ValueError, "1s and then 0s"),
        (CODES, LATE, ValueError, "1s and then 0s"),
        (CODES, NONE, ValueError, "leave it out of the batch"),
        (CODES, torch.ones(4, 2), ValueError, r"the shape \(2, 4\), got \(4, 2\)"),
        (CODES, torch.full((2, 4), 0.5), ValueError, "takes 1 and 0"),
        (CODES, np.ones((2, 4)), TypeError, "from_numpy"),
        (GAP, None, ValueError, "groups of nothing but −1 before others"),
        (GAP, torch.ones(2, 4), ValueError, "1 for groups whose codes are −1 throughout"),
        (torch.full_like(CODES, -1), None, ValueError, "leave it out of the batch"),
        (CODES.numpy(), None, TypeError, "from_numpy"),
        (CODES.tolist(), None, TypeError, "torch.tensor"),
        (CODES.float(), None, ValueError, "integers"),
        (CODES.bool(), None, ValueError, "integers"),
        (CODES + 24, None, ValueError, "layer 0 must be 0 … 23"),
        (CODES - 2, None, ValueError, "got -2"),
        (torch.tensor(3), None, ValueError, r"got \(\)"),
    ],
)
def test_codes_and_their_masks(codec, name, codes, mask, error, message):
    refused(lambda m: getattr(m, name)(codes, audio_codes_mask=mask), codec, message, error)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.encode(AUDIO, output_latents="no"), ValueError, "`output_latents` is True or False"),
        (lambda m: m.encode(AUDIO, chunk_length_s=True), ValueError, "positive number of seconds, got True"),
        (lambda m: m.encode(AUDIO, chunk_length_s=float("nan")), ValueError, "got nan"),
        (lambda m: m.encode(AUDIO, chunk_length_s="20"), ValueError, "got '20'"),
        (lambda m: m.decode(CODES, noise="false"), ValueError, "`noise` is True or False, got 'false'"),
        (lambda m: m.decode(CODES, generator=7), TypeError, "`generator` takes a torch.Generator, got int"),
        (lambda m: m(AUDIO, generator="seed"), TypeError, "got str"),
        (lambda m: m.decode(CODES, length=True), ValueError, "`length` is an integer, from 1 to 7680; got True"),
        (lambda m: m.decode(CODES, length=0), ValueError, "from 1 to 7680; got 0"),
        (lambda m: m.decode(CODES, length=100.0), ValueError, "got 100.0"),
        (lambda m: m.decode(CODES, latents=torch.zeros(2, 64, 16)), ValueError, "got both"),
        (lambda m: m.decode(latents=torch.zeros(2, 64)), ValueError, r"\(batch, 64, frames\), got \(2, 64\)"),
        (lambda m: m.decode(latents=torch.zeros(2, 7, 16)), ValueError, r"got \(2, 7, 16\)"),
        (lambda m: m.decode(latents=torch.zeros(2, 64, 16).long()), ValueError, "int64"),
        (lambda m: m.decode(latents=torch.full((2, 64, 16), torch.nan)), ValueError, "NaN"),
        (lambda m: m.decode(latents=torch.full((2, 64, 16), 1e30)), ValueError, "not finite"),
        (lambda m: m.decode(latents=np.zeros((2, 64, 16))), TypeError, "from_numpy"),
        (lambda m: m.decode(latents=torch.zeros(2, 64, 16), audio_codes_mask=HOLES), ValueError, "1s and then 0s"),
        (lambda m: m.decode(latents=torch.zeros(2, 64, 15), audio_codes_mask=HOLES), ValueError, "whole groups of 4"),
        (lambda m: m.dequantize(CODES.numpy()), TypeError, "from_numpy"),
        (lambda m: m.split_layers(CODES.tolist()), TypeError, "got list"),
        (lambda m: m.split_layers(CODES[:, :3]), ValueError, r"\(2, 3, 4\)"),
        (lambda m: m.merge_layers(CODES), TypeError, "3 tensors"),
        (lambda m: m.merge_layers([CODES[:, 0]] * 3), ValueError, r"\[1, 2, 4\] codes per group"),
        (lambda m: m(AUDIO, codebooks=[torch.zeros(24, 64)]), TypeError, "3 tensors"),
        (lambda m: m(AUDIO, codebooks=[torch.zeros(23, 64)] * 3), ValueError, r"\(24, 64\)"),
        (lambda m: m.encode_stream(AUDIO, flush=1), ValueError, "`flush` is True or False"),
        (lambda m: m.decode_stream(CODES, noise=None), ValueError, "`noise`"),
        (lambda m: m.encode_stream(AUDIO, "state"), TypeError, "LLMCodecEncoderState .* got str"),
        (lambda m: m.decode_stream(CODES, m.encode_stream(AUDIO).state), TypeError, "got LLMCodecEncoderState"),
        (lambda m: m.encode_stream(state=m.encode_stream(AUDIO).state, padding_mask=AUDIO), ValueError, "missing"),
        (
            lambda m: m.encode_stream(AUDIO.double(), m.encode_stream(AUDIO).state),
            ValueError,
            "float32 on cpu .*float64",
        ),
    ],
)
def test_other_arguments(codec, call, error, message):
    refused(call, codec, message, error)


# ---- States


@pytest.fixture(scope="module")
def states(codec):
    with torch.no_grad():
        return codec.encode_stream(torch.zeros(1, 1, 60000)).state, codec.decode_stream(CODES.repeat(1, 1, 20)).state


@pytest.mark.parametrize(
    "other", [{"codebook_sizes": [24, 32, 31]}, {"sampling_rate": 24000}, {"attn_window_size": 16}]
)
def test_a_state_belongs_to_a_codecs_geometry(states, other):
    model = LLMCodecModel(tiny_config(**other)).eval()
    for state, go_on in zip(states, (model.encode_stream, model.decode_stream)):
        with pytest.raises(ValueError, match="codec of another geometry"):
            go_on(state=state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": 10**9}, "do not follow from what was fed"),
        ({"returned": 1}, "do not follow from what was fed"),
        ({"start": -1}, "`state.start`"),
        ({"returned": True}, "`state.returned`"),
        ({"ends": torch.tensor([1, 2, 3])}, "are not those of a stream"),
        ({"ends": None}, "are not those of a stream"),
        ({"pending": torch.zeros(3)}, "are not those of a stream"),
    ],
)
def test_changed_states(codec, states, change, message):
    for state, go_on in zip(states, (codec.encode_stream, codec.decode_stream)):
        with pytest.raises(ValueError, match=message):
            go_on(state=dataclasses.replace(state, **change))


def test_files_of_states(codec, states, tmp_path):
    path = tmp_path / "state.safetensors"
    states[0].save(path)
    whole = path.read_bytes()
    assert torch.equal(LLMCodecEncoderState.load(path).pending, states[0].pending)
    for damaged in (b"", b"RIFF", whole[:50], whole[:-5]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="no state of a stream, or a damaged one"):
            LLMCodecEncoderState.load(path)
    path.write_bytes(whole)
    save_file({"pending": load_file(path)["pending"]}, path, {"kind": '"LLMCodecEncoderState"'})
    with pytest.raises(ValueError, match="another version"):
        LLMCodecEncoderState.load(path)
    states[1].save(path)
    with pytest.raises(ValueError, match="no LLMCodecEncoderState"):
        LLMCodecEncoderState.load(path)
    with pytest.raises(ValueError, match="name of a device"):
        LLMCodecDecoderState.load(path, device="a gpu")
    with pytest.raises(OSError):
        LLMCodecDecoderState.load(tmp_path / "no_such_file")
