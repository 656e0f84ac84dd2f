# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Training of a codec for a language model. Nothing that travels to the Hub imports this package."""

from ..extras import require

require("train", "Training", "accelerate", "datasets", "evaluate", "matplotlib", "yaml")
