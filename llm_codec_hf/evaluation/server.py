# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Moved to `llm_codec_hf.backends.completions_server`."""

from ..moved import moved

moved(__name__, "llm_codec_hf.backends.completions_server")
