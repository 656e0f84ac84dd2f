# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A checkpoint of the original's size, with random weights, converts within 4 GB of memory."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from original_checkpoints import command_line
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModel, PreTrainedTokenizerFast

from llm_codec_hf import LLMCodecConfig, LLMCodecModel
from llm_codec_hf.conversion.original_checkpoint import conv_weight_shape, module_names

CONFIG = """
encoder_dim: 32
sample_rate: 16000
encoder_rates: [3, 4, 5, 8]
latent_dim: 512
decoder_dim: 1536
decoder_rates: [8, 5, 4, 3]
vq_strides: [4, 2, 1]
noise: true
depthwise: true
use_cblinear: true
attn_window_size: 8
"""

# Prints the largest memory that the conversion held, in kB, mapped files included.
MEASURE = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "conversion.convert_original_checkpoint", *sys.argv[1:]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def original_state(config: LLMCodecConfig) -> dict[str, torch.Tensor]:
    model, state = LLMCodecModel(config), {}
    for original, ours in module_names(config):
        module = model.get_submodule(ours)
        for name, parameter in module.named_parameters(recurse=False):
            if name == "weight" and (shape := conv_weight_shape(module)):
                weight = torch.randn(shape) / math.prod(shape[1:]) ** 0.5
                state[f"{original}.weight_v"] = weight
                state[f"{original}.weight_g"] = weight.flatten(1).norm(dim=1).view(-1, 1, 1)
            else:
                state[f"{original}.{name}"] = parameter.data
        if original.endswith(".to_qkv"):
            rotary = 1 / 10000 ** (torch.arange(0, 64, 2) / 64)
            state[original.replace("to_qkv", "rel_pos.inv_freq")] = rotary
    tokens = torch.randn(32000, 4096)
    for k, table in enumerate((torch.randn(3248, 4096), tokens, tokens.clone())):  # stored twice, as a checkpoint may
        state[f"quantizer.quantizers.{k}.codebook.weight"] = table
        state[f"quantizer.quantizers.{k}.cb_proj.weight"] = torch.randn(512, 4096) / 64
        state[f"quantizer.quantizers.{k}.cb_proj.bias"] = torch.randn(512)
    return state


@pytest.mark.slow
def test_memory_of_a_full_size_conversion(tmp_path):
    torch.save({"codec_model": original_state(LLMCodecConfig())}, tmp_path / "original.pth")
    (tmp_path / "config.yaml").write_text(CONFIG)
    np.save(tmp_path / "words.npy", np.array([f"w{i}" for i in range(3248)]))
    vocabulary = ["<unk>", "<eos>", *(f"w{i}" for i in range(31998))]
    backend = Tokenizer(models.WordLevel({token: i for i, token in enumerate(vocabulary)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>").save_pretrained(tmp_path / "tokenizer")
    arguments = {
        "checkpoint_path": tmp_path / "original.pth",
        "config_path": tmp_path / "config.yaml",
        "words_path": tmp_path / "words.npy",
        "tokenizer": tmp_path / "tokenizer",
        "output_dir": tmp_path / "converted",
    }
    command = [sys.executable, "-c", MEASURE, *command_line(arguments), "--keep_embeddings"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[-1]) < 4_000_000
    model = AutoModel.from_pretrained(tmp_path / "converted")
    assert sum(parameter.numel() for parameter in model.encoder.parameters()) == pytest.approx(3.84e6, rel=0.01)
    assert sum(parameter.numel() for parameter in model.decoder.parameters()) == pytest.approx(35.96e6, rel=0.01)
    (tmp_path / "original.pth").unlink()  # 1.3 GB
