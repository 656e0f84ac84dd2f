# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Every file directly in the package travels to the Hub as remote code, and what travels needs nothing else."""

import ast
import sys
from pathlib import Path

import pytest

import llm_codec_hf

ROOT = Path(llm_codec_hf.__file__).parent
ENTRIES = ["configuration_llm_codec", "modeling_llm_codec", "feature_extraction_llm_codec", "processing_llm_codec"]
ENTRIES.append("pipeline_audio_fewshot")
# The package's dependencies: whoever has Transformers and these loads a codec from the Hub. (PyAV is asked for where it
# is needed.)
ALLOWED = {"torch", "numpy", "transformers", "safetensors", "soundfile", "soxr", "av"}


def imports(module: str) -> tuple[set[str], set[str]]:
    """What a module of the root imports: modules beside it, and top-level names of other packages."""
    beside, packages = set(), set()
    for node in ast.walk(ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                packages.add(node.module.split(".")[0])
            else:
                # Transformers' copier knows this one form
                assert node.level == 1 and node.module, f"{module}.py:{node.lineno}: import as `from .module import …`"
                beside.add(node.module)
    return beside, packages


def closure() -> set[str]:
    """The entries, and all that they import of the package."""
    found, new = set(), set(ENTRIES)
    while new:
        found |= new
        new = set().union(*(imports(module)[0] for module in new)) - found
    return found


def test_the_root_is_what_travels():
    assert {path.stem for path in ROOT.glob("*.py")} - {"__init__"} == closure()


@pytest.mark.parametrize("module", sorted(closure()))
def test_what_travels_is_flat_and_needs_the_dependencies_alone(module):
    beside, packages = imports(module)
    assert all((ROOT / f"{name}.py").is_file() for name in beside), "a folder does not travel"
    assert packages - sys.stdlib_module_names <= ALLOWED
