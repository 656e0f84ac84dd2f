# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Benchmarks of the codec: its speed, its reconstructions, and few-shot requests. All of them write to one folder."""

from pathlib import Path

README = Path(__file__).with_name("README.md")
RESULTS = README.with_name("results")
