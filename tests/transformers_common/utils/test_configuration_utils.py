# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Stands where test_configuration_common.py imports from: what every `PreTrainedConfig` takes, not at its default."""

config_common_kwargs = {
    "architectures": ["LLMCodecModel"],
    "output_hidden_states": True,
    "output_attentions": True,
    "return_dict": False,
    "dtype": "float16",
    "chunk_size_feed_forward": 5,
    "is_encoder_decoder": True,
    "id2label": {0: "other"},
    "label2id": {"other": 0},
    "problem_type": "regression",
}
