# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Stands where test_modeling_common.py imports from: a codec does not generate, and no tester may inherit this."""


class GenerationTesterMixin:
    pass
