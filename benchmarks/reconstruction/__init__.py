# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""How well audio is heard after the codec, beside others."""

from llm_codec_hf.extras import require

require("eval", "The benchmark of reconstruction", "accelerate", "evaluate", "scipy", "yaml")
