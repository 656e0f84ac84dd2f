# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The recipe of the spectral pair, at toy size: from its file to a codec that loads, with feature loss and head."""

import json

import numpy as np
import pytest
import soundfile as sf
import torch
import yaml
from conftest import ROOT
from test_training_hearing import whisper_dir  # noqa: F401  (a fixture)
from transformers import AutoModel

from llm_codec_cli import main

SMALL = {
    "dictionary": None,  # a file that not every machine has
    "shares": {},
    "num_words": 24,
    "num_tokens": 32,
    "finest_tokens": 40,
    "batch_size": 2,
    "min_windows": 4,
    "max_windows": 4,
    "semantic_channels": 8,
    "quantize_after": 3,
    "feature_after": 1,
    "feature_layers": [1, 2],
    "head_layers": [2],
    "fitted_clips": 16,
    "warmup_steps": 1,
    "log_steps": 1,
    "eval_steps": 100,
    "eval_clips": 2,
    "eval_metrics": ["mel_distance"],
    "max_steps": 6,
}


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["train.yaml", "train_gpu.yaml"])
def test_recipe_trains_a_codec_that_loads(name, whisper_dir, tmp_path):  # noqa: F811
    fields = yaml.safe_load((ROOT / "recipes/embedded_default" / name).read_text(encoding="utf-8"))
    for part in ("encoder_options", "decoder_options"):
        fields["codec"][part] = {key: 1 if key.endswith("layers") else 8 for key in fields["codec"][part]}
    fields["codec"]["latent_dim"] = 24
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(fields | SMALL | {"feature_encoder": whisper_dir}))
    (tmp_path / "clips").mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        tone = np.sin(np.arange(20000) * (0.02 + 0.03 * number)) + 0.1 * rng.standard_normal(20000)
        sf.write(tmp_path / f"clips/{number}.wav", 0.3 * tone, 16000)
    run = tmp_path / "run"
    main(["train", str(tmp_path / "run.yaml"), "--data", str(tmp_path / "clips"), "--output_dir", str(run)])
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    last = [line for line in log if "mel" in line][-1]
    assert {"head", "feature", "commitment", "codebook"} <= set(last)
    model = AutoModel.from_pretrained(run / "codec")
    assert model.config.encoder_type == model.config.decoder_type == "spectral"
    first, *others = (layer.codebook for layer in model.quantizer.layers)
    # layer 0 has channels of its own, and no layer writes into another's
    assert first[:, :8].any() and not first[:, 8:].any()
    assert all(layer[:, 8:].any() and not layer[:, :8].any() for layer in others)
    assert not [key for key in model.state_dict() if "head" in key and not key.startswith(("encoder.", "decoder."))]
    audio = 0.1 * torch.randn(1, 1, 16000)
    codes = model.encode(audio).audio_codes
    assert model.decode(codes, length=16000).audio_values.isfinite().all()
