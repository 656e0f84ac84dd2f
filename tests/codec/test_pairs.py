# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The contract of encoders and decoders, which every registered pair keeps."""

import os
import subprocess
import sys

import pytest
import torch
from conftest import tiny_config
from test_streaming import check, random_model
from transformers import AutoConfig, AutoModel

from llm_codec_hf import LLMCodecConfig, LLMCodecModel
from llm_codec_hf.modeling_llm_codec import DECODERS, ENCODERS

SPECTRAL = {"hidden_size": 8, "num_layers": 2}
OPTIONS = {
    ("encoder", "conv"): {},
    ("decoder", "conv"): {},
    ("encoder", "spectral"): SPECTRAL
    | {"num_mels": 20, "semantic_channels": 8, "semantic_hidden_size": 8, "semantic_num_layers": 3},
    ("decoder", "spectral"): SPECTRAL | {"fine_hidden_size": 8, "fine_num_layers": 2},
}
PAIRS = [(encoder, decoder) for encoder in ENCODERS for decoder in DECODERS]


def config_of(encoder: str, decoder: str) -> LLMCodecConfig:
    return tiny_config(
        encoder_type=encoder,
        decoder_type=decoder,
        encoder_options=OPTIONS["encoder", encoder],
        decoder_options=OPTIONS["decoder", decoder],
        latent_dim=64,
    )


@pytest.fixture(params=PAIRS, ids="-".join)
def model(request) -> LLMCodecModel:
    return random_model(config_of(*request.param), 0)


def noises_of(model: LLMCodecModel, frames: int) -> list:
    return model.decoder.draw_noise(0, frames, torch.device("cpu"))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_batch_chunks_and_streams_give_what_is_had_alone(pair, side, tmp_path):
    lengths, chunk = [29000, 3841, 15000], 0.5
    check(config_of(*pair), 1, lengths, side, chunk, [1000, 7000, 313], [1, 5, 2], tmp_path)


@torch.no_grad()
def test_nothing_outside_a_span_matters(model):
    config = model.config
    torch.manual_seed(0)
    audio = 0.3 * torch.randn(1, 1, 20 * config.pad_to_multiple_of)
    frames = audio.shape[-1] // config.hop_length
    middle = frames // 2
    for start, stop in ((middle, middle + 1), (middle + 3, middle + 9), (0, 1), (frames - 1, frames)):
        first, last = (max(n, 0) for n in config.encoder_span(start, stop))
        other = torch.randn_like(audio)
        other[..., first:last] = audio[..., first:last]
        torch.testing.assert_close(
            model.encoder(other)[..., start:stop], model.encoder(audio)[..., start:stop], atol=1e-5, rtol=1e-5
        )
    latents, hop = torch.randn(1, config.latent_dim, frames), config.hop_length
    for start, stop in ((middle * hop, middle * hop + 1), (middle * hop + 77, middle * hop + 3000), (0, 1)):
        first, last = (max(n, 0) for n in config.decoder_span(start, stop))
        other = torch.randn_like(latents)
        other[..., first:last] = latents[..., first:last]
        noises = noises_of(model, frames)
        torch.testing.assert_close(
            model.decoder(other, noises=noises)[..., start:stop],
            model.decoder(latents, noises=noises)[..., start:stop],
            atol=1e-5,
            rtol=1e-5,
        )


