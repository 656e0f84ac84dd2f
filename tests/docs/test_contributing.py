# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What the pages for contributors say is so."""

import re

import yaml
from conftest import ROOT


def test_the_drawing_of_the_house_is_complete():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    house = text.split("## The house")[1].split("```")[1]
    library = ROOT / "llm_codec_hf"
    modules = {path.stem for path in library.glob("*.py")} - {"__init__"}
    assert set(re.findall(r"^    ([a-z_]+)  ", house, flags=re.MULTILINE)) == modules
    rooms = {path.parent.name for path in library.glob("*/__init__.py")}
    assert set(re.findall(r"(\w+)/", house)) == rooms | {"llm_codec_hf", "llm_codec_cli"}


def test_the_commands_are_those_of_the_makefile():
    text, makefile = ((ROOT / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "Makefile"))
    assert set(re.findall(r"^\| `make (\w+)`", text, flags=re.MULTILINE)) == set(re.findall(r"^(\w+):", makefile, re.M))


def test_one_version_of_ruff():
    (hooks,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"ruff=={hooks['rev'].removeprefix('v')}\n" in constraints
