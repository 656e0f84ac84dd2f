# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What the fuzzers share: how many inputs a target gets in the slow tests, and the memory that an input may take."""

import os
import resource
from pathlib import Path

import pytest

EXAMPLES = int(os.environ.get("LLM_CODEC_FUZZ_EXAMPLES", 2000))
MEMORY = 8 * 2**30  # beside what the process holds already, after whatever tests: the longest padding takes gigabytes


@pytest.fixture
def little_memory():
    """Allocations beyond `MEMORY` fail, with an error that no target takes for a refusal."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)
