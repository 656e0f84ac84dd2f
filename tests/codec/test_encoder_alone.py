# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The encoder alone: the codes of the whole, without its decoder."""

import json
import logging
import os
import subprocess
import sys

import pytest
import torch
import transformers.modeling_utils
from conftest import tiny_config
from safetensors import safe_open
from transformers import AutoModel

from llm_codec_hf import LLMCodecEncoderConfig, LLMCodecEncoderModel, LLMCodecModel

LOAD = """
import sys
sys.modules["llm_codec_hf"] = None
import torch
from transformers import AutoModel
model = AutoModel.from_pretrained(sys.argv[1], trust_remote_code=True)
assert type(model).__name__ == "LLMCodecEncoderModel" and type(model).__module__.startswith("transformers_modules")
audio = 0.1 * torch.randn(1, 1, 9000, generator=torch.Generator().manual_seed(0))
print(model.encode(audio).audio_codes.tolist())
"""


@pytest.fixture(scope="module", params=["conv", "spectral"])
def whole(request, tmp_path_factory) -> tuple[LLMCodecModel, str]:
    """A codec of each pair, and its folder."""
    options = {"encoder_type": request.param, "decoder_type": request.param}
    if request.param == "spectral":
        small = {"hidden_size": 16, "num_layers": 1}
        options |= {"latent_dim": 16, "encoder_options": small, "decoder_options": small}
    torch.manual_seed(0)
    codec = LLMCodecModel(tiny_config(**options)).eval()
    folder = tmp_path_factory.mktemp("whole") / request.param
    codec.save_pretrained(folder)
    return codec, str(folder)


def audio(samples: int, batch: int = 1) -> torch.Tensor:
    return 0.1 * torch.randn(batch, 1, samples, generator=torch.Generator().manual_seed(samples))


def test_codes_are_those_of_the_whole(whole):
    codec, folder = whole
    alone = LLMCodecEncoderModel.from_pretrained(folder).eval()
    for samples in (1, 3840, 12_345, 100_003):
        expected = codec.encode(audio(samples)).audio_codes
        assert torch.equal(alone.encode(audio(samples)).audio_codes, expected)
        assert torch.equal(alone.encode(audio(samples), chunk_length_s=0.5).audio_codes, expected)
        assert torch.equal(alone(audio(samples)).audio_codes, expected)
    mask = torch.ones(2, 12_345, dtype=torch.long)
    mask[1, 5000:] = 0
    one, other = (model.encode(audio(12_345, batch=2), mask) for model in (alone, codec))
    assert torch.equal(one.audio_codes, other.audio_codes)
    assert torch.equal(one.audio_codes_mask, other.audio_codes_mask)
    layers = alone.split_layers(one.audio_codes), codec.split_layers(other.audio_codes)
    assert all(torch.equal(a, b) for a, b in zip(*layers))
    assert torch.equal(alone.dequantize(one.audio_codes), codec.dequantize(other.audio_codes))


def test_streams_are_those_of_the_whole(whole):
    codec, folder = whole
    alone = LLMCodecEncoderModel.from_pretrained(folder).eval()
    found, state = [], None
    for block in audio(40_000).split(7000, dim=-1):
        out = alone.encode_stream(block, state)
        found, state = [*found, out.audio_codes], out.state
    found.append(alone.encode_stream(state=state, flush=True).audio_codes)
    assert torch.equal(torch.cat(found, dim=-1), codec.encode(audio(40_000)).audio_codes)


def test_no_tensor_of_the_decoder_is_read(whole, monkeypatch, caplog):
    _, folder = whole
    read = []

    class Slice:
        def __init__(self, name, found):
            self.name, self.found = name, found

        def __getitem__(self, place):
            read.append(self.name)
            return self.found[place]

        def __getattr__(self, name):
            return getattr(self.found, name)

    class File:
        def __init__(self, *args, **kwargs):
            self.file = safe_open(*args, **kwargs)

        def __enter__(self):
            self.file.__enter__()
            return self

        def __exit__(self, *error):
            return self.file.__exit__(*error)

        def __getattr__(self, name):
            return getattr(self.file, name)

        def get_tensor(self, name):
            read.append(name)
            return self.file.get_tensor(name)

        def get_slice(self, name):
            return Slice(name, self.file.get_slice(name))

    monkeypatch.setattr(transformers.modeling_utils, "safe_open", File)
    LLMCodecModel.from_pretrained(folder)
    assert any(name.startswith("decoder.") for name in read)  # so the count counts
    read.clear()
    with caplog.at_level(logging.WARNING):
        alone = LLMCodecEncoderModel.from_pretrained(folder)
    assert read and not [name for name in read if name.startswith("decoder.")]
    assert set(read) == {name for name in alone.state_dict() if not name.endswith("_inverse_norm")} | {
        name for name in read if name.endswith("_inverse_norm")
    }
    assert not caplog.records, caplog.text
    alone.check_weights()


def test_its_own_folder_holds_no_decoder_and_loads_without_the_package(whole, tmp_path):
    codec, folder = whole
    LLMCodecEncoderModel.from_pretrained(folder).save_pretrained(tmp_path / "alone")
    with safe_open(tmp_path / "alone/model.safetensors", "pt") as file:
        names = set(file.keys())
    assert names == {name for name in codec.state_dict() if not name.startswith("decoder.")}
    config = json.loads((tmp_path / "alone/config.json").read_text())
    assert config["model_type"] == "llm_codec_encoder" and config["architectures"] == ["LLMCodecEncoderModel"]
    assert "custom_pipelines" not in config and "LLMCodecModel" not in json.dumps(config["auto_map"])
    assert isinstance(AutoModel.from_pretrained(tmp_path / "alone"), LLMCodecEncoderModel)
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables |= {"HF_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-c", LOAD, str(tmp_path / "alone")]
    result = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    heard = 0.1 * torch.randn(1, 1, 9000, generator=torch.Generator().manual_seed(0))
    assert json.loads(result.stdout.splitlines()[-1]) == codec.encode(heard).audio_codes.tolist()


def test_it_does_not_decode(whole):
    alone = LLMCodecEncoderModel.from_pretrained(whole[1])
    codes = alone.encode(audio(9000)).audio_codes
    for call in (alone.decode, alone.decode_stream):
        with pytest.raises(TypeError, match="load the whole with `LLMCodecModel`"):
            call(codes)


def test_a_codec_of_the_encoder_alone_is_refused_as_a_whole(whole, tmp_path):
    LLMCodecEncoderModel.from_pretrained(whole[1]).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="weights are damaged or not its own: decoder"):
        LLMCodecModel.from_pretrained(tmp_path).check_weights()


def test_configuration_of_the_whole_is_taken(whole):
    codec, _ = whole
    config = LLMCodecEncoderConfig.from_dict(codec.config.to_dict())
    assert config.model_type == "llm_codec_encoder" and config.geometry == codec.config.geometry
