# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What needs no model loads neither torch nor transformers, and comes at once."""

import json
import resource
import subprocess
import sys

import pytest
from conftest import ROOT

from llm_codec_cli import COMMANDS

# Prints the exit status and what was loaded, after whatever the command printed.
RUN = """
import json, sys
from llm_codec_cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
heavy = sorted({"torch", "transformers", "numpy", "llm_codec_hf"} & set(sys.modules))
print()
print(json.dumps([status or 0, heavy]))
"""
CPU_SECONDS = 0.5


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], 0),
        (["--version"], 0),
        *(([command, "--help"], 0) for command in COMMANDS),
        ([], 2),
        (["paint"], 2),
        (["encode"], 2),
        (["words", "a.wav", "--layers", "first"], 2),
        (["evaluate", "percussion", "--episodes", "many"], 2),
        (["train", "--mixed_precision", "some"], 2),
        (["convert", "--output_dir", "out"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_help_and_usage_errors_load_nothing_heavy(arguments, expected):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], cwd=ROOT, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert json.loads(done.stdout.splitlines()[-1]) == [expected, []], done.stderr
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < CPU_SECONDS
