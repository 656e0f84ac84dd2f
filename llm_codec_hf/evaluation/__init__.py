# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Few-shot tasks, what answers them, and how sure the answers are. Nothing that travels to the Hub imports it."""

from ..extras import require

require("eval", "Evaluation", "accelerate", "scipy", "yaml")
