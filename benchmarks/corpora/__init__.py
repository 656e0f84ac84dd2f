# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What it costs to tokenize a corpus, beside a plain loop over files and beside `datasets.map`."""
