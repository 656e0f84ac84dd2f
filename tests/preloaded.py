# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What the fork server of `processes.py` has loaded before it forks."""

from importlib import import_module

import torch

for module in (
    "accelerate.commands.accelerate_cli",
    "transformers.models.llama.modeling_llama",
    "transformers.models.llama.tokenization_llama",
    "llm_codec_cli",
    "llm_codec_hf.conversion.convert",
    "llm_codec_hf.corpus.run",
    "llm_codec_hf.embedded",
    "llm_codec_hf.evaluation.command",
    "llm_codec_hf.training.command",
):
    import_module(module)

torch.set_num_threads(1)
