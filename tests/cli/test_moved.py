# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Imports and commands that the README showed before modules moved: they work, and say where to find things now."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.e2e

# What the README of commit f43f19b imports, and where it is now where that changed.
IMPORTS = {
    "llm_codec_hf.embedded": ("default_codec", None),
    "llm_codec_hf.grammar_llm_codec": ("ConstrainedLogitsProcessor", None),
    "llm_codec_hf.requests_llm_codec": ("ScoreRequest", None),
    "llm_codec_hf.training.configuration": ("TrainingConfig", None),
    "llm_codec_hf.engine_llm_codec": ("InProcessBackend", "llm_codec_hf.backend_llm_codec"),
    "llm_codec_hf.evaluation.server": ("CompletionsServer", "llm_codec_hf.backends.completions_server"),
    "llm_codec_hf.evaluation.metrics": ("load_metric", "llm_codec_hf.metrics"),
    "llm_codec_hf.training.recipe": ("make_trainer", "llm_codec_hf.training.building"),
    "llm_codec_hf.cli": ("main", "llm_codec_cli"),
}

# A process of its own, in which nothing was imported before.
IMPORT_ALL = """
import importlib, sys, warnings
import llm_codec_hf
for old, (name, new) in eval(sys.argv[1]).items():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = getattr(importlib.import_module(old), name)
    told = [str(w.message) for w in caught if w.category is DeprecationWarning and "is now" in str(w.message)]
    assert told == ([f"`{old}` is now `{new}`; the old name will go."] if new else []), (old, told)
    assert value is getattr(importlib.import_module(new or old), name), old
"""


def python(*arguments) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_imports():
    done = python("-c", IMPORT_ALL, repr(IMPORTS))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_warning_points_to_the_import(tmp_path):
    (tmp_path / "script.py").write_text("import llm_codec_hf\nfrom llm_codec_hf.cli import main\n")
    done = python(str(tmp_path / "script.py"))
    assert "script.py:2: DeprecationWarning: `llm_codec_hf.cli` is now `llm_codec_cli`" in done.stderr


@pytest.mark.slow
def test_commands():
    old = python("-m", "llm_codec_hf.cli", "--version")
    assert old.returncode == 0 and old.stdout == python("-m", "llm_codec_cli", "--version").stdout
    done = python("-W", "error::DeprecationWarning", "-m", "conversion.convert_original_checkpoint", "--help")
    assert done.returncode == 0 and "--checkpoint_path" in done.stdout
    done = python("-m", "conversion.convert_original_checkpoint", "--checkpoint_path", "x")
    assert done.returncode == 2 and "conversion.convert_original_checkpoint: error: " in done.stderr
