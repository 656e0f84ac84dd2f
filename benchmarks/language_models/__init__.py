# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Which families of language models answer exactly, and how: a table over all causal models of Transformers."""
