# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What is saved loads without this package: a fresh process, another folder, the package not importable."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from original_checkpoints import conversion_inputs, make_tokenizer
from transformers import AutoModel, LlamaConfig, LlamaForCausalLM, pipeline

from llm_codec_hf.conversion.convert import convert

SCRIPT = """
import sys
sys.modules["llm_codec_hf"] = None  # not importable, whatever is installed
import numpy as np, torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForAudioTokenization, AutoProcessor
from transformers import pipeline

folder, language_model, clip, codes, answer = sys.argv[1:]
audio = np.load(clip)
kwargs = {"trust_remote_code": True}
config = AutoConfig.from_pretrained(folder, **kwargs)
assert config.hop_length == 480, config
features = AutoFeatureExtractor.from_pretrained(folder, **kwargs)(audio, sampling_rate=16000, return_tensors="pt")
expected = torch.load(codes, weights_only=True)
for auto in (AutoModel, AutoModelForAudioTokenization):
    model = auto.from_pretrained(folder, **kwargs)
    assert type(model).__module__.startswith("transformers_modules"), type(model)
    assert torch.equal(model.encode(**features).audio_codes, expected)
processor = AutoProcessor.from_pretrained(folder, **kwargs)
assert torch.equal(processor.ids_to_codes(processor.codes_to_ids(expected[0])), expected[0])
pipe = pipeline("audio-fewshot", model=folder, language_model=language_model, **kwargs)
assert type(pipe).__module__.startswith("transformers_modules"), type(pipe)
result = pipe(audio, examples=[(audio[:4000], "low"), (audio[4000:], "high")])
assert {entry["label"]: round(entry["score"], 4) for entry in result} == eval(answer), result
assert not [name for name in sys.modules if name.startswith("llm_codec_hf.")]
# and what was loaded so is saved and loads again
pipe.save_pretrained("again")
again = pipeline("audio-fewshot", model="again", language_model=language_model, **kwargs)
assert again(audio, examples=[(audio[:4000], "low"), (audio[4000:], "high")]) == result
"""


def run(script, folder, language_model_dir, tmp_path, codec, pipe):
    rng = np.random.default_rng(0)
    audio = (0.1 * rng.standard_normal(9000)).astype(np.float32)
    np.save(tmp_path / "clip.npy", audio)
    torch.save(codec.encode(torch.from_numpy(audio)[None, None]).audio_codes, tmp_path / "codes.pt")
    answer = pipe(audio, examples=[(audio[:4000], "low"), (audio[4000:], "high")])
    answer = {entry["label"]: round(entry["score"], 4) for entry in answer}
    files = [tmp_path / "clip.npy", tmp_path / "codes.pt"]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-I", "-c", script, str(folder), str(language_model_dir), *map(str, files), repr(answer)]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


@pytest.mark.e2e
def test_saved_codec(codec, codec_dir, language_model_dir, tmp_path):
    pipe = pipeline("audio-fewshot", model=str(codec_dir), language_model=str(language_model_dir))
    run(SCRIPT, codec_dir, language_model_dir, tmp_path, codec, pipe)


@pytest.mark.e2e
def test_saved_pipeline(codec, codec_dir, language_model_dir, tmp_path):
    pipe = pipeline("audio-fewshot", model=str(codec_dir), language_model=str(language_model_dir))
    pipe.save_pretrained(tmp_path / "saved")
    run(SCRIPT, tmp_path / "saved", language_model_dir, tmp_path, codec, pipe)


@pytest.mark.e2e
def test_converted_golden_checkpoint(tmp_path):
    """Its codes equal the original's: test_conversion.py. Here they are the same without the package."""
    folder = convert(**conversion_inputs("tiny", tmp_path))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=128, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "language_model")
    make_tokenizer().save_pretrained(tmp_path / "language_model")
    language_model_dir = tmp_path / "language_model"
    pipe = pipeline("audio-fewshot", model=str(folder), language_model=str(language_model_dir))
    run(SCRIPT, folder, language_model_dir, tmp_path, AutoModel.from_pretrained(folder), pipe)
