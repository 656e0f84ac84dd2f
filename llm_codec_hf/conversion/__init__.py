# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The original's checkpoint, made a codec of this package."""

from ..extras import require

require("convert", "Conversion", "yaml")