@torch.no_grad()
def test_a_span_is_no_longer_than_it_need_be(model):
    """The first and the last sample or frame of a span do matter, so that no chunk computes more than it must."""
    config = model.config
    double = model.double()
    window = config.pad_to_multiple_of
    start = 10 * window // config.hop_length
    stop = start + window // config.hop_length
    audio = torch.randn(1, 1, 24 * window, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        double.encoder(audio)[..., start:stop].square().sum().backward()
    touched = audio.grad[0, 0].nonzero().flatten()
    first, last = config.encoder_span(start, stop)
    # the ends of a Hann window are zero
    assert first <= touched[0] <= first + 1 and last - 2 <= touched[-1] <= last - 1


@torch.no_grad()
def test_float64_decides_where_float32_cannot(model):
    config = model.config
    torch.manual_seed(0)
    audio = 0.3 * torch.randn(1, 1, 6 * config.pad_to_multiple_of)
    single = model.encoder.frames(audio, None, 8, 24)
    exact = model.encoder.exact_frames(audio, 8, 24)
    assert exact.dtype == torch.float64
    error = (single - exact).norm(dim=1) / exact.norm(dim=1)
    assert 0 < error.max() < model.encoder.rounding
    # float32 weights in float64, buffers too: what a model in float64 gives
    torch.testing.assert_close(exact, model.double().encoder(audio.double())[..., 8:24], atol=1e-12, rtol=1e-9)


@pytest.mark.e2e
def test_ties_are_decided_alike_alone_and_in_a_batch(model):
    """Every entry stands twice in the codebooks, a little apart: float32 alone would choose by rounding."""
    with torch.no_grad():
        for layer in model.quantizer.layers:
            half = len(layer.codebook) // 2
            copies = layer.codebook[:half] * (1 + 1e-7 * torch.randn(half, 1)) + 1e-8 * torch.randn(half, 1)
            layer.set_codebook(torch.cat([layer.codebook[:half], copies]))
        audio = 0.3 * torch.randn(4, 1, 4 * model.config.pad_to_multiple_of)
        batch = model.encode(audio).audio_codes
        for item in range(len(audio)):
            assert torch.equal(model.encode(audio[item : item + 1], chunk_length_s=0.3).audio_codes[0], batch[item])


@torch.no_grad()
def test_shifts_of_output_and_input_cancel(model):
    torch.manual_seed(0)
    offset = torch.randn(model.config.latent_dim)
    audio = 0.3 * torch.randn(1, 1, 20 * model.config.pad_to_multiple_of)
    frames = audio.shape[-1] // model.config.hop_length
    latents, noises = model.encoder(audio), noises_of(model, frames)
    decoded = model.decoder(latents, noises=noises)
    model.encoder.shift_output(offset)
    model.decoder.shift_input(offset)
    shifted = model.encoder(audio)
    torch.testing.assert_close(shifted, latents + offset[:, None], atol=1e-4, rtol=1e-4)
    # but at edges, where zeros stand in place of the offset
    middle = slice(decoded.shape[-1] // 2 - 500, decoded.shape[-1] // 2 + 500)
    torch.testing.assert_close(
        model.decoder(shifted, noises=noises)[..., middle], decoded[..., middle], atol=1e-4, rtol=1e-3
    )


def test_configuration_round_trip(model, tmp_path):
    model.config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    placed = {"_name_or_path": "", "dtype": None}
    assert loaded.to_dict() | placed == model.config.to_dict() | placed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saved_and_loaded_on_the_meta_device(model, dtype, tmp_path):
    """Transformers builds models on the meta device: buffers that are not saved are made again."""
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path, dtype=dtype)
    moved = model if dtype == torch.float32 else random_model(model.config, 0).to(dtype)
    state = dict(moved.named_buffers()) | dict(moved.named_parameters())
    for name, tensor in (dict(loaded.named_buffers()) | dict(loaded.named_parameters())).items():
        assert tensor.dtype == state[name].dtype, name
        assert torch.equal(tensor, state[name]), name
    audio = 0.3 * torch.randn(1, 1, 20000).to(dtype)
    with torch.no_grad():
        assert torch.equal(loaded.encode(audio).audio_codes, moved.encode(audio).audio_codes)


SCRIPT = """
import sys
sys.modules["llm_codec_hf"] = None  # not importable, whatever is installed
import torch
from transformers import AutoModel
for folder in sys.argv[1:]:
    audio, codes, decoded = torch.load(f"{folder}/expected.pt", weights_only=True).values()
    model = AutoModel.from_pretrained(folder, trust_remote_code=True)
    assert type(model).__module__.startswith("transformers_modules"), (folder, type(model))
    with torch.no_grad():
        assert torch.equal(model.encode(audio).audio_codes, codes), folder
        assert (model.decode(codes).audio_values - decoded).abs().max() < 1e-6, folder
"""


@pytest.mark.e2e
def test_loaded_without_the_package(tmp_path):
    folders = []
    for pair in PAIRS:
        model = random_model(config_of(*pair), 0)
        folders.append(str(tmp_path / "-".join(pair)))
        model.save_pretrained(folders[-1])
        audio = 0.3 * torch.randn(1, 1, 20000)
        with torch.no_grad():
            codes = model.encode(audio).audio_codes
            decoded = model.decode(codes).audio_values
        torch.save({"audio": audio, "codes": codes, "decoded": decoded}, f"{folders[-1]}/expected.pt")
    environment = {**os.environ, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-I", "-c", SCRIPT, *folders]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


def test_default_lookahead_is_not_above_the_originals():
    original, ours = LLMCodecConfig(), LLMCodecConfig(encoder_type="spectral", decoder_type="spectral")
    assert ours.encoder_lookahead <= original.encoder_lookahead
    assert ours.decoder_lookahead <= original.decoder_lookahead
    assert ours.pad_to_multiple_of == ours.group_length  # no windows of attention


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"encoder_type": "vocos"}, ["vocos", "'spectral'"]),
        ({"encoder_options": {"stride": 3}}, ["stride", "fields of the configuration"]),
        ({"decoder_type": "spectral", "decoder_options": {"hiden_size": 3}}, ["hiden_size", "hidden_size"]),
        ({"decoder_type": "spectral", "decoder_options": {"hidden_size": 3.5}}, ["hidden_size", "3.5"]),
        ({"decoder_type": "spectral", "decoder_options": {"hidden_size": True}}, ["hidden_size", "True"]),
        ({"decoder_type": "spectral", "decoder_options": {"fft_size": 500}}, ["500", "160"]),
        ({"decoder_type": "spectral", "decoder_options": {"lookahead": 7}}, ["lookahead", "7"]),
        ({"decoder_type": "spectral", "decoder_options": {"stride": 2}}, ["480", "320"]),
        ({"encoder_type": "spectral", "encoder_options": {"semantic_channels": 256}}, ["semantic_channels", "256"]),
        ({"encoder_type": "spectral", "encoder_options": 5}, ["encoder_options", "5"]),
    ],
)
def test_impossible_options_are_named(kwargs, named):
    with pytest.raises(ValueError) as error:
        LLMCodecConfig(**kwargs)
    for value in named:
        assert value in str(error.value)
