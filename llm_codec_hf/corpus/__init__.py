# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A corpus of audio as a dataset of codes: planned, encoded task by task, and read back."""

from ..extras import require

require("corpus", "A corpus", "datasets", "datatrove", "filelock", "pyarrow")
